"""The sending half of a connection to an agent: a message leaves it whole, or is the last one."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from typing import IO

from allfast.agent import messages


class Outlet:
    """Sends messages, for any number of threads.

    The agent can unpack a message only after all those before it. So none follows one that is not in the sink's buffer
    as a whole, whatever ended it. What is there goes out with the next one, also where this one was interrupted.
    """

    def __init__(self, sink: IO[bytes], torn: Callable[[], None]) -> None:
        """`torn` is called when an interrupt has left a message in pieces."""
        self._sink = sink
        self._when_torn = torn
        self._writer = messages.Writer()
        self._mutex = threading.Lock()  # a message is packed and written under it: in one order
        self._torn = False

    def plain(self, data: bytes) -> None:
        """Send bytes as they are, before the first message. Raises `OSError`: the other end is gone."""
        self._sink.write(data)
        self._sink.flush()

    def send(self, encoded: bytes, body: IO[bytes] | None = None) -> None:
        """Send a message (`messages.encode`) and its body. Raises `OSError` or `ValueError`: nothing can be sent."""
        with self._mutex:
            self._put(encoded, body)
            self._sink.flush()

    def beat(self) -> None:
        """Send a sign of life, unless something is being sent, which is one. Raises as `send`."""
        if self._mutex.acquire(blocking=False):
            try:
                self._put(messages.encode({}))
                self._sink.flush()
            finally:
                self._mutex.release()

    def _put(self, encoded: bytes, body: IO[bytes] | None = None) -> None:
        if self._torn:
            raise BrokenPipeError("a message before this one is in pieces")
        try:
            self._torn = True
            self._sink.write(self._writer.frame(encoded))
            if body is not None:
                shutil.copyfileobj(body, self._sink, 1 << 16)
            self._torn = False
        except (OSError, ValueError):
            raise
        except BaseException:
            if self._torn:
                self._when_torn()
            raise
