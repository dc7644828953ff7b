"""The files of a layer cache: their names, which of them are being made just now, and how many bytes they may have.

`<hex>.tar` a layer, whole and checked, named by its diff id · `<hex>.part` the beginning of one that was not finished:
the bytes that are there are its first ones · `<hex>.fetch` one that is being read from the engine · `<hex>.index` its
index, which may outlive the layer here as long as the engine has it. Bounded: what was longest of no use goes first.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import threading
from pathlib import Path
from typing import AbstractSet, Iterator, List, Set, Tuple

from allfast.agent import state
from allfast.agent.protocol import AgentError, Kind, disk_full

#: Free bytes below which the cache gives way: an engine with a full disk does not even start containers.
RESERVE = 200 << 20
_ID = re.compile(r"sha256:([0-9a-f]{64})")


class LayerFiles:
    """The files in one folder; for several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mutex = threading.Lock()
        self._made = threading.Condition(self._mutex)
        self._being_made: Set[str] = set()

    def whole(self, layer: str) -> Path:
        """Where a layer lies when it is there as a whole."""
        return self._folder / f"{hex_of(layer)}.tar"

    def part(self, layer: str) -> Path:
        """Where the beginning of a layer lies."""
        return self._folder / f"{hex_of(layer)}.part"

    def fetched(self, layer: str) -> Path:
        """Where a layer lies while it is read from the engine."""
        return self._folder / f"{hex_of(layer)}.fetch"

    def index_file(self, layer: str) -> Path:
        """Where the index of a layer lies."""
        return self._folder / f"{hex_of(layer)}.index"

    def begun(self, layer: str) -> int:
        """How many bytes of a layer are there that is not whole."""
        try:
            return self.part(layer).stat().st_size
        except FileNotFoundError:
            return 0

    def layers(self) -> List[Tuple[str, int]]:
        """All whole layers and their bytes, the one used last first."""
        return [("sha256:" + path.stem, size) for path, size in self._files("*.tar")]

    def _files(self, pattern: str) -> List[Tuple[Path, int]]:
        """Files and their bytes, the one used last first; another thread may finish or remove one meanwhile."""
        found = []
        for path in self._folder.glob(pattern):
            with contextlib.suppress(FileNotFoundError):
                found.append((path.stat(), path))
        found.sort(key=lambda one: -one[0].st_mtime_ns)
        return [(path, stat.st_size) for stat, path in found]

    def make(self) -> None:
        """Make the folder where it is missing."""
        state.make_folder(self._folder)

    @contextlib.contextmanager
    def making(self, layer: str) -> Iterator[None]:
        """Meanwhile nobody else makes that layer (who wants to waits), and no trim takes what is there of it."""
        with self._made:
            self._made.wait_for(lambda: layer not in self._being_made)
            self._being_made.add(layer)
        try:
            yield
        finally:
            with self._made:
                self._being_made.discard(layer)
                self._made.notify_all()

    def trim(self, limit: int, spared: AbstractSet[str] = frozenset()) -> None:
        """Remove what is oldest until all that is there has at most `limit` bytes.

        The `spared` layers stay, and those that are being made.
        """
        total = 0
        for path, size in self._files("*.*"):
            if total + size <= limit or not self._gives_way(path, spared):
                total += size

    def make_room(self, size: int, spared: AbstractSet[str]) -> bool:
        """Whether `size` bytes have room besides the reserve; what is oldest is removed for it, if that can be enough.

        As in `trim`, the `spared` layers stay, and those that are being made.
        """
        lacking = size + RESERVE - self.free()
        if lacking <= 0:
            return True
        old = [(path, held) for path, held in reversed(self._files("*.*")) if self._may_go(path, spared)]
        if sum(held for _, held in old) < lacking:
            return False
        for path, held in old:
            if lacking > 0 and self._gives_way(path, spared):
                lacking -= held
        return self.free() >= size + RESERVE

    def require(self, size: int, spared: AbstractSet[str]) -> None:
        """As `make_room`. Raises `AgentError` disk-full where there is none."""
        if not self.make_room(size, spared):
            raise self.full(f"{size} bytes more, besides {RESERVE} in reserve, do not fit into {self.free()}")

    def give_back(self) -> None:
        """Free all that the cache takes where its disk has less than the reserve."""
        if self.free() < RESERVE:
            self.trim(0)

    def _may_go(self, path: Path, spared: AbstractSet[str]) -> bool:
        layer = f"sha256:{path.stem}"
        return layer not in spared and layer not in self._being_made

    def _gives_way(self, path: Path, spared: AbstractSet[str]) -> bool:
        """Remove a file, unless its layer is spared or being made; whether it went."""
        with self._mutex:
            goes = self._may_go(path, spared)
            if goes:
                path.unlink(missing_ok=True)
            return goes

    def full(self, cause: str) -> AgentError:
        """That the disk of the cache is full, by what was said of it."""
        hint = "make room on the disk of that folder of the server, or have the target's state_dir on another one"
        return disk_full(f"{cause}; the layer cache is {self._folder}", hint)

    def size(self) -> int:
        """The bytes of all that is there."""
        return sum(size for _, size in self._files("*.*"))

    def free(self) -> int:
        """Free bytes on the disk of the cache."""
        return shutil.disk_usage(self._folder if self._folder.is_dir() else self._folder.parent).free


def is_diff_id(text: str) -> bool:
    """Whether that names a layer, as this cache can have one."""
    return _ID.fullmatch(text) is not None


def hex_of(layer: str) -> str:
    """The digits of a diff id. Raises `AgentError` bad-request: it is none."""
    found = _ID.fullmatch(layer)
    if found is None:
        raise AgentError(Kind.BAD_REQUEST, f"{layer!r}: not a diff id")
    return found[1]
