"""The layers that came to this server, kept so that the next ones can be made out of them.

`layers/<hex>.tar` a layer, whole and checked, named by its diff id · `<hex>.part` the beginning of one that was not
finished: the bytes that are there are its first ones · `<hex>.fetch` one that is being read from the engine ·
`<hex>.index` its index, which may outlive the layer here as long as the engine has it. Bounded: what was longest of no
use goes first. What is lost costs bytes on the wire, nothing else.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import threading
from pathlib import Path
from typing import IO, AbstractSet, Any, Callable, Dict, Iterator, List, Optional, Set, Tuple

from allfast.agent import index, outlines, recipe, state
from allfast.agent.outlines import Outline
from allfast.agent.protocol import AgentError, Kind, disk_full

FOLDER = "layers"
#: Free bytes below which the cache gives way: an engine with a full disk does not even start containers.
RESERVE = 200 << 20
#: Parts of layers whose outlines stay in memory, 16 bytes each.
OUTLINED = 1_000_000
_ID = re.compile(r"sha256:([0-9a-f]{64})")


class LayerCache:
    """The cache in one folder; for several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mutex = threading.Lock()
        self._made = threading.Condition(self._mutex)
        self._being_made: Set[str] = set()
        self._outlines: Dict[str, Outline] = {}  # of layers that were bases, the newest last
        self._dropped: Set[str] = set()  # what was read of them may be damaged

    def whole(self, layer: str) -> Path:
        """Where a layer lies when it is there as a whole."""
        return self._folder / f"{_hex(layer)}.tar"

    def part(self, layer: str) -> Path:
        """Where the beginning of a layer lies."""
        return self._folder / f"{_hex(layer)}.part"

    def fetched(self, layer: str) -> Path:
        """Where a layer lies while it is read from the engine."""
        return self._folder / f"{_hex(layer)}.fetch"

    def index_file(self, layer: str) -> Path:
        """Where the index of a layer lies."""
        return self._folder / f"{_hex(layer)}.index"

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

    def named(self, name: str) -> Optional[str]:
        """The whole layer whose diff id begins with `name` (hex), if it is the only one."""
        found = [layer for layer, _ in self.layers() if layer[7:].startswith(name)]
        return found[0] if len(found) == 1 else None

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

    def open_part(self, layer: str, begin: int) -> Tuple[IO[bytes], Any]:
        """A layer's file, cut to its first `begin` bytes and open for more, and the hash of what is there.

        Raises `AgentError` bad-digest where so many bytes are not there, or cannot be read.
        """
        self.make()
        file = os.fdopen(os.open(self.part(layer), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o660), "r+b")
        try:
            there = os.fstat(file.fileno()).st_size
            if begin > there:
                raise AgentError(Kind.BAD_DIGEST, f"{there} bytes of {layer} are there, not {begin}")
            file.truncate(begin)
            return file, outlines.hash_of(file)  # which leaves it at its end
        except BaseException:
            file.close()
            raise

    def finish(self, layer: str, made: Path) -> None:
        """The file `made` is the whole of a layer, and checked. Raises `AgentError` not-found."""
        try:
            made.replace(self.whole(layer))
        except FileNotFoundError as error:
            raise AgentError(
                Kind.NOT_FOUND,
                f"{layer} was removed from the layer cache while it was made: {made}",
                "see what removes files from that folder of the server; then the same again",
            ) from error
        self.part(layer).unlink(missing_ok=True)
        with self._mutex:
            self._dropped.discard(layer)

    def drop(self, layer: str) -> None:
        """Remove all that is there of a layer."""
        with self._mutex:
            self._dropped.add(layer)
        for path in (self.whole(layer), self.part(layer)):
            path.unlink(missing_ok=True)
        self._forget(layer)

    def _forget(self, layer: str) -> None:
        """What was found out about a layer is not to be believed."""
        with self._mutex:
            self._outlines.pop(layer, None)
            self.index_file(layer).unlink(missing_ok=True)

    def use(self, layer: str) -> IO[bytes]:
        """Open a whole layer, which counts as used.

        Raises `AgentError` not-found, or bad-digest where the disk cannot read it any more: it is removed then.
        """
        try:
            file = self._open(layer)
        except AgentError as error:
            if error.kind == Kind.BAD_DIGEST:
                self.drop(layer)
            raise
        os.utime(file.fileno())
        return file

    def _open(self, layer: str) -> IO[bytes]:
        try:
            with outlines.readable():
                return self.whole(layer).open("rb")
        except FileNotFoundError as error:
            raise AgentError(Kind.NOT_FOUND, f"{layer} is not in the layer cache") from error

    def damaged(self, layers: List[str]) -> List[str]:
        """Those of the layers that are not what their names say; they are removed, and the indexes of all of them."""
        found = []
        for layer in layers:
            self._forget(layer)
            try:
                with self.use(layer) as file:
                    right = "sha256:" + outlines.hash_of(file).hexdigest() == layer
            except (AgentError, OSError):
                right = False
            if not right:
                self.drop(layer)
                found.append(layer)
        return found

    def base(self, layer: str, file: IO[bytes]) -> recipe.Base:
        """A whole layer, open for reading, as a recipe refers to it; taken apart once for all that refer to it."""
        with self._mutex:
            outline = self._outlines.pop(layer, None)
        if outline is None:
            outline = self._indexed_outline(layer) or outlines.outline_of(file)
        with self._mutex:
            self._outlines[layer] = outline
            while len(self._outlines) > 1 and sum(len(one.bodies) for one in self._outlines.values()) > OUTLINED:
                del self._outlines[next(iter(self._outlines))]
        return outlines.base(file, outline)

    def _indexed_outline(self, layer: str) -> Optional[Outline]:
        packed = self._index(layer)
        if packed is None:
            return None
        try:
            known = index.Index.from_bytes(packed)
        except index.BadIndex:
            return None
        return Outline(known.starts, known.bodies())

    def indexed(self) -> Dict[str, int]:
        """The layers whose indexes are there, and the bytes of their tars; 0: it is too large (`index.NONE`)."""
        found = {}
        for path in self._folder.glob("*.index"):
            layer = "sha256:" + path.stem
            with contextlib.suppress(OSError), path.open("rb") as file:
                if _ID.fullmatch(layer):
                    found[layer] = index.size_of(file.read(index.HEADER))
        return found

    def packed_index(self, layer: str) -> bytes:
        """The packed index of a layer, which is made where it is not there. Raises `AgentError` not-found."""
        return self._index(layer) or self.make_index(layer, lambda: None)

    def make_index(self, layer: str, pause: Callable[[], None]) -> bytes:
        """Make the index of a whole layer, and keep it; `pause` is called now and then, and may wait or raise.

        Raises `AgentError` not-found.
        """
        with self._open(layer) as file:  # which does not count as used
            packed = index.packed(file.read, pause)
        with self._mutex, contextlib.suppress(OSError):
            if layer not in self._dropped and self.free() > RESERVE + len(packed):
                state.write(self.index_file(layer), packed)
        return packed

    def _index(self, layer: str) -> Optional[bytes]:
        """The packed index that is there, if it is in order; else it is removed."""
        path = self.index_file(layer)
        try:
            packed = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        right = index.is_whole(packed) and len(packed) <= index.PACKED
        with contextlib.suppress(FileNotFoundError):  # the engine alone has the layer
            right = right and (packed == index.NONE or index.size_of(packed) == self.whole(layer).stat().st_size)
        if not right:
            self._forget(layer)
        return packed if right else None

    def forget_indexes(self, held: AbstractSet[str]) -> None:
        """Remove the indexes of layers that are neither here nor among those that the engine has."""
        there = held | {layer for layer, _ in self.layers()}
        for layer in self.indexed():
            if layer not in there:
                self.index_file(layer).unlink(missing_ok=True)

    def trim(self, limit: int, spared: AbstractSet[str] = frozenset()) -> None:
        """Remove what is oldest until all that is there has at most `limit` bytes.

        The `spared` layers stay, and those that are being made.
        """
        total = 0
        for path, size in self._files("*.*"):
            if total + size <= limit or not self._gives_way(path, spared):
                total += size

    def make_room(self, size: int, spared: AbstractSet[str]) -> None:
        """Remove what is oldest until `size` bytes have room besides the reserve, or `trim` could take no more."""
        lacking = size + RESERVE - self.free()
        for path, held in reversed(self._files("*.*")):
            if lacking > 0 and self._gives_way(path, spared):
                lacking -= held

    def _gives_way(self, path: Path, spared: AbstractSet[str]) -> bool:
        """Remove a file, unless its layer is spared or being made; whether it went."""
        layer = f"sha256:{path.stem}"
        with self._mutex:
            if layer in spared or layer in self._being_made:
                return False
            path.unlink(missing_ok=True)
            return True

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


def _hex(layer: str) -> str:
    found = _ID.fullmatch(layer)
    if found is None:
        raise AgentError(Kind.BAD_REQUEST, f"{layer!r}: not a diff id")
    return found[1]
