"""Whose unpacker of a codec a server has, for the tests of what comes over the wire."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from allfast.agent import unpack

if sys.version_info >= (3, 14):
    from compression import zstd
else:  # the same module, of the same source, for a Python that is older
    from backports import zstd

#: A codec, and whose unpacker of it.
WAYS = ["zlib", "zstd of Python", "zstd of the system"]


def is_zstd(way: str) -> bool:
    return way.startswith(unpack.ZSTD)


def codec_of(way: str) -> str:
    return way.partition(" ")[0]


@contextmanager
def server_with(way: str) -> Iterator[None]:
    """As on a server whose Python has zstd, or does not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "compression.zstd", zstd if way.endswith("Python") else None)
        yield
