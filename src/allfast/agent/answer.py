"""What an engine answers as it arrives: bytes, or JSON values."""

from __future__ import annotations

import http.client
import json
from typing import Any, Callable, ContextManager, Iterator, Mapping

#: Bytes of one value in a stream of them, at most.
MAX_VALUE = 1024 * 1024


class Answer:
    """A streamed answer: read it as bytes or as JSON values.

    Each read is done within a context of `reached`, which tells errors of the connection from those of who reads.
    """

    def __init__(self, response: http.client.HTTPResponse, reached: Callable[[], ContextManager[None]]) -> None:
        self._response = response
        self._reached = reached

    @property
    def headers(self) -> Mapping[str, str]:
        """The answer's headers."""
        return dict(self._response.getheaders())

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes, empty at the end."""
        with self._reached():
            return self._response.read(size) if size >= 0 else self._response.read()

    def chunks(self, size: int = 1 << 16) -> Iterator[bytes]:
        """The body as it arrives, in parts of at most `size` bytes."""
        while True:
            with self._reached():
                part = self._response.read1(size)
            if not part:
                return
            yield part

    def values(self) -> Iterator[Any]:
        """The body as a sequence of JSON values, as they arrive (progress, events)."""
        decoder = json.JSONDecoder()
        text = b""
        for part in self.chunks():
            *lines, text = (text + part).split(b"\n")
            for line in lines:
                if line.strip():
                    yield json.loads(line)
            if len(text) > MAX_VALUE:
                with self._reached():
                    raise http.client.HTTPException(f"a line of more than {MAX_VALUE} bytes")
        rest = text.decode().strip()
        while rest:
            value, end = decoder.raw_decode(rest)
            yield value
            rest = rest[end:].lstrip()
