"""What has been learned of stored layers: the diff id and size behind a compressed blob's digest.

A pure fact of the blob's bytes, so it never gets old; the cache only saves reading a stream a second time. It lives
in the user's cache folder, one small file a blob, and is bounded. A wrong entry cannot do harm: layers are hashed
when they are sent.
"""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from allfast.folders import cache_folder

MAX_ENTRIES = 4096
_ENTRY = re.compile(r"(sha256:[0-9a-f]{64}) ([0-9]+)\n")


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored layer: what it is when it is uncompressed."""

    diff_id: str
    size: int


@dataclass(slots=True)
class LayerIndex:
    """Blob path (`blobs/sha256/<hex>`) -> `Stored`, for as long as the object lives and, with a folder, longer."""

    folder: Path | None = None
    _known: dict[str, Stored] = field(default_factory=dict)

    def get(self, path: str) -> Stored | None:
        """What is known of the blob or file at `path` of a stream."""
        if path not in self._known and self.folder and _is_blob(path):
            with contextlib.suppress(OSError):
                match = _ENTRY.fullmatch((self.folder / _file_name(path)).read_text())
                if match:
                    self._known[path] = Stored(match[1], int(match[2]))
        return self._known.get(path)

    def put(self, path: str, stored: Stored) -> None:
        """Remember it; only paths that name their content by digest are kept beyond this object."""
        self._known[path] = stored
        if self.folder is None or not _is_blob(path):
            return
        # A cache that cannot be written is no reason to fail.
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            write(self.folder / _file_name(path), f"{stored.diff_id} {stored.size}\n".encode())
            self._bound()

    def forget(self, path: str) -> None:
        """Drop an entry that proved wrong."""
        self._known.pop(path, None)
        if self.folder and _is_blob(path):
            with contextlib.suppress(OSError):
                (self.folder / _file_name(path)).unlink()

    def _bound(self) -> None:
        assert self.folder is not None
        entries = sorted(self.folder.iterdir(), key=lambda entry: entry.stat().st_mtime)
        for entry in entries[:-MAX_ENTRIES]:
            entry.unlink(missing_ok=True)


def write(path: Path, data: bytes) -> None:
    """Replace a file of the cache as a whole; nothing is left of one that cannot be written. Raises `OSError`."""
    partial = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def user_cache() -> Path:
    """The folder of allfast's index of layers in the user's cache."""
    return cache_folder() / "layers"


def _is_blob(path: str) -> bool:
    return path.startswith("blobs/sha256/")


def _file_name(path: str) -> str:
    return path.rpartition("/")[2]
