"""What was measured, kept as JSON while the bench goes on, so that a bench that was stopped goes on where it was."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import platform
import secrets
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.transfer.model import ALLFAST, UNSHAPED, Line, Sample, computed
from testbed.common import CHECKOUT, docker, run

FOLDER = CHECKOUT / ".bench" / "transfer"
#: What decides what is measured, besides allfast itself and the machine; how it is told does not.
PARTS = ("bed.py", "images.py", "meter.py", "model.py", "prepared.py", "processes.py", "recipes", "run.py", "ways.py")
MEASURED = (
    *(f"bench/transfer/{name}" for name in PARTS),
    "examples/chat/web",
    "testbed/recipes",
    *(f"testbed/{name}.py" for name in ("bases", "container", "engine", "link", "server")),
)


def machine() -> dict[str, Any]:
    """What this machine is, as far as figures depend on it; memory in GB."""
    model = ""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(": ")[2]
            break
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "memory": round(pages / 1e9),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "engine": docker("version", "-f", "{{.Server.Version}}").stdout.strip(),
    }


def digest(*names: str) -> str:
    """Of all files in these folders and files of the checkout."""
    found = hashlib.sha256()
    for name in names:
        top = CHECKOUT / name
        for file in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if file.is_file() and file.suffix != ".pyc" and "node_modules" not in file.parts:
                found.update(f"\0{file.relative_to(CHECKOUT)}\0".encode() + file.read_bytes())
    return found.hexdigest()[:12]


@dataclass(frozen=True)
class Taken(Sample):
    """A sample and when it was taken: `measured` in UTC (2026-01-31 12:00), `commit`, and `run`, one call of the bench.

    `measured` and `run` are empty in what was kept before they were noted, and that counts as one run.
    """

    measured: str = ""
    commit: str = ""
    run: str = ""


@dataclass
class Kept:
    """The samples of one machine, one scale and one state of the bench; those of allfast are of one state of it.

    `samples` are those of the allfast at hand; `others` those of other states of it, which are kept as they are. What
    is added is of the `run`.
    """

    file: Path
    about: dict[str, Any]
    samples: dict[tuple[str, str, str], list[Taken]] = field(default_factory=dict)
    others: list[dict[str, Any]] = field(default_factory=list)
    run: str = field(default_factory=lambda: secrets.token_hex(4))

    def add(self, work: str, way: str, line: str, sample: Sample) -> None:
        """Keep one that was just taken, on the disk, too."""
        now = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
        taken = Taken(**dataclasses.asdict(sample), measured=now, commit=str(self.about["commit"]), run=self.run)
        self.samples.setdefault((work, way, line), []).append(taken)
        self.save()

    def save(self) -> None:
        """Write the file, whole or not at all."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        draft = self.file.with_suffix(".new")
        draft.write_text(json.dumps({"about": self.about, "samples": [*self.others, *self.records()]}, indent=1) + "\n")
        draft.replace(self.file)

    def records(self) -> list[dict[str, Any]]:
        """All samples as JSON values."""
        return [
            {"work": work, "way": way, "line": line, "allfast": self._state(way), **dataclasses.asdict(sample)}
            for (work, way, line), runs in self.samples.items()
            for sample in runs
        ]

    def _state(self, way: str) -> str:
        return str(self.about["allfast"]) if way == ALLFAST else ""


def kept(about: dict[str, Any], folder: Path = FOLDER, *, fresh: bool = False) -> Kept:
    """What earlier runs of the same have measured; `about` has the keys machine, scale, bench and allfast."""
    same = {key: about[key] for key in ("machine", "scale", "bench")}
    key = hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()[:12]
    found = Kept(folder / f"{key}.json", about)
    if fresh or not found.file.exists():
        return found
    names = {one.name for one in dataclasses.fields(Taken)}
    saved = json.loads(found.file.read_text())
    for record in saved["samples"]:
        record.setdefault("commit", saved["about"]["commit"])  # of the last run before each sample said its own
        if record["allfast"] in ("", about["allfast"]):
            sample = Taken(**{key: value for key, value in record.items() if key in names})
            found.samples.setdefault((record["work"], record["way"], record["line"]), []).append(sample)
        else:
            found.others.append(record)
    return found


def about(scale: float) -> dict[str, Any]:
    """What is measured here and now."""
    head = run(["git", "-C", CHECKOUT, "rev-parse", "--short", "HEAD"], check=False).stdout.strip()
    return {
        "machine": machine(),
        "scale": scale,
        "bench": digest(*MEASURED),
        "allfast": digest("src/allfast"),
        "commit": head,
    }


class Figures:
    """Medians of samples, and what is computed from them."""

    def __init__(self, samples: Mapping[tuple[str, str, str], Sequence[Taken]]) -> None:
        self.samples = samples

    def median(self, work: str, way: str, name: str, line: Line = UNSHAPED) -> float | None:
        """Of an attribute of the samples; None where there are none, or where the machine did not say."""
        values = [getattr(sample, name) for sample in self.samples.get((work, way, line.name), ())]
        if not values or None in values:
            return None
        return float(statistics.median(values))

    def seconds(self, work: str, way: str, line: Line) -> tuple[float, bool] | None:
        """The median, and whether it is computed and not measured; None where neither can be said."""
        if (found := self.median(work, way, "seconds", line)) is not None:
            return found, False
        runs = self.samples.get((work, way, UNSHAPED.name), ())
        if not runs or line.rate is None:
            return None
        return float(statistics.median(computed(sample, line) for sample in runs)), True

    def together(self, work: str, ways: Sequence[str], line: Line) -> bool:
        """Whether what these ways' `seconds` (which are there) are made of is of the same runs of the bench."""
        cells = [self.samples.get((work, way, line.name)) or self.samples[work, way, UNSHAPED.name] for way in ways]
        return len({tuple(sorted(one.run for one in cell)) for cell in cells}) == 1

    def rule(self, work: str, way: str, line: Line) -> tuple[float, float] | None:
        """Seconds as measured and as computed, where both are there: does the rule of computed cells hold?"""
        found = self.median(work, way, "seconds", line)
        runs = self.samples.get((work, way, UNSHAPED.name), ())
        if found is None or not runs or line.rate is None:
            return None
        return found, float(statistics.median(computed(sample, line) for sample in runs))
