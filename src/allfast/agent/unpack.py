"""What unpacks the two streams of a recipe on this machine: the codecs that its Python has, the best first.

zstd is the standard library's from Python 3.14 on, else the system's libzstd (libzstd.py); zlib is everywhere. What
comes over the wire may be anything: an unpacker raises `BadRecipe`, or gives at most `LIMIT` bytes a piece. Besides it
holds no more than its codec's window.
"""

from __future__ import annotations

import contextlib
import importlib
import zlib
from typing import Any, Callable, Dict, Iterator, List, Protocol, Tuple, Type

from allfast.agent.protocol import AgentError, Kind
from allfast.agent.recipe import LIMIT, BadRecipe, Unpack

ZSTD, ZLIB = "zstd", "zlib"
#: The window of a zstd stream, as a power of two: what it may refer back to, and what unpacking it takes in memory.
WINDOW = 23


class Unpacker(Protocol):
    """One compressed stream that is unpacked piece by piece."""

    def unpack(self, data: bytes) -> bytes:
        """What `data`, a piece that ends at a flush, holds. Raises `BadRecipe`."""

    def close(self) -> None:
        """Free its memory; it is of no use then."""


def codecs() -> List[str]:
    """The codecs that can be unpacked here, the best first."""
    return list(_makers())


@contextlib.contextmanager
def streams(codec: str) -> Iterator[Tuple[Unpack, Unpack]]:
    """What unpack control and data of one recipe. Raises `AgentError` bad-request where the codec is not here."""
    make = _makers().get(codec)
    if make is None:
        raise AgentError(Kind.BAD_REQUEST, f"{codec!r}: not a codec that can be unpacked here")
    with contextlib.closing(make()) as control, contextlib.closing(make()) as data:
        yield control.unpack, data.unpack


def _makers() -> Dict[str, Callable[[], Unpacker]]:
    for find in (_of_python, _of_the_system):
        make = find()
        if make is not None:
            return {ZSTD: make, ZLIB: _zlib}
    return {ZLIB: _zlib}


def _zlib() -> Unpacker:
    return _Stream(zlib.decompressobj(-15), zlib.error)


def _of_python() -> Any:
    try:
        module = importlib.import_module("compression.zstd")
    except ImportError:  # before 3.14, or built without it
        return None
    options = {module.DecompressionParameter.window_log_max: WINDOW}
    return lambda: _Stream(module.ZstdDecompressor(options=options), module.ZstdError)


def _of_the_system() -> Any:
    try:
        from allfast.agent import libzstd  # here: every start of an agent would pay for ctypes

        library = libzstd.load()
    except (ImportError, OSError, AttributeError):  # a Python without ctypes, no library, one that is too old
        return None
    return lambda: libzstd.Stream(library, WINDOW)


class _Stream:
    """One of a library of Python's; both kinds of decoders are asked in the same way."""

    def __init__(self, decoder: Any, error: Type[Exception]) -> None:
        self._decoder = decoder
        self._error = error

    def unpack(self, data: bytes) -> bytes:
        try:
            plain: bytes = self._decoder.decompress(data, LIMIT + 1)
        except self._error as error:
            raise BadRecipe(f"compressed data that is damaged: {error}") from error
        if len(plain) > LIMIT:
            raise BadRecipe("a batch that is too large")
        if self._decoder.eof:
            raise BadRecipe("compressed data that ends before the recipe")
        return plain

    def close(self) -> None:
        del self._decoder
