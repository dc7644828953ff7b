"""How far a long piece of work on the server is, told to the laptop, which else would see nothing go on."""

from __future__ import annotations

import time
from typing import Any, Callable, Dict

#: Seconds of a piece of work before anything is told of it, and from one telling to the next.
EVERY = 1.0

Note = Callable[[Dict[str, Any]], None]
#: Hears how many bytes are done, and of how many (0: that is not known).
Tell = Callable[[int, int], None]


def unheard(_: Dict[str, Any]) -> None:
    """A note that nobody waits for."""


class Telling:
    """Notes `{"work", "done", "of", "seconds"}`: bytes that are done, of how many, in how many seconds; for one thread.

    Work is `reading` a layer out of the engine, `loading`, where the engine takes an image, and `unpacking`, where it
    has taken it.
    """

    def __init__(self, note: Note, work: str) -> None:
        self._note = note
        self._work = work
        self._began = self._told = time.monotonic()
        self._heard = False

    def at(self, done: int, total: int) -> None:
        """So far is what is being done."""
        now = time.monotonic()
        if now - self._told >= EVERY:
            self._told, self._heard = now, True
            self._note({"work": self._work, "done": done, "of": total, "seconds": now - self._began})

    def then(self, work: str, total: int) -> None:
        """Something else begins, which is told at once where anything was."""
        self._work, self._began = work, time.monotonic()
        if self._heard:
            self._told = float("-inf")
            self.at(0, total)
