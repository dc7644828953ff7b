"""What is measured."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator

from bench.bed import Bed
from bench.measure import Figure, differences, in_turns


def startup(bed: Bed, runs: int) -> Iterator[Figure]:
    """The start of the command itself."""
    taken = in_turns(runs, {"version": lambda: bed.timed("allfast", "--version")})
    yield Figure("version", "allfast --version", taken["version"], 0.2)


def idle(bed: Bed, runs: int) -> Iterator[Figure]:
    """Commands that find nothing to do, against the bare connection that they need anyway."""
    server = bed.server
    ssh = ("ssh", "-F", str(server.ssh_config), "-o", "BatchMode=yes", server.name, "true")
    ways: dict[str, Callable[[], float]] = {
        "ssh": lambda: bed.timed(*ssh),
        "status": lambda: bed.timed("allfast", "status"),
        "nothing": lambda: bed.timed("allfast", "deploy", "--yes"),
    }
    taken = in_turns(runs, ways)
    yield Figure("ssh", "ssh HOST true", taken["ssh"])
    yield Figure("status", "allfast status", taken["status"])
    yield Figure("status - ssh", "what status takes more", differences(taken["status"], taken["ssh"]), 1.0)
    yield Figure("nothing to do", "allfast deploy, nothing changed", taken["nothing"])
    yield Figure("nothing - ssh", "what that takes more", differences(taken["nothing"], taken["ssh"]), 1.0)


def change(bed: Bed, runs: int) -> Iterator[Figure]:
    """A deploy of a one-line change of one service, without its build and without the service's own start."""
    whole, own, parts = [], [], []
    for number in range(runs):
        bed.app.say("web", f"change {number}")
        began = time.monotonic()
        result = bed.events("deploy", "--yes")[-1]
        seconds = time.monotonic() - began
        start = bed.own_start("web")
        phases: dict[str, float] = result["phases"]
        whole.append(seconds)
        own.append(seconds - phases["build"] - start)
        parts.append({**phases, "app's own start (in rollout)": start, "elsewhere": seconds - sum(phases.values())})
    names = dict.fromkeys(name for one in parts for name in one)
    detail = {name: statistics.median(one.get(name, 0.0) for one in parts) for name in names}
    yield Figure("one-line deploy", "allfast deploy, one line of web changed", tuple(whole), None, detail)
    yield Figure("  without build, start", "the same without build and own start", tuple(own), 8.0)


CASES: dict[str, Callable[[Bed, int], Iterator[Figure]]] = {"startup": startup, "idle": idle, "change": change}
RUNS = {"startup": 15, "idle": 9, "change": 3}
