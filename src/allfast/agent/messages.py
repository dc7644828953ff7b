"""Messages as frames of one compressed stream: how both ends write and read them (protocol.py has the form).

A frame is a length (4 bytes, big endian) and so many bytes of raw deflate, flushed at the end of the message, without
the four bytes that end every flush. The stream's context is kept from message to message: what was said before costs
a few bytes. So each frame can be read only after all those before it.
"""

from __future__ import annotations

import json
import struct
import zlib
from typing import Any, Callable, Dict, Optional

#: Bytes of a message, unpacked, at most: a release with its Compose file, or the inputs of a large repository.
MAX_MESSAGE = 64 * 1024 * 1024
#: Bytes of a frame, at most: deflate adds five to each 16 KiB that it cannot make smaller.
MAX_FRAME = MAX_MESSAGE + MAX_MESSAGE // 1024
#: What ends every sync flush, and so need not travel (as in RFC 7692).
_TAIL = b"\x00\x00\xff\xff"
_LENGTH = struct.Struct(">I")
_RAW = -zlib.MAX_WBITS
_LEVEL = 9

Json = Dict[str, Any]


class Damaged(Exception):  # noqa: N818 - it reads better where it is caught
    """What came is no message; nothing that comes after it can be read."""


def encode(message: Json) -> bytes:
    """A message as it stands in a stream, unpacked."""
    return json.dumps(message, separators=(",", ":")).encode()


class Writer:
    """One direction of a connection: its frames must go out whole, each once, and in the order they were made in."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, _RAW)

    def frame(self, encoded: bytes) -> bytes:
        """The frame of a message that was encoded."""
        packed = self._deflate.compress(encoded) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        return _LENGTH.pack(len(packed) - len(_TAIL)) + packed[: -len(_TAIL)]


class Reader:
    """The other end of it."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        """`read(n)` gives 1 to n bytes, and none at the end of input. It is never asked for more than the frame has."""
        self._read = read
        self._inflate = zlib.decompressobj(_RAW)

    def next(self) -> Optional[Json]:
        """The next message; None at the end of input, in the middle of a message, too. Raises `Damaged`."""
        head = self._exactly(_LENGTH.size)
        if head is None:
            return None
        (length,) = _LENGTH.unpack(head)
        if length > MAX_FRAME:
            raise Damaged(f"a message of {length} bytes, packed")
        packed = self._exactly(length)
        return None if packed is None else _decoded(self._unpacked(packed))

    def _unpacked(self, packed: bytes) -> bytes:
        try:
            data = self._inflate.decompress(packed + _TAIL, MAX_MESSAGE + 1)
        except zlib.error as error:
            raise Damaged(f"a message that cannot be unpacked: {error}") from error
        if len(data) > MAX_MESSAGE:
            raise Damaged(f"a message of more than {MAX_MESSAGE} bytes")
        if self._inflate.eof:
            raise Damaged("a message that ends the stream")
        return data

    def _exactly(self, size: int) -> Optional[bytes]:
        data = bytearray()
        while len(data) < size:
            part = self._read(size - len(data))
            if not part:
                return None
            data += part
        return bytes(data)


def _decoded(data: bytes) -> Json:
    try:
        message = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Damaged(f"a message that is no JSON: {error}") from error
    if not isinstance(message, dict):
        raise Damaged("a message that is no JSON object")
    return message
