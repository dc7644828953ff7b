"""Numbers and times in words, the same everywhere."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
#: All that a terminal acts on (C0, DEL, C1) but line feed and tab; and what turns the direction of writing.
_ACTED_ON = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
DAY = 86400.0  # seconds


def seconds(value: float) -> str:
    """A duration in seconds: `0.4 s`, `12 s`, `3 min 05 s`."""
    if round(value, 1) < 10:
        return f"{value:.1f} s"
    whole = round(value)
    return f"{whole} s" if whole < 100 else f"{whole // 60} min {whole % 60:02} s"


def time_left(size: int, rate: float) -> str:
    """What is left of `size` bytes at `rate` bytes a second, as a clause; "" where that is not known, or nothing."""
    return f", {seconds(size / rate)} left" if rate and size > 0 else ""


def megabytes(value: float) -> str:
    """A size in bytes, in decimal units: `812 B`, `60.3 kB`, `15.0 MB`, `4.70 GB`."""
    if value < 1000:
        return f"{value:.0f} B"
    for unit, size in (("kB", 1e3), ("MB", 1e6)):
        if value < size * 1000:
            return f"{value / size:.1f} {unit}"
    return f"{value / 1e9:.2f} GB"


def moment(value: float) -> str:
    """A moment (epoch seconds) in UTC: `2026-11-22 17:14:37 UTC`."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(value))


def verdict(result: str) -> str:
    """The result of a check: `right`, `wrong`, `could not be asked`."""
    return result.replace("-", " ")


def ago(then: float, now: float) -> str:
    """How long ago `then` was: `41 s ago`, `12 min ago`, `3 h ago`, `5 days ago`."""
    passed = max(0.0, now - then)
    for limit, size, unit in ((100, 1, "s"), (6000, 60, "min"), (48 * 3600, 3600, "h")):
        if passed < limit:
            return f"{passed / size:.0f} {unit} ago"
    return f"{passed / DAY:.0f} days ago"


def table(rows: Sequence[tuple[str, ...]], indent: int = 2) -> list[str]:
    """Rows of equal length as aligned columns, without trailing spaces."""
    if not rows:
        return []
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return [" " * indent + line.rstrip() for line in lines]


def printable(text: str, indent: int = 0) -> str:
    """`text` so that a terminal only shows it, whoever wrote it: containers, their visitors, a server.

    Colours are taken out, other control characters are shown as `\\x1b`, and further lines begin with `indent` spaces.
    """
    plain = _COLOUR.sub("", text).replace("\r\n", "\n").rstrip("\r")
    shown = _ACTED_ON.sub(lambda found: repr(found[0])[1:-1], plain)
    return shown.replace("\n", "\n" + " " * indent) if indent else shown
