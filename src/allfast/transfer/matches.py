"""What two versions of one small file have in common, as copies: the work of a moment, in plain Python."""

from __future__ import annotations

from typing import NamedTuple

#: Bytes that must be equal for a copy to be worth its step; also the grid on which the old version is looked up.
SEED = 16
#: Places that are looked at without a match before the search begins to leap.
PATIENCE = 256


class Match(NamedTuple):
    """`size` bytes at `new` in the new version that stand at `old` in the old one."""

    new: int
    old: int
    size: int


def matches(old: bytes, new: bytes) -> list[Match]:
    """Copies out of `old`, in the order of `new`, that do not overlap there."""
    found: list[Match] = []
    head = _same_ahead(old, 0, new, 0)
    if head >= SEED:
        found.append(Match(0, 0, head))
    start = head if found else 0
    tail = min(_same_behind(old, len(old), new, len(new)), len(new) - start)
    end = len(new) - tail if tail >= SEED else len(new)
    found += _between(old, new, start, end)
    if end < len(new):
        found.append(Match(end, len(old) - (len(new) - end), len(new) - end))
    return found


def _between(old: bytes, new: bytes, start: int, end: int) -> list[Match]:
    if end - start < SEED or len(old) < SEED:
        return []
    grid = {old[at : at + SEED]: at for at in range(len(old) - SEED, -1, -SEED)}
    found: list[Match] = []
    at, taken, missed = start, start, 0
    while at + SEED <= end:
        place = grid.get(new[at : at + SEED])
        if place is None:
            missed += 1
            at += 1 + missed // PATIENCE
            continue
        before = min(_same_behind(old, place, new, at), at - taken)
        size = before + min(_same_ahead(old, place, new, at), end - at)
        found.append(Match(at - before, place - before, size))
        at = taken = at - before + size
        missed = 0
    return found


def _same_ahead(old: bytes, i: int, new: bytes, j: int) -> int:
    """How many bytes from `old[i]` and `new[j]` on are equal."""
    size, step = 0, SEED
    most = min(len(old) - i, len(new) - j)
    while step:
        if size + step <= most and old[i + size : i + size + step] == new[j + size : j + size + step]:
            size += step
            step *= 2
        else:
            step //= 2
    return size


def _same_behind(old: bytes, i: int, new: bytes, j: int) -> int:
    """How many bytes before `old[i]` and `new[j]` are equal."""
    size, step = 0, SEED
    most = min(i, j)
    while step:
        if size + step <= most and old[i - size - step : i - size] == new[j - size - step : j - size]:
            size += step
            step *= 2
        else:
            step //= 2
    return size
