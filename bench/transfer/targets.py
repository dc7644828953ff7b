"""The targets, and whether they are reached; a pure function of the figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from allfast.text import megabytes, seconds
from bench.transfer.model import ALLFAST, LINES, MB, REGISTRY, SAVE, SLOW, TRIPS, UNSHAPED, Work
from bench.transfer.results import Figures

#: The one-line change, of the example as it is built, and of the same in one layer.
LINE_CHANGED = tuple(work for trip in TRIPS if not trip.elsewhere for work in trip.works if work.versions == ("line",))
#: The latter from another laptop, which the other ways do not know.
ELSEWHERE = next(work for trip in TRIPS if trip.elsewhere for work in trip.works)
#: All that is measured of the largest image.
LARGEST = next(trip.told for trip in TRIPS if trip.name == "large")
#: The work in which nothing is to be shipped.
SAME = "same"
SLOW_LINES = tuple(line for line in LINES if line.rate == 20e6)
#: The ways that targets compare by their seconds.
PAIR = (ALLFAST, REGISTRY)
APART = "measured apart"
#: How many seconds are "seconds", and no minutes.
FEW = 10


@dataclass(frozen=True)
class Target:
    """`reached` is None while something of it was not measured."""

    what: str
    found: str
    reached: bool | None

    @property
    def verdict(self) -> str:
        """In a word."""
        if self.reached is None:
            return "not all measured" if self.found else "not measured"
        return "pass" if self.reached else "MISS"


def targets(figures: Figures) -> list[Target]:
    """All of them, in the order of the page."""
    return [
        *(target for work in LINE_CHANGED for target in (*_bytes(figures, work), *_seconds(figures, work))),
        *_bytes(figures, ELSEWHERE, LINE_CHANGED[-1]),
        _anywhere(figures, ELSEWHERE),
        _nowhere_slower(figures, "every change", [work for work in _compared() if work.name != SAME]),
        _nowhere_slower(figures, "the same again", [work for work in _compared() if work.name == SAME]),
        *_memory(figures),
        *_largest(figures),
        _growth(figures, "the same change of a layer of the same size", ("above", "above-large")),
        _growth(figures, "the same change of a layer that grows with it", ("mixed", "large")),
    ]


def _bytes(figures: Figures, work: Work, others: Work | None = None) -> Iterator[Target]:
    """`others` is the work that the other ways have done, if it is not the same."""
    mine = figures.median(work.name, ALLFAST, "wire")
    whole = figures.median(work.name, ALLFAST, "whole_bytes")
    for way, share in ((SAVE, 1000), (REGISTRY, 100)):
        theirs = figures.median((others or work).name, way, "wire")
        name = "(a)" if way == SAVE else "(b)"
        what = f"{work.title}: at most 1/{share:,} of {name}'s bytes (stage `ship`)"
        if mine is None or whole is None or theirs is None:
            yield Target(what, "", None)
        else:
            found = f"{megabytes(mine)} of {megabytes(theirs)}: 1/{theirs / mine:,.1f}"
            found += f"; whole command: {megabytes(whole)}, 1/{theirs / whole:,.1f}"
            yield Target(what, found, mine * share <= theirs)
    yield _below(f"{work.title}: under 100 kB travel (stage `ship`)", mine, 100_000, megabytes)


def _seconds(figures: Figures, work: Work) -> Iterator[Target]:
    for line in SLOW_LINES:
        mine, theirs = figures.seconds(work.name, ALLFAST, line), figures.seconds(work.name, REGISTRY, line)
        what = f"{work.title}, {line.name}: at most 1/5 of (b)'s seconds"
        if mine is None or theirs is None or mine[1]:
            yield Target(what, "", None)
        else:
            apart = "" if figures.together(work.name, PAIR, line) else f" ({APART})"
            found = f"{seconds(mine[0])} of {seconds(theirs[0])}: 1/{theirs[0] / mine[0]:.1f}{apart}"
            yield Target(what, found, mine[0] * 5 <= theirs[0])
    yield _anywhere(figures, work)


def _anywhere(figures: Figures, work: Work) -> Target:
    what = f"{work.title}: on the server in under 3 s (stage `ship`), whatever the line"
    taken = [figures.median(work.name, ALLFAST, "seconds", line) for line in LINES]
    known = [one for one in taken if one is not None]
    if not known:
        return Target(what, "", None)
    slowest = max(known)
    return Target(what, seconds(slowest), False if slowest >= 3 else None if None in taken else True)


def _compared() -> Iterator[Work]:
    """The works that (b) and (c) do."""
    return (work for trip in TRIPS for work in trip.works if REGISTRY in work.ways)


def _nowhere_slower(figures: Figures, which: str, works: Sequence[Work]) -> Target:
    """Pairs of measured ones, and those in which (b)'s is computed: the rule favours it."""
    what = f"{which}, on every line: never more than (b)'s seconds"
    ratios: dict[str, float] = {}
    missing, apart = False, 0
    for work in works:
        for line in LINES:
            mine, theirs = figures.seconds(work.name, ALLFAST, line), figures.seconds(work.name, REGISTRY, line)
            if mine is None or mine[1] or theirs is None:
                missing = True
            else:
                ratios[f"{work.title}, {line.name}"] = mine[0] / theirs[0]
                apart += not figures.together(work.name, PAIR, line)
    if not ratios:
        return Target(what, "", None)
    worst = max(ratios, key=lambda name: ratios[name])
    slower = sum(ratio > 1 for ratio in ratios.values())
    found = f"{slower} of {len(ratios)} slower; the worst: {ratios[worst]:.2f} times ({worst})"
    found += f"; {apart} {APART}" if apart else ""
    return Target(what, found, False if slower else None if missing else True)


def _memory(figures: Figures) -> Iterator[Target]:
    for side, bound in (("laptop", 200), ("server", 150)):
        peaks = [figures.median(work.name, ALLFAST, f"memory_{side}") for work in LARGEST]
        found = max((peak for peak in peaks if peak is not None), default=None) if None not in peaks else None
        yield _below(
            f"the largest image, first deploy and change: peak memory under {bound} MB on the {side}",
            found,
            bound * MB,
            megabytes,
        )


def _largest(figures: Figures) -> Iterator[Target]:
    """A changed file in a layer above the big one, and in the big one itself."""
    for work in LARGEST[1:]:
        taken = figures.median(work.name, ALLFAST, "seconds", SLOW)
        yield _below(f"{work.title}, {SLOW.name}: on the server in seconds, under {FEW}", taken, FEW, seconds)


def _growth(figures: Figures, change: str, works: tuple[str, str]) -> Target:
    what = f"an image of ten times the size, {change}: at most 1.5 times the seconds"
    small, large = (figures.median(work, ALLFAST, "seconds", UNSHAPED) for work in works)
    if small is None or large is None:
        return Target(what, "", None)
    return Target(what, f"{seconds(small)} and {seconds(large)}: {large / small:.1f} times", large <= 1.5 * small)


def _below(what: str, found: float | None, bound: float, words: object) -> Target:
    if found is None:
        return Target(what, "", None)
    assert callable(words)
    return Target(what, str(words(found)), found < bound)
