"""The files of a layer cache: their names, which of them are being made just now, and how many bytes they may have.

`<hex>.tar` a layer, whole and checked, named by its diff id · `<hex>.part` the beginning of one that was not finished:
the bytes that are there are its first ones · `<hex>.fetch` one that is being read from the engine · `<hex>.index` its
index, which may outlive the layer here as long as the engine has it. Bounded: what was longest of no use goes first.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import threading
from pathlib import Path
from typing import AbstractSet, Iterable, Iterator, List, NamedTuple, Set, Tuple

from allfast.agent import state
from allfast.agent.protocol import AgentError, Kind, disk_full

#: Free bytes below which the cache gives way: an engine with a full disk does not even start containers.
RESERVE = 200 << 20
_ID = re.compile(r"sha256:([0-9a-f]{64})")


class _File(NamedTuple):
    """One of them: its bytes, and when it was used last (seconds since the epoch)."""

    path: Path
    size: int
    used: float


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
        return [("sha256:" + one.path.stem, one.size) for one in self._files("*.tar")]

    def count_as_used(self, layers: Iterable[str]) -> None:
        """What is there of these layers, whole or begun, is used from now on."""
        for layer in layers:
            for path in (self.whole(layer), self.part(layer)):
                with contextlib.suppress(FileNotFoundError):
                    os.utime(path)

    def _files(self, pattern: str) -> List[_File]:
        """The files, the one used last first; another thread may finish or remove one meanwhile."""
        found = []
        for path in self._folder.glob(pattern):
            with contextlib.suppress(FileNotFoundError):
                stat = path.stat()
                found.append(_File(path, stat.st_size, stat.st_mtime))
        return sorted(found, key=lambda one: -one.used)

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
        self._hold(self._files("*.*"), limit, spared)

    def trim_unused(self, limit: int, since: float, *, asked: bool) -> None:
        """The same, without what was used since then (seconds since the epoch): that stays besides those bytes.

        Where nothing was used since then, nor `asked` for, all stays: what an attempt before has left is nobody's to
        remove yet.
        """
        files = self._files("*.*")
        unused = [one for one in files if one.used < since]
        if asked or len(unused) < len(files):
            self._hold(unused, limit, frozenset())

    def _hold(self, files: List[_File], limit: int, spared: AbstractSet[str]) -> None:
        total = 0
        for one in files:
            if total + one.size <= limit or not self._gives_way(one.path, spared):
                total += one.size

    def make_room(self, size: int, spared: AbstractSet[str]) -> bool:
        """Whether `size` bytes have room besides the reserve; what is oldest is removed for it, if that can be enough.

        As in `trim`, the `spared` layers stay, and those that are being made.
        """
        lacking = size + RESERVE - self.free()
        if lacking <= 0:
            return True
        old = [one for one in reversed(self._files("*.*")) if self._may_go(one.path, spared)]
        if sum(one.size for one in old) < lacking:
            return False
        for one in old:
            if lacking > 0 and self._gives_way(one.path, spared):
                lacking -= one.size
        return self.free() >= size + RESERVE

    def require(self, size: int, spared: AbstractSet[str]) -> None:
        """As `make_room`. Raises `AgentError` disk-full where there is none."""
        if not self.make_room(size, spared):
            raise self.full(f"{self.free()} bytes are free, {size} are needed, and {RESERVE} are to stay free")

    def give_back(self, making: str = "") -> None:
        """Free what the cache takes while its disk has less than the reserve; what is being made of a layer first."""
        if making and self.free() < RESERVE:
            self.part(making).unlink(missing_ok=True)
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
        return sum(one.size for one in self._files("*.*"))

    def free(self) -> int:
        """Free bytes on the disk where the cache is or will be."""
        return shutil.disk_usage(state.that_is_there(self._folder, *self._folder.parents)).free


def is_diff_id(text: str) -> bool:
    """Whether that names a layer, as this cache can have one."""
    return _ID.fullmatch(text) is not None


def hex_of(layer: str) -> str:
    """The digits of a diff id. Raises `AgentError` bad-request: it is none."""
    found = _ID.fullmatch(layer)
    if found is None:
        raise AgentError(Kind.BAD_REQUEST, f"{layer!r}: not a diff id")
    return found[1]
