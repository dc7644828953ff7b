"""What a server is at while nothing travels (agent/telling.py), as those hear it who wait for that."""

from __future__ import annotations

import threading
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


#: Hears of a server's work, if that takes a while; from any thread.
Works = Callable[[Work], None]


def unheard(_: Work) -> None:
    """Nobody listens."""


class Hearing:
    """Hands on what an agent notes of its work, for as long as the block lasts, and that it is over then."""

    def __init__(self, works: Works) -> None:
        self._works = works
        self._mutex = threading.Lock()  # a note comes from the connection's thread
        self._last: Work | None = None
        self._ended = False

    def __enter__(self) -> Hearing:
        return self

    def __exit__(self, *_: object) -> None:
        with self._mutex:
            self._ended = True
        self.over()

    def note(self, note: dict[str, Any]) -> None:
        """The agent notes how far it is (agent/telling.py)."""
        with self._mutex:
            if not self._ended:
                self._last = Work(str(note["work"]), int(note["done"]), int(note["total"]), float(note["seconds"]))
                self._works(self._last)

    def over(self) -> None:
        """What was noted last is done, or given up."""
        with self._mutex:
            last, self._last = self._last, None
            if last is not None:
                self._works(replace(last, over=True))
