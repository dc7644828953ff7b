"""What this machine remembers of the layers that it sent: their indexes, and the small files in them.

In the user's cache folder, two files a layer: `<hex>.index` (agent/index.py) and `<hex>.bodies`, the bodies that a
later version may be compared with. Bounded: what was longest of no use goes first. A wrong entry harms nothing but the
number of bytes sent: layers are hashed where they arrive.
"""

from __future__ import annotations

import contextlib
import os
import re
import struct
from array import array
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from allfast.agent.index import BadIndex, Index
from allfast.agent.recipe import NAME
from allfast.folders import cache_folder
from allfast.transfer.bases import Known
from allfast.transfer.encode import COMPARED
from allfast.transfer.index import write
from allfast.transfer.pack import body_packer, unpack_body

#: Bytes of all files together.
LIMIT = 512 << 20
#: Bytes of one layer's bodies, before they are packed; those that come when there is no room left are not kept.
BODIES = 64 << 20
_NAME = re.compile(f"[0-9a-f]{{{2 * NAME}}}")
_ENTRY = struct.Struct("<QQI")
_END = struct.Struct("<Q")


class KnownLayers:
    """The memory of this machine; a folder that cannot be used is an empty one."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or cache_folder() / "known"

    def find(self, name: str) -> Known | None:
        """The layer whose diff id begins with `name` (hex)."""
        path = self._path(name)
        if path is None:
            return None
        try:
            index = Index.from_bytes(path.read_bytes())
            _use(path)
        except OSError:
            return None
        except BadIndex:  # damaged, or of another version: only without it the server is asked
            self.forget(name)
            return None
        return self._known(path, index)

    def index_bytes(self, name: str) -> int | None:
        """Bytes of the index (packed) of the layer whose diff id begins with `name`; None where it is not known."""
        path = self._path(name)
        with contextlib.suppress(OSError):
            return path.stat().st_size if path is not None else None
        return None

    def forget(self, name: str) -> None:
        """Drop all that is known of the layer whose diff id begins with `name`."""
        with contextlib.suppress(OSError):
            for path in self._files(name, "*"):
                path.unlink(missing_ok=True)

    def writer(self) -> BodyWriter:
        """What keeps the bodies of one layer while it is read."""
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
        return BodyWriter(self._folder)

    def learn(self, name: str, packed: bytes) -> Known:
        """Remember the index of a layer that another machine sent, as the server tells it; no body of it is at hand.

        `name` is the beginning of its diff id (hex). Raises `BadIndex` where it is none, or the name is none.
        """
        if not _NAME.fullmatch(name):
            raise BadIndex(f"{name!r} names no layer")
        index, path = Index.from_bytes(packed), self._folder / f"{name}.index"
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            write(path, packed)
            self._bound()
        return self._known(path, index)

    def put(self, layer: str, index: Index, bodies: BodyWriter) -> Known:
        """Remember a layer, and what was kept of its bodies."""
        path = self._folder / f"{layer.removeprefix('sha256:')}.index"
        # A cache that cannot be written is no reason to fail.
        with contextlib.suppress(OSError):
            bodies.finish(path.with_suffix(".bodies"))
            write(path, index.to_bytes())
            self._bound()
        return self._known(path, index)

    def _path(self, name: str) -> Path | None:
        """Where the index of a layer lies; one of a layer that was sent has bodies, one that was told has none."""
        with contextlib.suppress(OSError):
            return max(self._files(name, "*.index"), key=lambda path: len(path.name), default=None)
        return None

    def _files(self, name: str, rest: str) -> list[Path]:
        """The files whose names begin with that of a layer; none where it names none: servers say such names."""
        return list(self._folder.glob(name + rest)) if _NAME.fullmatch(name) else []

    def _known(self, path: Path, index: Index) -> Known:
        return Known(bytes.fromhex(path.stem)[:NAME], index, _bodies(path.with_suffix(".bodies")))

    def _bound(self) -> None:
        total = 0
        found = [(entry.stat(), entry) for entry in self._folder.iterdir()]
        for stat, entry in sorted(found, key=lambda one: -one[0].st_mtime_ns):
            total += stat.st_size
            if total > LIMIT:
                entry.unlink(missing_ok=True)


class BodyWriter:
    """Bodies, each packed by itself, and at the end a table: part number, offset, packed bytes."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / f".{os.getpid()}.{id(self)}.bodies"
        self._table = bytearray()
        self._count = 0
        self._file: IO[bytes] | None = None
        self._left = BODIES
        self._at = 0
        self._pack = body_packer()
        with contextlib.suppress(OSError):
            self._file = self._path.open("wb")

    def keep(self, part: int, body: bytes) -> None:
        """Keep the body of a part, where there is room for it."""
        if self._file is None or len(body) > self._left:
            return
        self._left -= len(body)
        packed = self._pack(body)
        try:
            self._file.write(packed)
        except OSError:
            self.close()
            return
        self._table += _ENTRY.pack(part, self._at, len(packed))
        self._count += 1
        self._at += len(packed)

    def finish(self, path: Path) -> None:
        """Put what was kept under its name; raises `OSError`."""
        if self._file is None:
            return
        self._file.write(self._table + _END.pack(self._count))
        self._file.close()
        self._file = None
        self._path.replace(path)

    def close(self) -> None:
        """Drop what was not put under its name."""
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):  # closing writes what is held, and a disk that is full refuses it again
                file.close()
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)


def _use(path: Path) -> None:
    """An index counts as used, with the bodies that belong to it: they are of no use without each other."""
    os.utime(path)
    with contextlib.suppress(FileNotFoundError):
        os.utime(path.with_suffix(".bodies"))


def _bodies(path: Path) -> Callable[[int], bytes | None]:
    """How the bodies in a file are asked for; the table is read when the first one is."""
    table: _Table | None = None

    def content(part: int) -> bytes | None:
        nonlocal table
        try:
            with path.open("rb") as file:
                if table is None:
                    table = _Table.of(file)
                offset, size = table.find(part)
                file.seek(offset)
                return unpack_body(file.read(size), COMPARED) if size else None
        except (OSError, ValueError, struct.error):
            table = _Table(array("Q"), array("Q"), array("I"))
            return None

    return content


@dataclass(frozen=True, slots=True)
class _Table:
    """Where bodies are: parts in order, offsets, packed sizes."""

    parts: array[int]
    offsets: array[int]
    sizes: array[int]

    @classmethod
    def of(cls, file: IO[bytes]) -> _Table:
        """The table at the end of a file."""
        file.seek(-_END.size, os.SEEK_END)
        (count,) = _END.unpack(file.read())
        file.seek(-_END.size - count * _ENTRY.size, os.SEEK_END)
        found = cls(array("Q"), array("Q"), array("I"))
        for part, offset, size in _ENTRY.iter_unpack(file.read(count * _ENTRY.size)):
            found.parts.append(part)
            found.offsets.append(offset)
            found.sizes.append(size)
        return found

    def find(self, part: int) -> tuple[int, int]:
        """Offset and packed bytes of a part's body; none, where it was not kept."""
        place = bisect_left(self.parts, part)
        if place == len(self.parts) or self.parts[place] != part:
            return 0, 0
        return self.offsets[place], self.sizes[place]
