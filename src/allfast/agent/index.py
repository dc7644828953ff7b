"""The index of a layer: its parts without their bodies. Made and read on both ends, always the same for one layer.

Its memory is about 40 bytes a part (33 to 47, by how alike the heads are): columns of numbers and keys, and heads in
packed pages.
"""

from __future__ import annotations

import hashlib
import operator
import sys
import zlib
from array import array
from itertools import accumulate
from typing import Callable, Iterable, Iterator, List, Tuple, Union

from allfast.agent import parts
from allfast.agent.chunks import CHUNKED, KEY, cut, key, key_of
from allfast.agent.heads import Heads
from allfast.agent.messages import MAX_MESSAGE

#: Parts and chunks of all layers that a laptop refers to at once: some 100 bytes of its memory each. It can do nothing
#: with the index of a layer that has more.
ENTRIES = 600_000
#: Bytes of a packed index that is kept, at most: it is told in one message, as base 64.
PACKED = MAX_MESSAGE // 2
#: The most bytes that a column of numbers of an index may unpack to.
LIMIT = 64 << 20
#: Bytes of a packed index by which it is known: its version, its check, the size of the tar.
HEADER = 17
_VERSION = 3
_LARGEST = 1 << 51
#: What is kept in place of an index that is too large: it is whole, of a tar of no bytes, and cannot be unpacked.
NONE = bytes([_VERSION]) + hashlib.sha256(bytes(8)).digest()[:8] + bytes(8)


class BadIndex(Exception):  # noqa: N818 - it reads better where it is caught
    """An index that is damaged."""


class Index:
    """Heads, body sizes and body keys of a layer's parts, in order; the chunks of big bodies.

    `starts[n]` is the offset of part n in the tar, `starts[-1]` the size of the tar.
    """

    def __init__(self) -> None:
        self.starts = array("Q", [0])
        self.heads = Heads()
        self.keys = bytearray()
        self.chunk_counts = array("I")
        self.chunk_sizes = array("I")
        self.chunk_keys = bytearray()

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def size(self) -> int:
        """Bytes of the whole tar."""
        return self.starts[-1]

    @property
    def entries(self) -> int:
        """Parts and chunks: what its memory grows with."""
        return len(self) + len(self.chunk_sizes)

    def head(self, part: int) -> bytes:
        """The head of a part."""
        return self.heads[part]

    def body(self, part: int) -> Tuple[int, int]:
        """Offset in the tar and size of a part's body."""
        start = self.starts[part] + self.heads.sizes[part]
        return start, self.starts[part + 1] - start

    def bodies(self) -> array[int]:
        """The offsets of all bodies in the tar."""
        return array("Q", map(operator.add, self.starts, self.heads.sizes))

    def key(self, part: int) -> bytes:
        """The key of a part's body."""
        return bytes(self.keys[part * KEY : (part + 1) * KEY])

    def chunks(self) -> Iterator[Tuple[int, int, int]]:
        """Part, offset in its body and size of all chunks."""
        at = 0
        for part, count in enumerate(self.chunk_counts):
            offset = 0
            for number in range(at, at + count):
                yield part, offset, self.chunk_sizes[number]
                offset += self.chunk_sizes[number]
            at += count

    def add(self, head: bytes, size: int, body_key: bytes, chunks: List[Tuple[int, bytes]]) -> None:
        """Append a part."""
        self.starts.append(self.starts[-1] + len(head) + size)
        self.heads.append(head)
        self.keys += body_key
        self.chunk_counts.append(len(chunks))
        for length, chunk_key in chunks:
            self.chunk_sizes.append(length)
            self.chunk_keys += chunk_key

    def to_bytes(self) -> bytes:
        """The index, packed."""
        self.heads.end()
        columns = (
            _packed(self.heads.sizes),
            _packed(map(operator.sub, self.starts[1:], self.starts)),
            self.keys,
            _packed(self.chunk_counts),
            _packed(self.chunk_sizes),
            self.chunk_keys,
            _packed(self.heads.counts),
            _packed(map(len, self.heads.pages)),
        )
        out = bytearray(HEADER)
        for column in columns:
            out += len(column).to_bytes(8, "little") + column
        for page in self.heads.pages:
            out += page
        out[9:HEADER] = self.size.to_bytes(8, "little")
        out[:9] = bytes([_VERSION]) + _check(out)
        return bytes(out)

    @classmethod
    def from_bytes(cls, data: bytes) -> Index:
        """The same index again. Raises `BadIndex` where it is damaged."""
        if not is_whole(data):
            raise BadIndex("an index that is damaged, or of another version")
        try:
            columns, rest = _columns(memoryview(data)[HEADER:])
            found = cls()
            sizes = _unpacked(columns[1])
            found.heads = Heads.of_pages(
                _unpacked(columns[0], "I"), _unpacked(columns[6], "I"), _cut(rest, _unpacked(columns[7]))
            )
            found.starts = array("Q", accumulate(sizes, initial=0))
            found.keys, found.chunk_keys = bytearray(columns[2]), bytearray(columns[5])
            found.chunk_counts, found.chunk_sizes = _unpacked(columns[3], "I"), _unpacked(columns[4], "I")
        except (zlib.error, ValueError, OverflowError) as error:
            raise BadIndex(f"an index that is damaged: {error}") from error
        if not (
            len(sizes) == len(found.heads.sizes) == len(found.chunk_counts) == len(found.keys) / KEY
            and found.size == size_of(data)
            and found.size < _LARGEST
            and all(map(operator.le, found.heads.sizes, sizes))
            and len(found.chunk_keys) == KEY * len(found.chunk_sizes) == KEY * sum(found.chunk_counts)
        ):
            raise BadIndex("an index whose columns do not agree")
        return found


def is_whole(data: bytes) -> bool:
    """Whether a packed index is of this version, and what was written."""
    return data[:9] == bytes([_VERSION]) + _check(data)


def size_of(data: bytes) -> int:
    """Bytes of the tar whose packed index begins with `data` (`HEADER` bytes or more)."""
    return int.from_bytes(data[9:HEADER], "little")


def build(read: Callable[[int], bytes]) -> Index:
    """The index of a layer that is read once from its beginning; `read` as `parts.next_part` wants it."""
    index = Index()
    for _ in building(index, read):
        pass
    return index


def packed(read: Callable[[int], bytes], pause: Callable[[], None]) -> bytes:
    """The index of a layer that is read once from its beginning, packed; `NONE` where that is too large.

    `pause` is called now and then, and may wait or raise.
    """
    index = Index()
    for _ in building(index, read):
        pause()
        if index.entries > ENTRIES:
            return NONE
    found = index.to_bytes()
    return found if len(found) <= PACKED else NONE


def building(index: Index, read: Callable[[int], bytes]) -> Iterator[None]:
    """Append to an index what there is to read; a small piece of the work each time."""
    while True:
        part = parts.next_part(read)
        if part is None:
            return
        if 0 <= part.size < CHUNKED:
            body = read(part.size)
            index.add(part.head, len(body), key(body), [])
        else:
            chunks = []
            for chunk in cut(read, part.size):
                chunks.append((len(chunk.data), chunk.key))
                yield
            index.add(part.head, sum(size for size, _ in chunks), key_of(chunks), chunks)
        yield


def _check(data: Union[bytes, bytearray]) -> bytes:
    return hashlib.sha256(memoryview(data)[9:]).digest()[:8]


def _packed(numbers: Iterable[int]) -> bytes:
    plain = array("Q", numbers)
    if sys.byteorder == "big":
        plain.byteswap()
    return zlib.compress(plain, 6)


def _unpacked(column: memoryview, kind: str = "Q") -> array[int]:
    unpacker = zlib.decompressobj()
    plain = unpacker.decompress(column, LIMIT)
    if not unpacker.eof:
        raise ValueError("too long, or cut")
    found = array("Q")
    found.frombytes(plain)
    if sys.byteorder == "big":
        found.byteswap()
    return found if kind == "Q" else array(kind, found)


def _columns(data: memoryview) -> Tuple[List[memoryview], memoryview]:
    """The eight columns of a packed index, and the pages after them."""
    found = []
    for _ in range(8):
        size = int.from_bytes(data[:8], "little")
        if size > len(data) - 8:
            raise ValueError("a column that is cut")
        found.append(data[8 : 8 + size])
        data = data[8 + size :]
    return found, data


def _cut(data: memoryview, sizes: array[int]) -> List[bytes]:
    """Pieces of these sizes, which are all of the data."""
    if sum(sizes) != len(data):
        raise ValueError("pages that are not as long as it says")
    return [bytes(data[end - size : end]) for size, end in zip(sizes, accumulate(sizes))]  # noqa: B905 - Python 3.9
