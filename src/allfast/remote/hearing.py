"""What a server is at while nothing travels (agent/telling.py), as those hear it who wait for that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Work:
    """What a server is at while nothing travels, as the agent tells it: `done` bytes of `total` (0: not known).

    `over`: this is the last that is told of it.
    """

    name: str  # reading | loading | unpacking
    done: int
    total: int
    seconds: float
    over: bool = False


#: Hears of a server's work, if that takes a while, in the thread that waits for it.
Works = Callable[[Work], None]


def unheard(_: Work) -> None:
    """Nobody listens."""


class Hearing:
    """What an agent notes of its work, handed on by who waits for that: the connection's own thread has no time for it.

    `note` and `clear` are for that thread, all else for the one that waits.
    """

    def __init__(self, works: Works) -> None:
        self._works = works
        self._newest: Work | None = None
        self._told: Work | None = None

    def note(self, note: dict[str, Any]) -> None:
        """The agent notes how far it is (agent/telling.py)."""
        self._newest = Work(str(note["work"]), int(note["done"]), int(note["total"]), float(note["seconds"]))

    def clear(self) -> None:
        """What was noted last is done."""
        self._newest = None

    def look(self) -> None:
        """Tell what is new, if anything is."""
        newest = self._newest
        if newest is None:
            self.over()
        elif newest is not self._told:
            self._told = newest
            self._works(newest)

    def over(self) -> None:
        """What was told last is done, or nobody waits for it any more."""
        told, self._told = self._told, None
        if told is not None:
            self._works(replace(told, over=True))
