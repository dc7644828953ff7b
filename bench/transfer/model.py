"""What is measured, as values: lines, ways, works, and what one measurement says."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
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
#: The line that all of allfast's works are measured on first, after the one without a limit.
SLOW = LINES[3]

SAVE, REGISTRY, ALLFAST = "save", "registry", "allfast"
#: Way -> what it is, in words.
WAYS: Mapping[str, str] = {
    SAVE: "(a) `docker save | gzip | ssh docker load`",
    REGISTRY: "(b) `docker push`, `docker pull` through an SSH tunnel",
    ALLFAST: "(c) allfast",
}


#: The state that first deploys begin with.
NEW = "new"


@dataclass(frozen=True)
class Work:
    """Bring the `versions` of an image, one after the other, to a server that has those before: a sample each."""

    name: str
    title: str
    versions: tuple[str, ...]
    ways: tuple[str, ...] = tuple(WAYS)


@dataclass(frozen=True)
class Trip:
    """Works that follow one another on a new server; `prepare` is brought first and not measured.

    `size` is about that of the image in bytes, without the base of a made one. `shaped` are the ways that are measured
    on all lines, and not computed. `real` is a build of the example's web, others are made of as many bytes as are
    wanted. What is measured of `prepare` all the same is told as the work `first`.
    `elsewhere`: what this laptop remembers of it is lost before the works, as if another one had sent it.
    """

    name: str
    title: str
    size: int
    works: tuple[Work, ...]
    prepare: str = ""
    shaped: tuple[str, ...] = (ALLFAST,)
    runs: int = RUNS
    real: bool = False
    first: Work | None = None
    elsewhere: bool = False

    @property
    def ways(self) -> tuple[str, ...]:
        """The ways that do any of the works."""
        return tuple(way for way in WAYS if any(way in work.ways for work in self.works))

    @property
    def told(self) -> tuple[Work, ...]:
        """The works, and before them what is told of `prepare`."""
        return self.works if self.first is None else (self.first, *self.works)

    @property
    def versions(self) -> tuple[str, ...]:
        """All versions of the image, in the order in which they are built."""
        prepared = (self.prepare,) if self.prepare else ()
        return tuple(dict.fromkeys((*prepared, *(version for work in self.works for version in work.versions))))


def _changed(name: str, title: str, ways: tuple[str, ...] = tuple(WAYS)) -> Work:
    return Work(name, title, ("changed",), ways)


def _above(name: str, title: str) -> Work:
    """How the time grows where the changed layer does not: of allfast alone, and so often that it has a median."""
    return Work(name, title, ("above 1", "above 2", "above 3"), (ALLFAST,))


TRIPS = (
    Trip(
        "web",
        "the example's web, a real Next.js build",
        220 * MB,
        (
            Work("first", "web: first deploy", ("base",)),
            Work("same", "web: the same again", ("base",)),
            Work("line", "web: one line changed", ("line",)),
            Work("dependency", "web: a dependency added", ("dependency",)),
        ),
        shaped=tuple(WAYS),
        real=True,
    ),
    Trip(
        "usual",
        "the same web with all that Next.js's `standalone` output has in one layer, as most Dockerfiles do it",
        220 * MB,
        (Work("usual", "web in one layer: one line changed", ("line",)),),
        "base",
        shaped=(REGISTRY, ALLFAST),
        real=True,
    ),
    Trip(
        "other",
        "the same from a laptop that has not sent the version before",
        220 * MB,
        (Work("other", "web in one layer: one line changed, from another laptop", ("line",), (ALLFAST,)),),
        "base",
        real=True,
        elsewhere=True,
    ),
    Trip(
        "python",
        "a Python image: packages, and an app with a model; one file of the app changed",
        1500 * MB,
        (_changed("python", "Python, one file changed"),),
        "base",
    ),
    Trip(
        "mixed",
        "made files of mixed sizes in one layer, one changed; and an app of 20 MB above them",
        500 * MB,
        (
            _above("above", "an app of 20 MB above made files of mixed sizes, one file of the app changed"),
            _changed("mixed", "mixed files, one changed", (ALLFAST,)),
        ),
        "base",
    ),
    Trip(
        "large",
        "the same with ten times as many files below the app",
        5000 * MB,
        (
            _above("above-large", "the same app above ten times the files, the same change"),
            _changed("large", "ten times the mixed files, one changed"),
        ),
        "base",
        runs=1,
        first=Work("large-first", "ten times the mixed files: first deploy", ("base",), (REGISTRY, ALLFAST)),
    ),
    # The last one: what so many files leave slows what follows
    Trip(
        "files",
        "100,000 small files in one layer, ten changed",
        290 * MB,  # and 130 MB of its base
        (_changed("files", "100,000 files, ten changed"),),
        "base",
    ),
)
#: The pair of a big image that is measured all the same, to see whether the rule of computed cells holds for it.
CHECKED = ("python", LINES[1])


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

    @property
    def works(self) -> tuple[Work, ...]:
        """Those that its way does."""
        return tuple(work for work in self.trip.works if self.way in work.ways)

    @property
    def is_early(self) -> bool:
        """Is it of the first round, after which all targets have a figure and all works a cell on each line?"""
        shaped = self.way != SAVE and (self.line == SLOW or self.trip.real)
        return self.run == 0 and (self.line == UNSHAPED or shaped)

    @property
    def begins(self) -> str:
        """The state that it begins with: a new one, or the way by which the version before was brought.

        Where `docker load` finds an image, it does not matter how that came.
        """
        return NEW if not self.trip.prepare else REGISTRY if self.way == SAVE else self.way


#: (work, way, line) -> the samples of its runs.
Samples = Mapping[tuple[str, str, str], Sequence[Sample]]


def legs(trips: Sequence[Trip], samples: Samples, ways: Collection[str] = WAYS) -> Iterator[Leg]:
    """What is still to be measured of these ways, in an order in which the ways of one pair follow each other.

    `samples` may grow while this runs: whether allfast is measured on a line is decided by what it took without one.
    """
    for trip in trips:
        for line in LINES:
            for run in range(trip.runs if line == UNSHAPED else 1):
                for way in (one for one in trip.ways if one in ways):
                    leg = Leg(trip, line, way, run)
                    if _taken(leg, samples) <= run and _measured(leg, samples):
                        yield leg


def _taken(leg: Leg, samples: Samples) -> int:
    """How many runs were."""
    return min(len(samples.get((one.name, leg.way, leg.line.name), ())) // len(one.versions) for one in leg.works)


def _measured(leg: Leg, samples: Samples) -> bool:
    """Is it measured, not computed?"""
    line, way = leg.line, leg.way
    if line.rate is None:
        return True
    if way not in leg.trip.shaped:
        return (leg.trip.name, line) == CHECKED
    known = [samples.get((work.name, way, UNSHAPED.name), ()) for work in leg.works]
    return way != ALLFAST or all(sample.wire * 8 / line.rate <= LONGEST for runs in known for sample in runs)


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

    A trip needs its image twice on the laptop, twice in the registry, four times on the server (two kept states, and as
    it is) and once while an engine gives or takes it; a third of what is free stays so. In steps: a bench that goes on
    shall find the same scale.
    """
    need = max(trip.size for trip in TRIPS) * 9
    return next((scale for scale in SCALES if need * scale <= free * 2 / 3), SCALES[-1])
