"""Runs what is still to be measured, for so long, and tells what came of it."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from allfast.text import megabytes, seconds, table
from bench.transfer import document, images, ways
from bench.transfer.bed import Bed, bed
from bench.transfer.model import TRIPS, UNSHAPED, WAYS, Leg, Line, Sample, Trip, Work, legs, scale_for, scaled
from bench.transfer.prepared import Prepared
from bench.transfer.results import FOLDER, Figures, Kept, about, kept
from bench.transfer.targets import targets
from testbed.common import CHECKOUT, docker

DOCS = CHECKOUT / "docs"


@dataclass(frozen=True)
class Options:
    """`minutes`: begin nothing after so long. `scale` of the made images; None: what the disk has room for.

    `ways`: what is not one of them is left for another time.
    """

    minutes: float
    scale: float | None = None
    fresh: bool = False
    ways: tuple[str, ...] = tuple(WAYS)


def measure(names: Sequence[str], options: Options) -> None:
    """Measure these trips, print the targets and write docs/bench.md; with a scale of one's own, below .bench/."""
    end = time.monotonic() + 60 * options.minutes
    scale = options.scale or _asked_for_room()
    trips = [scaled(trip, scale) for trip in TRIPS]
    results = kept(about(scale), fresh=options.fresh)
    chosen = [trip for trip in trips if trip.name in names]
    _run([dataclasses.replace(t, ways=tuple(w for w in t.ways if w in options.ways)) for t in chosen], results, end)
    _tell(results, sum(1 for _ in legs(chosen, results.samples)))
    files = document.write(FOLDER if options.scale else DOCS, results, trips)
    print(f"written: {', '.join(str(file.relative_to(CHECKOUT)) for file in files)}")


def _asked_for_room() -> float:
    """The scale that the disks of the machine's engine and of this checkout have room for, said where it is not 1."""
    root = Path(docker("info", "-f", "{{.DockerRootDir}}").stdout.strip())
    places = (root if root.exists() else Path("/"), CHECKOUT)
    free = min(shutil.disk_usage(place).free for place in places)
    scale = scale_for(free)
    if scale < 1:
        print(f"{megabytes(free)} are free: made images have {scale:g} of their size", flush=True)
    return scale


def _run(trips: Sequence[Trip], results: Kept, end: float) -> None:
    """Measure until the time is over."""
    trips = [trip for trip in trips if any(legs([trip], results.samples))]
    if not trips:
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder, bed(Path(folder)) as machine:
        for trip in trips:
            if time.monotonic() < end:
                _travel(machine, trip, results, end)


def _travel(machine: Bed, trip: Trip, results: Kept, end: float) -> None:
    """One trip: build its images, then each leg."""
    app = f"bench-{trip.name}"
    print(f"{trip.name}: {trip.title}, about {megabytes(trip.size)}", flush=True)
    began = time.monotonic()
    source = images.make_source(trip, machine.folder / trip.name, app=app, host=machine.server.name)
    built = ways.build(machine, source, app)
    machine.forget_cache()
    print(f"  built in {seconds(time.monotonic() - began)}", flush=True)
    prepared = Prepared(machine)
    try:
        for leg in legs([trip], results.samples):
            if time.monotonic() > end:
                return
            try:
                _make_ready(machine, prepared, leg, source, built, results)
                _go(machine, leg, source, built, results)
            except ways.FailedError as error:
                print(f"  {leg.line.name} {leg.way}: {error}", flush=True)
    finally:
        machine.shape(UNSHAPED)
        prepared.forget()
        machine.forget_builds()


def _go(machine: Bed, leg: Leg, source: images.Source, built: dict[str, str], results: Kept) -> None:
    """One leg; its samples are kept one by one, so one that is cut off is taken up by a run of its own later."""
    with ways.journey(machine, source, built, leg.way) as journey:
        machine.shape(leg.line)
        for work in leg.trip.works:
            machine.cool()
            sample = ways.way(leg.way).bring(journey, work.version)
            _note(results, work, leg.way, leg.line, sample)


def _make_ready(
    machine: Bed, prepared: Prepared, leg: Leg, source: images.Source, built: dict[str, str], results: Kept
) -> None:
    """Have what a leg begins with: a new server, or one that has the version before, brought by the same way."""
    machine.shape(UNSHAPED)
    if leg.way in prepared.ways:
        prepared.bring_back(leg.way)
    else:
        machine.reset()
        if leg.trip.prepare:
            _prepare(machine, leg, source, built, results)
            prepared.keep(leg.way)
    if leg.trip.elsewhere:
        machine.forget_sent()


def _prepare(machine: Bed, leg: Leg, source: images.Source, built: dict[str, str], results: Kept) -> None:
    with ways.journey(machine, source, built, leg.way) as journey:
        sample = ways.way(leg.way).prepare(journey, leg.trip.prepare)
    first = leg.trip.first
    if first and sample and (first.name, leg.way, UNSHAPED.name) not in results.samples:
        _note(results, first, leg.way, UNSHAPED, sample)


def _note(results: Kept, work: Work, way: str, line: Line, sample: Sample) -> None:
    print(f"  {line.name:18} {way:9} {work.name:11} {_told(sample)}", flush=True)
    results.add(work.name, way, line.name, sample)


def _told(sample: Sample) -> str:
    sizes = f"{megabytes(sample.up):>9} up {megabytes(sample.down):>9} down"
    memory = f"{megabytes(sample.memory_laptop)} / {megabytes(sample.memory_server)}"
    return f"{sizes} {seconds(sample.seconds):>12}  memory {memory}"


def _tell(results: Kept, left: int) -> None:
    rows = [(one.verdict, one.what, one.found) for one in targets(Figures(results.samples))]
    print("\n" + "\n".join(table(rows, indent=0)))
    if left:
        print(f"\n{left} legs are not measured yet: the same command goes on with them")
