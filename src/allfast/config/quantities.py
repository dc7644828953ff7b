"""Quantities as `allfast.toml` writes them: a whole number and one unit, "30d" or "10m", "2GiB"."""

from __future__ import annotations

import re
from datetime import timedelta

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_BYTES = {"MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_SIZE = re.compile(r"([1-9][0-9]{0,5})([MGT]iB)", re.ASCII)
_DURATION = re.compile(r"([1-9][0-9]{0,5})([smhd])", re.ASCII)


def duration(text: str) -> timedelta:
    """The time span of "45s", "10m", "2h" or "30d"; ValueError for anything else, zero too."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError('should be a duration above zero, such as "45s", "10m", "2h" or "30d"')
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def size(text: str) -> int:
    """The bytes of "512MiB", "2GiB" or "1TiB"; ValueError for anything else, zero too."""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError('should be a size such as "512MiB" or "2GiB"')
    return int(found[1]) * _BYTES[found[2]]
