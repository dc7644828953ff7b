"""A layer's tar taken apart into parts, each a head and a body, that are the tar again when they are put in a row.

A **head** is what stands before a file's content: its header block, and the blocks of PAX or GNU long names before it.
A **body** is the content with the zeros that fill its last block. Links, folders and devices have an empty body. What
is no tar, or none any more (also the end of every tar), is one last part: its first block is the head, all the rest
the body. So any bytes can be taken apart, and a wrong guess costs nothing but bytes on the wire.

Source of the format: https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html ("ustar", "pax"), and the
GNU tar manual, "Basic Tar Format" (long names, sparse files, numbers in base 256).
"""

from __future__ import annotations

import re
import zlib
from typing import Callable, NamedTuple, Optional, Tuple, Union

BLOCK = 512
#: The body's size of the last part: to the end of the stream.
REST = -1
#: Bytes of one PAX or GNU header's content; a longer one is not taken apart.
META_LIMIT = 1 << 20
HEAD_LIMIT = 2 * META_LIMIT

_META = b"xgLKX"
_EMPTY = b"123456"
_LARGEST = 1 << 50
_PAX_SIZE = re.compile(rb"(?:^|\n)[0-9]+ size=([0-9]{1,16})\n")
_PAX_PATH = re.compile(rb"(?:^|\n)[0-9]+ path=([^\n]*)\n")
_OCTAL = re.compile(rb"[0-7]{11}\0")
# Where a header's size, time of change and checksum stand (POSIX, "ustar Interchange Format").
SIZE, TIME, SUM = slice(124, 136), slice(136, 148), slice(148, 156)


class Part(NamedTuple):
    """A head, and the bytes of the body that follows it (`REST`: all there are)."""

    head: bytes
    size: int


def next_part(read: Callable[[int], bytes]) -> Optional[Part]:
    """The next part of a stream, None at its end; the caller reads its body before it asks again.

    `read` gives exactly as many bytes as it is asked for, fewer only at the end.
    """
    head = b""
    size: Optional[int] = None
    while True:
        block = read(BLOCK)
        if not block and not head:
            return None
        head += block
        described = _described(block)
        if described is None:
            return Part(head, REST)
        kind, length = described
        if kind not in _META:
            body = 0 if kind in _EMPTY else length if size is None else size
            head += _sparse_map(block, kind, read)
            return Part(head, padded(body))
        if length > META_LIMIT or len(head) + length > HEAD_LIMIT:
            return Part(head, REST)
        content = read(padded(length))
        head += content
        if len(content) < padded(length):
            return Part(head, REST)
        found = _PAX_SIZE.search(content) if kind == b"x" else None
        size = int(found[1]) if found else size


def name_of(head: bytes) -> str:
    """The name of a tar's entry: that of its PAX header where it has one, else that of its fields."""
    found = _PAX_PATH.search(head[BLOCK:-BLOCK])
    if found:
        return found[1].decode("utf-8", "surrogateescape")
    block = head[-BLOCK:]
    name, prefix = (field.partition(b"\0")[0] for field in (block[:100], block[345:500]))
    return (prefix + b"/" + name if prefix else name).decode("utf-8", "surrogateescape")


def padded(size: int) -> int:
    """The bytes that content of `size` bytes takes in a tar."""
    return (size + BLOCK - 1) // BLOCK * BLOCK


def patched(head: bytes, time: int, size: Optional[int] = None) -> bytes:
    """The head with another time of change (epoch seconds) and, where given, another size; its checksum is right."""
    changed = bytearray(head)
    start = len(head) - BLOCK
    if size is not None:
        changed[start + SIZE.start : start + SIZE.stop] = octal(size)
    patch(changed, start, octal(time))
    return bytes(changed)


def patch(data: bytearray, start: int, time: bytes) -> None:
    """Give the header block that begins at `start` another time of change (as `octal`), and its right checksum."""
    data[start + TIME.start : start + SUM.stop] = time + b"        "
    data[start + SUM.start : start + SUM.stop] = b"%06o\0 " % _sum(data[start : start + BLOCK])


def octal(number: int) -> bytes:
    """A number as a header's field of twelve bytes; one that is too large comes out wrong, not longer."""
    return b"%011o\0" % (number % (1 << 33))


def number(field: bytes) -> Optional[int]:
    """The number in a field that is written as `octal` does, None where it is not."""
    return int(field[:11], 8) if _OCTAL.fullmatch(field) else None


def _described(block: bytes) -> Optional[Tuple[bytes, int]]:
    """Type and size of a header; None where the block is none."""
    if len(block) < BLOCK:
        return None
    try:
        told = int(block[SUM].strip(b" \0"), 8)
    except ValueError:
        return None
    if told != _sum(block) - sum(block[SUM]) + 8 * 32:
        return None
    length = _length(block[SIZE])
    return None if length is None else (block[156:157], length)


def _sum(block: Union[bytes, bytearray]) -> int:
    """The sum of a block's bytes. Adler-32 has it plus one in its lower half, modulo 65,521: 256 bytes stay below."""
    return (zlib.adler32(block[:256]) & 0xFFFF) + (zlib.adler32(block[256:]) & 0xFFFF) - 2


def _length(field: bytes) -> Optional[int]:
    if field[0] == 0x80:  # GNU: a number in base 256
        length = int.from_bytes(field[1:], "big")
    else:
        try:
            length = int(field.strip(b" \0") or b"0", 8)
        except ValueError:
            return None
    return length if 0 <= length < _LARGEST else None


def _sparse_map(block: bytes, kind: bytes, read: Callable[[int], bytes]) -> bytes:
    """The blocks with more of an old GNU sparse file's map, which stand between its header and its content."""
    found = b""
    more = kind == b"S" and block[482]
    while more and len(found) < META_LIMIT:
        following = read(BLOCK)
        found += following
        more = len(following) == BLOCK and following[504]
    return found
