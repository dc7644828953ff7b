"""How far a pull is, from the events that the engine tells of it (Engine API, "Create an image")."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

from allfast.images.pace import KNOWN_AFTER, Clock
from allfast.images.pull_choice import Outcome, Pulling

#: Digits by which the engine names a blob in its events.
SHORT = 12
#: What is said of a blob that is fetched as a whole.
_FETCHED = ("Verifying Checksum", "Download complete", "Extracting", "Pull complete")


class PullProgress:
    """For several threads.

    Args:
        blobs: what the image has in the registry: digest -> bytes.
    """

    def __init__(self, blobs: Mapping[str, int], clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._mutex = threading.Lock()
        self._sizes = {digest.removeprefix("sha256:")[:SHORT]: size for digest, size in blobs.items()}
        self._fetched: dict[str, int] = {}
        self._last: dict[str, tuple[str, int]] = {}
        self._moved = clock()
        self._first: float | None = None  # when the first bytes came
        self._outcome: Outcome | None = None

    def take(self, event: Mapping[str, Any]) -> None:
        """The engine told something."""
        blob, status = str(event.get("id", "")), str(event.get("status", ""))
        current = int((event.get("progressDetail") or {}).get("current") or 0)
        with self._mutex:
            if blob not in self._sizes:
                return
            if status == "Already exists":
                del self._sizes[blob]
                return
            if status not in (*_FETCHED, "Downloading") or self._last.get(blob) == (status, current):
                return  # it waits, or tries again: that is no progress
            self._last[blob] = (status, current)
            self._moved = self._clock()
            self._first = self._moved if self._first is None else self._first
            self._fetched[blob] = self._sizes[blob] if status in _FETCHED else min(current, self._sizes[blob])

    def end(self, outcome: Outcome) -> None:
        """The pull has ended; the first outcome counts."""
        with self._mutex:
            self._outcome = self._outcome or outcome

    @property
    def pulling(self) -> Pulling:
        """How it stands now."""
        with self._mutex:
            now, fetched = self._clock(), sum(self._fetched.values())
            seconds = 0.0 if self._first is None else now - self._first
            rate = fetched / seconds if seconds >= KNOWN_AFTER else None
            return Pulling(sum(self._sizes.values()) - fetched, rate, now - self._moved, self._outcome)
