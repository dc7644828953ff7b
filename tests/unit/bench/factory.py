"""Samples as the bench of the transfer might have taken them."""

from __future__ import annotations

from typing import Any

from bench.transfer.model import ALLFAST, LINES, MB, REGISTRY, SAVE, TRIPS, UNSHAPED
from bench.transfer.results import Taken

#: What the samples are of.
ABOUT: dict[str, Any] = {
    "machine": {"processor": "p", "cores": 2, "memory": 8, "kernel": "6", "python": "3", "engine": "26"},
    "scale": 1.0,
    "bench": "b",
    "allfast": "one",
    "commit": "abcdef0",
}
#: Way -> bytes on the wire, seconds without a limit.
TYPICAL = {SAVE: (100 * MB, 20.0), REGISTRY: (15 * MB, 4.0), ALLFAST: (60_000, 1.0)}


def sample(wire: int = 1000, seconds: float = 1.0, memory: int = 50 * MB, run: str = "") -> Taken:
    """One with that many bytes to the server."""
    return Taken(wire, 0, seconds, 1.0, 1.0, memory, memory, 0, 0, wire, None, 0.0, wire + 5000, seconds + 1, run=run)


def typical() -> dict[tuple[str, str, str], list[Taken]]:
    """One run of each work by each way without a limit, and on all lines where that is measured."""
    found = {}
    for trip in TRIPS:
        for work in trip.told:
            for way in work.ways:
                wire, seconds = TYPICAL[way]
                found[work.name, way, UNSHAPED.name] = [sample(wire, seconds)]
                for line in LINES[1:]:
                    assert line.rate
                    if way in trip.shaped and work != trip.first:
                        found[work.name, way, line.name] = [sample(wire, seconds + wire * 8 / line.rate)]
    return found
