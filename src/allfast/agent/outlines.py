"""A layer's file as recipes refer to it: where its parts begin, and its bytes, or what is wrong with them."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from array import array
from typing import IO, Any, Iterator, NamedTuple

from allfast.agent import parts, recipe
from allfast.agent.protocol import AgentError, Kind

PIECE = 1 << 20


class Outline(NamedTuple):
    """Where a layer's parts and their bodies begin, as a recipe's `Base` has it."""

    starts: array[int]
    bodies: array[int]


def base(file: IO[bytes], outline: Outline) -> recipe.Base:
    """A layer's file as a recipe refers to it. Its `read` raises `AgentError` bad-digest where it cannot be read."""

    def read(offset: int, size: int) -> bytes:
        with readable():
            data = os.pread(file.fileno(), size, offset)
        if len(data) < size:
            raise AgentError(Kind.BAD_DIGEST, "a layer of the cache is shorter than it was")
        return data

    return recipe.Base(*outline, read)


def outline_of(file: IO[bytes]) -> Outline:
    """The outline of a layer's file. Raises `AgentError` bad-digest where it cannot be read."""
    starts, bodies = array("Q", [0]), array("Q")
    end = os.fstat(file.fileno()).st_size
    with readable():
        while starts[-1] < end:
            file.seek(starts[-1])
            part = parts.next_part(file.read)
            if part is None:
                break
            bodies.append(starts[-1] + len(part.head))
            starts.append(end if part.size == parts.REST else min(end, bodies[-1] + part.size))
    return Outline(starts, bodies)


def hash_of(file: IO[bytes]) -> Any:
    """The SHA-256 of a file, from its beginning to its end. Raises `AgentError` bad-digest where it cannot be read."""
    hashed = hashlib.sha256()
    file.seek(0)
    for data in pieces(file):
        hashed.update(data)
    return hashed


def pieces(file: IO[bytes]) -> Iterator[bytes]:
    """The rest of a layer's file. Raises `AgentError` bad-digest where it cannot be read."""
    while True:
        with readable():
            data = file.read(PIECE)
        if not data:
            return
        yield data


@contextlib.contextmanager
def readable() -> Iterator[None]:
    """What the disk cannot read any more of a layer is damaged as if it had other bytes.

    A file that is not there, may not be opened, or for which no descriptor or memory is left, says nothing of the disk.
    """
    try:
        yield
    except (FileNotFoundError, PermissionError):
        raise
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
            raise
        raise AgentError(Kind.BAD_DIGEST, f"a layer of the cache cannot be read: {error}") from error
