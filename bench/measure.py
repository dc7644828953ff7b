"""How figures are taken: pairs in turns, medians, and a table."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Figure:
    """One measured figure: seconds (or a number, with another unit) of each run, and the target.

    The median should stay under the target.
    """

    name: str
    what: str
    runs: tuple[float, ...]
    target: float | None = None
    detail: Mapping[str, float] = field(default_factory=dict)  # medians of its parts, in seconds
    unit: str = "s"  # "" for a number

    @property
    def median(self) -> float:
        """The median of the runs."""
        return statistics.median(self.runs)

    @property
    def verdict(self) -> str:
        """`yes` or `NO` where there is a target."""
        return "" if self.target is None else "yes" if self.median < self.target else "NO"


def in_turns(runs: int, ways: Mapping[str, Callable[[], float]]) -> dict[str, tuple[float, ...]]:
    """Measure each way `runs` times, in turns: what slows the machine for a while slows all of them."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(runs):
        for name, way in ways.items():
            taken[name].append(way())
    return {name: tuple(values) for name, values in taken.items()}


def differences(one: Sequence[float], other: Sequence[float]) -> tuple[float, ...]:
    """`one` minus `other`, pair by pair."""
    return tuple(a - b for a, b in zip(one, other, strict=True))


def table(figures: Sequence[Figure]) -> list[str]:
    """The figures as aligned lines: median, smallest, largest, target, reached."""
    rows = [("figure", "median", "min", "max", "target", "reached")]
    for one in figures:
        digits, unit = (2, f" {one.unit}") if one.unit else (0, "")
        target = "" if one.target is None else f"< {one.target:g}{unit}"
        median, least, most = (f"{value:.{digits}f}" for value in (one.median, min(one.runs), max(one.runs)))
        spread = (median + unit, least, most)
        rows.append((one.name, *spread, target, one.verdict))
        rows += [(f"    {part}", f"{value:.2f} s", "", "", "", "") for part, value in one.detail.items()]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
