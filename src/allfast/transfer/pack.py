"""What compresses the two streams of a recipe (agent/unpack.py is the other end), and bodies that are kept here.

Levels and window were measured: docs/decisions/0018-zstd.md.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from allfast.agent.unpack import WINDOW, ZLIB, ZSTD

ZSTD_LEVEL, ZLIB_LEVEL, BODY_LEVEL = 3, 6, 1


class Packer(Protocol):
    """One compressed stream that is made piece by piece."""

    def pack(self, plain: bytes | bytearray) -> bytes:
        """The next piece, up to a flush: all that it holds can be unpacked when it has come."""


def choose(codecs: Sequence[str]) -> str:
    """The codec for a server that can unpack these, the one that it would rather have first."""
    return next((codec for codec in codecs if codec in _PACKERS), ZLIB)


def packer(codec: str) -> Packer:
    """A new stream of a codec that `choose` gave."""
    return _PACKERS[codec]()


class _Zlib:
    def __init__(self) -> None:
        self._packer = zlib.compressobj(ZLIB_LEVEL, zlib.DEFLATED, -15, 9)

    def pack(self, plain: bytes | bytearray) -> bytes:
        return self._packer.compress(plain) + self._packer.flush(zlib.Z_SYNC_FLUSH)


class _Zstd:
    def __init__(self) -> None:
        import zstandard  # here: only what sends pays for it

        # Neither size nor checksum: the layer's digest proves all. Long distance: packages that an image has twice.
        chosen = zstandard.ZstdCompressionParameters.from_level(
            ZSTD_LEVEL, window_log=WINDOW, enable_ldm=True, write_content_size=False, write_checksum=False
        )
        self._packer = zstandard.ZstdCompressor(compression_params=chosen).compressobj()
        self._flush = zstandard.COMPRESSOBJ_FLUSH_BLOCK

    def pack(self, plain: bytes | bytearray) -> bytes:
        return self._packer.compress(plain) + self._packer.flush(self._flush)


def body_packer() -> Callable[[bytes], bytes]:
    """What packs single bodies that are kept on this machine: quickly, with a checksum."""
    import zstandard

    return zstandard.ZstdCompressor(level=BODY_LEVEL, write_checksum=True, write_content_size=False).compress


def unpack_body(packed: bytes, limit: int) -> bytes:
    """A body again, of at most `limit` bytes. Raises `ValueError` where it is damaged."""
    import zstandard

    try:
        return zstandard.ZstdDecompressor(max_window_size=1 << WINDOW).decompress(packed, max_output_size=limit)
    except (zstandard.ZstdError, MemoryError) as error:
        raise ValueError(f"a body that is damaged: {error}") from error


_PACKERS: Mapping[str, Callable[[], Packer]] = {ZSTD: _Zstd, ZLIB: _Zlib}
