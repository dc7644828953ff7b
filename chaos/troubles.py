"""What else may happen in a deploy: connections cut, processes killed, the server gone, a laptop frozen."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from chaos import agree
from chaos.bed import Bed
from chaos.cases import Result, last, ready, told
from testbed.common import wait_until
from tests.e2e.harness import Outcome

#: Where images and containers are, on the one server whose disk may be filled.
SMALL = "3g"
LOGS = ("/var/lib/allfast/_proxy/log/*",)  # visitors go on
BALLAST = "/var/lib/docker/ballast"
FILL = f"cat /dev/zero >{BALLAST}"  # to the last byte, although others write
#: The agent among the processes of the server: the one that sshd started.
KILL_AGENT = """for p in $(pgrep -f 'agent-[0-9a-f]+[.]pyz|/proc/self/fd/'); do
case $(cat /proc/$(awk '/^PPid/ {print $2}' /proc/$p/status)/comm) in sshd*) kill -9 $p;; esac; done"""


def nothing(bed: Bed) -> None:
    """It ends by itself."""


@dataclass(frozen=True)
class Trouble:
    """Something that happens within a step of a deploy.

    Args:
        do: the shell command that brings it about, on this machine; $SERVER is the server's container.
        mend: what a person, or the machine itself, does then.
        gap: it takes the proxy along: visitors may miss answers until it is there again.
    """

    name: str
    do: str
    mend: Callable[[Bed], None] = nothing
    gap: bool = False
    step: str = "start release"
    place: str = "in"


def _start_engine(bed: Bed) -> None:
    bed.server.start_dockerd()


def _power_on(bed: Bed) -> None:
    bed.server.on()


def _remove_ballast(bed: Bed) -> None:
    bed.server.exec(["rm", "-f", BALLAST])


_EACH = (
    Trouble("SSH is cut", "kill -9 $(pgrep -P $PPID -x ssh)"),
    Trouble("the agent is killed", f"docker exec $SERVER bash -c {shlex.quote(KILL_AGENT)}"),
    Trouble("the proxy is killed", "docker exec $SERVER pkill -9 -x caddy", gap=True),
    Trouble("the engine is killed", "docker exec $SERVER pkill -9 -x dockerd", _start_engine, gap=True),
    Trouble("the power fails", "docker kill $SERVER", _power_on, gap=True),
    Trouble("the laptop is frozen", "kill -STOP $PPID"),
)
#: One step of each stage: images are sent, a `before` command runs, containers start, the switch, the record.
STEPS = ("start release", "ship images", "one-shot#2", "switch", "go live")
TROUBLES = tuple(replace(trouble, step=step) for step in STEPS for trouble in _EACH)
#: On a server with a small disk, for the engine and the state folder alike.
FULL = tuple(
    Trouble(
        "the disk is full",
        f"docker exec $SERVER bash -c {shlex.quote(FILL)}",
        _remove_ballast,
        step=step,
        place="before",
    )
    for step in ("prepare containers", "ship images", "one-shot#2", "switch", "go live")
)


def name_of(trouble: Trouble) -> str:
    """As the table has it."""
    return f"deploy, {trouble.place} {trouble.step}: {trouble.name}"


def run(bed: Bed, trouble: Trouble) -> Result:
    """Have it happen under load, then deploy again."""
    result, began = Result(name_of(trouble)), time.monotonic()
    if complaints := ready(bed):
        result.wrong = [f"before it began: {one}" for one in complaints]
        return result
    text = bed.change()
    with bed.visitors() as visitors:
        with visitors.switching(text):
            process = bed.laptop(
                trouble.step, trouble.place, "deploy", do=f"SERVER={bed.server.container}; {trouble.do}"
            )
            first = None
            if "STOP" in trouble.do:
                _frozen(process)
            else:
                first = _end(process)
            trouble.mend(bed)
            served = _served(bed)
            back = visitors.report().seconds
            after = bed.cli("deploy", "--wait", "--json", "--yes", code=None)
            back = back if served else visitors.report().seconds
            first = first or _woken(bed, process, result)
        visitors.wait_for(20)
        report = visitors.report()
    what = f"{'new' if served == text else 'old'} release" if served else "nothing until the next command"
    result.left = f"{what}; it ended with {first.code}{_why(first)}"
    result.recovery, result.answers = told(after), report.total
    if after.code != 0:
        result.wrong.append(f"the next command: exit {after.code}: {last(after)}")
    if "Traceback" in first.err + after.err:
        result.wrong.append(f"a traceback: {(first.err + after.err)[-300:]}")
    failures = [one for one in report.failures if not trouble.gap or one.began > back]
    result.wrong += [f"failed: {one.reason}" for one in failures[:5]]
    result.wrong += [f"mixed: {one}" for one in report.mixed[:5]]
    result.wrong += agree.complaints(bed, text, crashed=trouble.gap)
    result.seconds = time.monotonic() - began
    return result


def _end(process: subprocess.Popen[str]) -> Outcome:
    out, err = process.communicate(timeout=300)
    return Outcome(process.returncode, out, err)


def _frozen(process: subprocess.Popen[str]) -> None:
    """Wait until the laptop is stopped: it ends when it is woken."""
    stat = Path(f"/proc/{process.pid}/stat")
    wait_until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", "the laptop to be frozen", 120)


def _woken(bed: Bed, process: subprocess.Popen[str], result: Result) -> Outcome:
    """The frozen laptop goes on when another one has long deployed: it can change nothing any more."""
    before = bed.server.snapshot(ignore=LOGS)
    os.kill(process.pid, signal.SIGCONT)
    ended = _end(process)
    result.wrong += [f"woken, it changed {one}" for one in before.changes(bed.server.snapshot(ignore=LOGS))]
    if ended.code != 1 or "the lock is lost" not in ended.out:
        result.wrong.append(f"woken, it ended with {ended.code}: {last(ended)}")
    return ended


def _why(ended: Outcome) -> str:
    return f": {last(ended)[:70]}..." if ended.code else ""


def _served(bed: Bed) -> str:
    """What visitors get, "" where they get nothing for a while."""
    for _ in range(40):
        if text := bed.glimpse():
            return text
        time.sleep(0.5)
    return ""
