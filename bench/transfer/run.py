"""Runs what is still to be measured, for so long, and tells what came of it."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from allfast.text import megabytes, seconds, table
from bench.transfer import document, images, ways
from bench.transfer.bed import Bed, bed
from bench.transfer.model import NEW, TRIPS, UNSHAPED, WAYS, Leg, Line, Sample, Trip, Work, legs, scale_for, scaled
from bench.transfer.prepared import Prepared
from bench.transfer.results import FOLDER, Figures, Kept, about, kept
from bench.transfer.targets import targets
from testbed.common import CHECKOUT, docker

DOCS = CHECKOUT / "docs"


@dataclass(frozen=True)
class Options:
    """`end`: begin nothing after this moment of the monotonic clock.

    `scale` of the made images; None: what the disk has room for. `ways`: by these alone.
    """

    end: float
    scale: float | None = None
    fresh: bool = False
    ways: tuple[str, ...] = tuple(WAYS)


@dataclass(frozen=True)
class Wanted:
    """What shall be measured until `end` (of the monotonic clock), and what was."""

    trips: Sequence[Trip]
    ways: tuple[str, ...]
    results: Kept
    end: float

    def legs(self, trip: Trip, *, early: bool = False) -> Iterator[Leg]:
        """What is still to be measured of it, or of that what is `early`."""
        return (leg for leg in legs([trip], self.results.samples, self.ways) if leg.is_early or not early)

    @property
    def is_over(self) -> bool:
        """The time is."""
        return time.monotonic() > self.end


def measure(names: Sequence[str], options: Options) -> None:
    """Measure these trips, print the targets and write docs/bench.md; with a scale of one's own, below .bench/."""
    scale = options.scale or _asked_for_room()
    trips = [scaled(trip, scale) for trip in TRIPS]
    results = kept(about(scale), fresh=options.fresh)
    wanted = Wanted([trip for trip in trips if trip.name in names], options.ways, results, options.end)
    try:
        _run(wanted)
    finally:  # what was measured is told, however it ended
        _tell(results, sum(1 for trip in wanted.trips for _ in wanted.legs(trip)))
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


def _run(wanted: Wanted) -> None:
    """Measure until the time is over: once what all targets need, then the rest."""
    if not any(any(wanted.legs(trip)) for trip in wanted.trips):
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder, bed(Path(folder)) as machine:
        prepared = Prepared(machine)
        prepared.keep(NEW)
        for early in (True, False):
            for trip in wanted.trips:
                if any(wanted.legs(trip, early=early)) and not wanted.is_over:
                    _travel(machine, prepared, trip, wanted, early=early)


def _travel(machine: Bed, prepared: Prepared, trip: Trip, wanted: Wanted, *, early: bool) -> None:
    """One trip: build its images, then each leg."""
    app = f"bench-{trip.name}"
    print(f"{trip.name}: {trip.title}, about {megabytes(trip.size)}", flush=True)
    began = time.monotonic()
    source = images.make_source(trip, machine.folder / trip.name, app=app, host=machine.server.name)
    try:
        built = ways.build(machine, source, app)
        print(f"  built in {seconds(time.monotonic() - began)}", flush=True)
        for leg in wanted.legs(trip, early=early):
            if wanted.is_over:
                return
            try:
                _make_ready(machine, prepared, leg, source, built, wanted.results)
                _go(machine, leg, source, built, wanted.results)
            except ways.FailedError as error:
                print(f"  {leg.line.name} {leg.way}: {error}", flush=True)
    except ways.FailedError as error:
        print(f"  {error}", flush=True)
    finally:
        machine.shape(UNSHAPED)
        for name in prepared.names - {NEW}:
            prepared.forget(name)
        if not trip.real:  # the real ones share a build
            machine.forget_builds()
        shutil.rmtree(source.path)
        print(f"  all in {seconds(time.monotonic() - began)}", flush=True)


def _make_ready(
    machine: Bed, prepared: Prepared, leg: Leg, source: images.Source, built: dict[str, str], results: Kept
) -> None:
    """Have what a leg begins with: a new server, or one that has the version before."""
    machine.shape(UNSHAPED)
    begins = leg.begins
    prepared.bring_back(begins if begins in prepared.names else NEW)
    if begins not in prepared.names:
        with ways.journey(machine, source, built, begins) as journey:
            sample = ways.way(begins).bring(journey, leg.trip.prepare)
        first = leg.trip.first
        if first and begins in first.ways and (first.name, begins, UNSHAPED.name) not in results.samples:
            _note(results, first, begins, UNSHAPED, sample)
        prepared.keep(begins)
    if leg.trip.elsewhere:
        machine.forget_sent()


def _go(machine: Bed, leg: Leg, source: images.Source, built: dict[str, str], results: Kept) -> None:
    """One leg; its samples are kept one by one, so one that is cut off is taken up by a run of its own later."""
    with ways.journey(machine, source, built, leg.way) as journey:
        machine.shape(leg.line)
        for work in leg.works:
            for version in work.versions:
                machine.cool()
                _note(results, work, leg.way, leg.line, ways.way(leg.way).bring(journey, version))


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
