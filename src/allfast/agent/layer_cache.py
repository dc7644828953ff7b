"""The layers that came to this server, kept so that the next ones can be made out of them.

They lie as files in the folder `layers` (layer_files.py). What is lost costs bytes on the wire, nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path
from typing import IO, AbstractSet, Any, Callable, Dict, Iterator, List, Optional, Set, Tuple

from allfast.agent import index, outlines, recipe, state
from allfast.agent.layer_files import RESERVE, LayerFiles, is_diff_id
from allfast.agent.outlines import Outline
from allfast.agent.protocol import AgentError, Kind

FOLDER = "layers"
#: Parts of layers whose outlines stay in memory, 16 bytes each.
OUTLINED = 1_000_000


class LayerCache(LayerFiles):
    """The cache in one folder; for several threads."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._outlines: Dict[str, Outline] = {}  # of layers that were bases, the newest last
        self._dropped: Set[str] = set()  # what was read of them may be damaged

    def named(self, name: str) -> Optional[str]:
        """The whole layer whose diff id begins with `name` (hex), if it is the only one."""
        found = [layer for layer, _ in self.layers() if layer[7:].startswith(name)]
        return found[0] if len(found) == 1 else None

    def open_part(self, layer: str, begin: int) -> Tuple[IO[bytes], Any]:
        """A layer's file, cut to its first `begin` bytes and open for more, and the hash of what is there.

        Raises `AgentError` bad-digest where so many bytes are not there, or cannot be read.
        """
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

    def bytes_of(self, layer: str, *, check: bool) -> Iterator[bytes]:
        """A whole layer's bytes, in pieces; it counts as used. With `check`, they are compared with its name.

        Raises `AgentError` not-found; bad-digest, before their end, where they are not its own or cannot be read: then
        it is removed.
        """
        hashed = hashlib.sha256() if check else None
        try:
            with self.use(layer) as file:
                for data in outlines.pieces(file):
                    if hashed is not None:
                        hashed.update(data)
                    yield data
            if hashed is not None and "sha256:" + hashed.hexdigest() != layer:
                raise AgentError(Kind.BAD_DIGEST, "its bytes have another digest")
        except AgentError as error:
            if error.kind != Kind.BAD_DIGEST:
                raise
            self.drop(layer)
            text = f"{layer} was damaged in the layer cache, and is removed: {error}"
            raise AgentError(Kind.BAD_DIGEST, text, "try again") from error

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
                if is_diff_id(layer):
                    found[layer] = index.size_of(file.read(index.HEADER))
        return found

    def packed_index(self, layer: str) -> bytes:
        """The packed index of a layer, which is made where it is not there (see `make_index` for what it raises)."""
        return self._index(layer) or self.make_index(layer, lambda: None)

    def make_index(self, layer: str, pause: Callable[[], None]) -> bytes:
        """Make the index of a whole layer, and keep it; `pause` is called now and then, and may wait or raise.

        Raises `AgentError` not-found, and bad-digest where it cannot be read.
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
