"""How far a long piece of work on the server is, told to the laptop, which else would see nothing go on."""

from __future__ import annotations

import threading
import time
from typing import Any, Callable, Dict, NamedTuple

#: Seconds of a piece of work before anything is told of it, and from one note to the next.
EVERY = 1.0

Note = Callable[[Dict[str, Any]], None]
#: Hears how many bytes are done, and of how many (0: that is not known yet). What it raises ends the work.
Tell = Callable[[int, int], None]


def unheard(_: Dict[str, Any]) -> None:
    """A note that nobody waits for."""


class _State(NamedTuple):
    work: str
    done: int
    total: int
    began: float


class Telling:
    """Notes `{"work", "done", "total", "seconds"}` once a second while the block lasts, from its first second on.

    Those are bytes, and seconds since the first of them. Work is `reading` a layer out of the engine, `loading`, where
    the engine takes an image, and `unpacking`, where it has taken it: not every engine says how far it is with that.
    """

    def __init__(self, note: Note, work: str) -> None:
        self._note = note
        self._state = _State(work, 0, 0, time.monotonic())
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._tell, daemon=True)

    def __enter__(self) -> Telling:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def at(self, done: int, total: int) -> None:
        """So many bytes are done, of so many."""
        state = self._state
        again = done < state.done or total != state.total or (done > 0 and not state.done)
        self._state = _State(state.work, done, total, time.monotonic() if again else state.began)

    def then(self, work: str, total: int) -> None:
        """That was done; other work begins."""
        self._state = _State(work, 0, total, time.monotonic())

    def _tell(self) -> None:
        while not self._over.wait(EVERY):
            state = self._state
            seconds = time.monotonic() - state.began
            self._note({"work": state.work, "done": state.done, "total": state.total, "seconds": seconds})
