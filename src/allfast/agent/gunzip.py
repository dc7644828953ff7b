"""Gzip data as it comes, in steps of bounded memory."""

from __future__ import annotations

import zlib
from typing import Iterable, Iterator

MAGIC = b"\x1f\x8b"
PIECE = 1 << 20  # bytes that one step may make of a compressed chunk, so that memory stays bounded


class BadGzip(ValueError):  # noqa: N818 - as BadRecipe and BadIndex
    """The data is damaged, or cut."""


def gunzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The uncompressed bytes. Raises `BadGzip`."""
    # 31: the gzip format, with its checksum. A stream may have several members, one after the other.
    decoder = zlib.decompressobj(31)
    ended = False
    try:
        for chunk in chunks:
            rest = chunk
            while rest:
                if ended:
                    decoder, ended = zlib.decompressobj(31), False
                yield decoder.decompress(rest, PIECE)
                ended = decoder.eof
                rest = decoder.unused_data if ended else decoder.unconsumed_tail
    except zlib.error as error:
        raise BadGzip(f"gzip data is damaged: {error}") from error
    if not ended:
        raise BadGzip("gzip data ends too early")
