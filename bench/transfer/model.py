"""What is measured, as values: lines, ways, works, and what one measurement says."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

MB = 1_000_000
#: An allfast measurement that would take longer than this by its bytes and the rate is computed, as the others are.
LONGEST = 300.0
RUNS = 3
SCALES = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01)


@dataclass(frozen=True)
class Line:
    """The line to the server: `rate` in bits a second (None: as it is), `delay` in seconds on a round trip."""

    name: str
    rate: float | None = None
    delay: float = 0.0


UNSHAPED = Line("unshaped")
LINES = (
    UNSHAPED,
    Line("100 Mbit/s", 100e6),
    Line("100 Mbit/s, 40 ms", 100e6, 0.04),
    Line("20 Mbit/s", 20e6),
    Line("20 Mbit/s, 40 ms", 20e6, 0.04),
)
#: The pair of a big image that is measured all the same, to see whether the rule of computed cells holds for it.
CHECKED = ("mixed", LINES[1])

SAVE, REGISTRY, ALLFAST = "save", "registry", "allfast"
#: Way -> what it is, in words.
WAYS: Mapping[str, str] = {
    SAVE: "(a) `docker save | gzip | ssh docker load`",
    REGISTRY: "(b) `docker push`, `docker pull` through an SSH tunnel",
    ALLFAST: "(c) allfast",
}


@dataclass(frozen=True)
class Work:
    """Bring `version` of an image to a server that has the versions before it."""

    name: str
    title: str
    version: str


@dataclass(frozen=True)
class Trip:
    """Works that follow one another on a new server; `prepare` is brought first and not measured.

    `size` is about that of the image in bytes, without the base of a made one; `small` ones, under 300 MB in all, are
    measured on all lines by all ways. `real` is a build of the example's web, others are made of as many bytes as are
    wanted. It is made by the `ways`. (c)'s `prepare` is told as the work `first`, where there is one.
    `elsewhere`: what this laptop remembers of it is lost before the works, as if another one had sent it.
    """

    name: str
    title: str
    size: int
    works: tuple[Work, ...]
    prepare: str = ""
    small: bool = True
    runs: int = RUNS
    real: bool = False
    ways: tuple[str, ...] = tuple(WAYS)
    first: Work | None = None
    elsewhere: bool = False

    @property
    def told(self) -> tuple[Work, ...]:
        """The works, and before them what is told of `prepare`."""
        return self.works if self.first is None else (self.first, *self.works)

    @property
    def versions(self) -> tuple[str, ...]:
        """All versions of the image, in the order in which they are built."""
        return tuple(dict.fromkeys((self.prepare or self.works[0].version, *(work.version for work in self.works))))


def _changed(name: str, title: str) -> tuple[Work, ...]:
    return (Work(name, title, "changed"),)


def _above(name: str, size: int, title: str) -> Trip:
    """How the time grows where the changed layer does not: asked of allfast alone."""
    works = _changed(name, title)
    return Trip(name, title, size, works, "base", small=False, ways=(ALLFAST,))


TRIPS = (
    Trip(
        "web",
        "the example's web, a real Next.js build",
        220 * MB,
        (
            Work("first", "web: first deploy", "base"),
            Work("same", "web: the same again", "base"),
            Work("line", "web: one line changed", "line"),
            Work("dependency", "web: a dependency added", "dependency"),
        ),
        real=True,
    ),
    Trip(
        "usual",
        "the same web with all that Next.js's `standalone` output has in one layer, as most Dockerfiles do it",
        220 * MB,
        (Work("usual", "web in one layer: one line changed", "line"),),
        "base",
        real=True,
    ),
    Trip(
        "other",
        "the same from a laptop that has not sent the version before",
        220 * MB,
        (Work("other", "web in one layer: one line changed, from another laptop", "line"),),
        "base",
        real=True,
        ways=(ALLFAST,),
        elsewhere=True,
    ),
    Trip(
        "files",
        "100,000 small files in one layer, ten changed",
        290 * MB,  # and 130 MB of its base
        _changed("files", "100,000 files, ten changed"),
        "base",
        small=False,
    ),
    Trip(
        "mixed",
        "made files of mixed sizes in one layer, one changed",
        500 * MB,
        _changed("mixed", "mixed files, one changed"),
        "base",
        small=False,
    ),
    Trip(
        "python",
        "a Python image: packages, and an app with a model; one file of the app changed",
        1500 * MB,
        _changed("python", "Python, one file changed"),
        "base",
        small=False,
    ),
    Trip(
        "large",
        "made files of mixed sizes in one layer, one changed, ten times as many",
        5000 * MB,
        _changed("large", "ten times the mixed files, one changed"),
        "base",
        small=False,
        runs=1,
        first=Work("large-first", "ten times the mixed files: first deploy", "base"),
    ),
    _above("above", 500 * MB, "an app of 20 MB above made files of mixed sizes, one file of the app changed"),
    _above("above-large", 5000 * MB, "the same app above ten times the files, the same change"),
)


@dataclass(frozen=True)
class Sample:
    """One measurement. Bytes, seconds; None where the machine does not say. `laptop` and `server` are the two sides.

    `others` is how many cores other work of the machine had meanwhile, the bench's own counting included.
    `memory` is the most that the way's own processes had at one moment, `engine` by how much the engine's grew.
    `whole_*` are those of the whole command, where the measured part is one stage of it.
    """

    up: int
    down: int
    seconds: float
    cpu_laptop: float
    cpu_server: float
    memory_laptop: int
    memory_server: int
    engine_laptop: int
    engine_server: int
    written_laptop: int | None
    written_server: int | None
    others: float = 0.0
    whole_bytes: int = 0
    whole_seconds: float = 0.0

    @property
    def wire(self) -> int:
        """Bytes on the wire, both ways."""
        return self.up + self.down


@dataclass(frozen=True)
class Leg:
    """All works of a trip by one way on one line, once."""

    trip: Trip
    line: Line
    way: str
    run: int


#: (work, way, line) -> the samples of its runs.
Samples = Mapping[tuple[str, str, str], Sequence[Sample]]


def legs(trips: Sequence[Trip], samples: Samples) -> Iterator[Leg]:
    """What is still to be measured, in an order in which the ways of one pair follow each other.

    `samples` may grow while this runs: whether allfast is measured on a line is decided by what it took without one.
    """
    for trip in trips:
        for line in LINES:
            for run in range(trip.runs if line == UNSHAPED else 1):
                for way in trip.ways:
                    taken = min(len(samples.get((work.name, way, line.name), ())) for work in trip.works)
                    if taken <= run and _measured(trip, line, way, samples):
                        yield Leg(trip, line, way, run)


def _measured(trip: Trip, line: Line, way: str, samples: Samples) -> bool:
    """Is it measured, not computed?"""
    if line == UNSHAPED or line.rate is None:
        return True
    if way != ALLFAST:
        return trip.small or (trip.name, line) == CHECKED
    known = [samples.get((work.name, way, UNSHAPED.name), ()) for work in trip.works]
    return all(sample.wire * 8 / line.rate <= LONGEST for runs in known for sample in runs)


def computed(unshaped: Sample, line: Line) -> float:
    """Seconds on a line that was not measured: never less than the line needs for the bytes, nor than it took without.

    It is in favour of the way that it stands for: what cannot happen at the same time is not added up.
    """
    assert line.rate is not None
    return max(unshaped.seconds, unshaped.wire * 8 / line.rate + line.delay)


def scaled(trip: Trip, scale: float) -> Trip:
    """The same with an image of another size; what is a real build stays as it is."""
    return trip if trip.real else dataclasses.replace(trip, size=int(trip.size * scale))


def scale_for(free: int) -> float:
    """How much smaller made images must be for a disk with `free` bytes: 1 where all fit.

    A trip needs its image twice on each engine, twice in the registry, and once while an engine gives or takes it; a
    third of what is free stays so. In steps: a bench that goes on shall find the same scale.
    """
    need = max(trip.size for trip in TRIPS) * 8
    return next((scale for scale in SCALES if need * scale <= free * 2 / 3), SCALES[-1])
