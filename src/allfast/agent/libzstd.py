"""Zstandard by the system's library, which dpkg, rpm and systemd bring to nearly every server.

Source: https://facebook.github.io/zstd/doc/api_manual_latest.html ("Streaming decompression", "Advanced decompression
API"); all that is used here is stable since libzstd 1.4.0.
"""

from __future__ import annotations

import ctypes
from typing import Any

from allfast.agent.recipe import LIMIT, BadRecipe

NAME = "libzstd.so.1"
#: Bytes that one call may make.
PIECE = 1 << 18
#: ZSTD_dParameter: the largest window that a stream may ask for, as a power of two.
_WINDOW_LOG_MAX = 100


class _Buffer(ctypes.Structure):
    """ZSTD_inBuffer and ZSTD_outBuffer: where it is, its bytes, and how many of them are done."""

    _fields_ = (("start", ctypes.c_void_p), ("size", ctypes.c_size_t), ("done", ctypes.c_size_t))


def load() -> Any:
    """The library. Raises `OSError` where there is none, `AttributeError` where it is older than 1.4."""
    library = ctypes.CDLL(NAME)
    pointer, size, buffer = ctypes.c_void_p, ctypes.c_size_t, ctypes.POINTER(_Buffer)
    for name, result, arguments in (
        ("ZSTD_createDStream", pointer, ()),
        ("ZSTD_freeDStream", size, (pointer,)),
        ("ZSTD_DCtx_setParameter", size, (pointer, ctypes.c_int, ctypes.c_int)),
        ("ZSTD_decompressStream", size, (pointer, buffer, buffer)),
        ("ZSTD_isError", ctypes.c_uint, (size,)),
        ("ZSTD_getErrorName", ctypes.c_char_p, (size,)),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


class Stream:
    """One stream that is unpacked piece by piece (unpack.Unpacker); it is freed by `close`, or when it is dropped."""

    def __init__(self, library: Any, window: int) -> None:
        """`window`: the largest that is taken, as a power of two; so much memory the stream has, at most."""
        self._library = library
        self._stream = None
        self._made = ctypes.create_string_buffer(PIECE)
        self._stream = library.ZSTD_createDStream()
        if not self._stream:
            raise MemoryError("no memory for a zstd stream")
        self._checked(library.ZSTD_DCtx_setParameter(self._stream, _WINDOW_LOG_MAX, window))

    def unpack(self, data: bytes) -> bytes:
        """See `unpack.Unpacker`."""
        if not self._stream:
            raise BadRecipe("a stream that was closed")
        source = _Buffer(ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p), len(data), 0)
        found, total = [], 0
        while True:
            made = _Buffer(ctypes.addressof(self._made), PIECE, 0)
            left = self._checked(
                self._library.ZSTD_decompressStream(self._stream, ctypes.byref(made), ctypes.byref(source))
            )
            found.append(ctypes.string_at(self._made, made.done))
            total += made.done
            if total > LIMIT:
                raise BadRecipe("a batch that is too large")
            if left == 0:
                raise BadRecipe("compressed data that ends before the recipe")
            if made.done < PIECE and source.done == len(data):
                return b"".join(found)

    def close(self) -> None:
        """Free its memory."""
        stream, self._stream = self._stream, None
        if stream:
            self._library.ZSTD_freeDStream(stream)

    def __del__(self) -> None:
        self.close()

    def _checked(self, result: int) -> int:
        if self._library.ZSTD_isError(result):
            name = self._library.ZSTD_getErrorName(result).decode()
            raise BadRecipe(f"compressed data that is damaged: {name}")
        return result
