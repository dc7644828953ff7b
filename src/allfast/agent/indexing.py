"""Makes the indexes of the layers that came, in the background and only while none is coming.

The engine takes its time for what it loads: until then most are made. One that is not is made when somebody asks.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from typing import Deque, Iterator, Optional

from allfast.agent import gentle
from allfast.agent.layer_cache import LayerCache
from allfast.agent.protocol import AgentError


class Indexing:
    """One thread at most; for several threads."""

    def __init__(self, cache: LayerCache) -> None:
        self._cache = cache
        self._wanted: Deque[str] = deque()
        self._coming = 0
        self._changed = threading.Condition()
        self._thread: Optional[threading.Thread] = None
        self._stopped = False

    @contextlib.contextmanager
    def waits(self) -> Iterator[None]:
        """No index is made meanwhile."""
        with self._changed:
            self._coming += 1
        try:
            yield
        finally:
            with self._changed:
                self._coming -= 1
                self._changed.notify_all()

    def want(self, layer: str) -> None:
        """Have the index of a whole layer made."""
        with self._changed:
            self._wanted.append(layer)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True)
                self._thread.start()

    def finish(self) -> None:
        """Wait until all that is wanted is made."""
        with self._changed:
            thread = self._thread
        if thread is not None:
            thread.join()

    def stop(self) -> None:
        """Make nothing of what is wanted, and nothing of it is under way any more."""
        with self._changed:
            self._wanted.clear()
            self._stopped = True
            self._changed.notify_all()
        self.finish()
        with self._changed:
            self._stopped = False

    def _run(self) -> None:
        gentle.yield_to_others()
        while True:
            with self._changed:
                if not self._wanted:
                    self._thread = None
                    return
                layer = self._wanted.popleft()
            # It fell out of the cache, or the disk is full: then there is none.
            with contextlib.suppress(AgentError, OSError, _Stopped):
                self._cache.make_index(layer, self._pause)

    def _pause(self) -> None:
        """Wait while a layer is coming."""
        if self._coming and not self._stopped:
            with self._changed:
                self._changed.wait_for(lambda: self._stopped or not self._coming)
        if self._stopped:
            raise _Stopped


class _Stopped(Exception):  # noqa: N818 - it reads better where it is caught
    """The index is not to be made."""
