"""Keys of bodies, and the chunks of large ones. Made on both ends, always the same for the same bytes.

Keys are the first 8 bytes of a SHA-256. Short, because another laptop may have to ask for them; a body that is taken
for another one makes a layer with another diff id, which is found out before it is used.

A body of `CHUNKED` bytes or more, or with the rest of the tar, has chunks: pieces whose ends depend on the bytes around
them, so that an insertion changes one or two of them and not all that follow. Its key is the key of its chunks' keys.
"""

from __future__ import annotations

import hashlib
import re
from typing import Callable, Iterator, List, NamedTuple, Tuple

KEY = 8
CHUNKED = 1 << 16
CHUNK_LEAST, CHUNK_MOST = 1 << 14, 1 << 16
#: The end of a chunk: three classes of eight byte values each, one place in 32,768 of random bytes; in text the classes
#: meet common letters, so that it ends about as often.
_END = re.compile(
    b"[\x05\x25\x45\x65\x85\xa5\xc5\xe5][\x0d\x2d\x4d\x6d\x8d\xad\xcd\xed][\x00\x20\x40\x60\x80\xa0\xc0\xe0]"
)
#: Bytes of a body that are in memory at once.
WINDOW = 1 << 20


class Chunk(NamedTuple):
    """A piece of a body."""

    key: bytes
    data: bytes


def key(data: bytes) -> bytes:
    """The key of a body without chunks, or of a chunk."""
    return hashlib.sha256(data).digest()[:KEY]


def key_of(chunks: List[Tuple[int, bytes]]) -> bytes:
    """The key of a body that has these chunks (sizes and keys)."""
    return key(b"".join(chunk_key for _, chunk_key in chunks))


def cut(read: Callable[[int], bytes], size: int) -> Iterator[Chunk]:
    """The chunks of a body of `size` bytes (`REST`: all there are). Memory is bounded by `WINDOW`."""
    held, left = b"", size if size >= 0 else 1 << 60
    while True:
        if len(held) < CHUNK_MOST and left:
            more = read(min(WINDOW, left))
            left = left - len(more) if more else 0
            held += more
        if not held:
            return
        start = 0
        while start < len(held) and (not left or len(held) - start >= CHUNK_MOST):
            found = _END.search(held, start + CHUNK_LEAST, start + CHUNK_MOST)
            end = found.end() if found else min(start + CHUNK_MOST, len(held))
            data = held[start:end]
            yield Chunk(key(data), data)
            start = end
        held = held[start:]
