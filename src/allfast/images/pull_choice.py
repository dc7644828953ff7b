"""Whether a base's layers are sent, while the server pulls that base by itself. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

#: Seconds without any progress after which a pull is given up: nothing waits for one that does not move.
STALLED = 5.0


class Outcome(StrEnum):
    """How a pull ended."""

    DONE = "done"
    FAILED = "failed"
    GIVEN_UP = "given up"


class Choice(StrEnum):
    """What is done about the base's layers."""

    PULLED = "pulled"  # they are there: nothing is sent
    WAIT = "wait"  # nothing is sent: the pull is there sooner
    BOTH = "both"  # they are sent, and the pull goes on: nobody can tell yet which is there sooner
    SEND = "send"  # they are sent, and the pull is given up


@dataclass(frozen=True, slots=True)
class Pulling:
    """How a pull stands: bytes `left` to fetch, `rate` in bytes a second (None: not known yet), `silent` seconds."""

    left: int
    rate: float | None = None
    silent: float = 0.0
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Sending:
    """How sending stands: bytes `left` for the wire, about, and `rate` in bytes a second (None: not known yet)."""

    left: int
    rate: float | None = None


def why_given_up(pulling: Pulling) -> str:
    """In words, for somebody who reads that a pull was given up."""
    return f"it has not moved for {STALLED:.0f} s" if pulling.silent >= STALLED else "sending is sooner done"


def choose(pulling: Pulling, sending: Sending) -> Choice:
    """What is there sooner, as far as rates tell. Unpacking is not in it: the engine does that with both."""
    if pulling.outcome is not None:
        return Choice.PULLED if pulling.outcome is Outcome.DONE else Choice.SEND
    if pulling.silent >= STALLED or sending.left <= 0:
        return Choice.SEND
    if pulling.left <= 0:
        return Choice.WAIT
    if pulling.rate is None or sending.rate is None:
        return Choice.BOTH
    # left / rate on both sides, without a division: a rate can be 0
    return Choice.WAIT if pulling.left * sending.rate < sending.left * pulling.rate else Choice.SEND
