"""The checks of the proof: each gives right, wrong, or could-not-be-asked, with the words for people.

Only "wrong" leads to a rollback: a false rollback is as bad as a false "done".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["right", "wrong", "could-not-be-asked"]


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check; `evidence` are lines that show the cause of a wrong one."""

    check: str
    service: str
    result: Verdict
    text: str
    evidence: tuple[str, ...] = ()
    hint: str = ""  # the next step, where this check knows a better one than to look
    stale: bool = False  # the container itself reports another version than its image should have
