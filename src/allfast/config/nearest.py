"""The name that was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(wrong: str, names: Iterable[str]) -> str:
    """`did you mean "web"? `, or "" where no name is near."""
    found = difflib.get_close_matches(wrong, sorted(names), n=1, cutoff=0.6)
    return f'did you mean "{found[0]}"? ' if found else ""
