"""How fast something goes, as far as it was watched."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Seconds that must have been watched before a rate is told.
KNOWN_AFTER = 1.0

Clock = Callable[[], float]


class Pace:
    """Bytes that have arrived on the other side, over the seconds in which some were on their way; for several threads.

    What lies in buffers on the way has not arrived: on a slow line these hold the work of seconds.
    """

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._mutex = threading.Lock()
        self._under_way: deque[int] = deque()
        self._arrived = 0
        self._seconds = 0.0
        self._since: float | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Something is being sent within the block."""
        with self._mutex:
            self._since = self._clock()
        try:
            yield
        finally:
            with self._mutex:
                self._seconds, self._since = self._watched(), None
                self._under_way.clear()

    def leaves(self, size: int) -> None:
        """So many bytes are on their way."""
        with self._mutex:
            self._under_way.append(size)

    def arrives(self) -> None:
        """The first of what is on its way has arrived."""
        with self._mutex:
            if self._under_way:
                self._arrived += self._under_way.popleft()

    @property
    def rate(self) -> float | None:
        """Bytes a second; None as long as nobody can tell."""
        with self._mutex:
            seconds = self._watched()
            return self._arrived / seconds if self._arrived and seconds >= KNOWN_AFTER else None

    def _watched(self) -> float:
        return self._seconds + (0.0 if self._since is None else self._clock() - self._since)
