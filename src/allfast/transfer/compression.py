"""Layers as stores keep them (plain, gzip, zstd) and as they are hashed: uncompressed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from allfast.agent.gunzip import MAGIC, BadGzip, gunzip
from allfast.transfer.errors import TransferError

ZSTD = b"\x28\xb5\x2f\xfd"
#: Bytes that one step may take of a chunk of zstd, so that memory stays bounded.
SLICE = 1 << 9
#: Bytes of the largest window that is read: unpacking takes so much memory. BuildKit and containerd make none that is
#: larger (the level "best" of https://github.com/klauspost/compress); the library would allow four times as much.
WINDOW = 32 << 20


def is_compressed(head: bytes) -> bool:
    """Whether a blob that begins with `head` (4 bytes or more) is compressed in a way that is read here."""
    return head.startswith((MAGIC, ZSTD))


def decompress(head: bytes, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The uncompressed bytes of `chunks`, which begin with `head`; plain ones pass through as they are.

    Raises `TransferError` on damaged or cut data.
    """
    if head.startswith(MAGIC):
        return _gunzip(chunks)
    if head.startswith(ZSTD):
        return _unzstd(chunks)
    return iter(chunks)


def _gunzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    try:
        yield from gunzip(chunks)
    except BadGzip as error:
        raise TransferError(f"a layer's {error}") from error


def _unzstd(chunks: Iterable[bytes]) -> Iterator[bytes]:
    import zstandard  # here: every start would pay for it

    # The library gives all that a piece of input makes, and 4 bytes may make 128 KiB: so the pieces are small.
    new = zstandard.ZstdDecompressor(max_window_size=WINDOW).decompressobj
    decoder, ended = new(), False
    try:
        for chunk in chunks:
            for start in range(0, len(chunk), SLICE):
                rest = chunk[start : start + SLICE]
                while rest:
                    if ended:
                        decoder = new()
                    yield decoder.decompress(rest)
                    ended = decoder.eof
                    rest = decoder.unused_data if ended else b""
    except zstandard.ZstdError as error:
        words = f"is damaged, or has a window of more than {WINDOW >> 20} MiB"
        hint = "build the image anew, at a level of compression without `--ultra` and `--long`"
        raise TransferError(f"a layer's zstd data {words}: {error}", hint) from error
    if not ended:
        raise TransferError("a layer's zstd data ends too early")
