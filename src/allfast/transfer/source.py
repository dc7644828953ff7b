"""Where layers come from: the stream of `docker save`, in the order in which the engine writes it.

An entry of an archive begins with its size and its name, so both must be known before its first byte is sent:

- A file that is named by the diff id of a layer (engines with a graph driver, 25 and later) is sent as it passes.
- A compressed blob (containerd store) or a `layer.tar` (engines to 24) must be read to its end before its diff id
  and size are known. Then a small one is sent from memory; a big one is sent in a second pass over the stream.

In both cases what is sent is hashed and must be the layer that it is said to be. Memory is bounded by `HELD`.
"""

from __future__ import annotations

import hashlib
import posixpath
import tarfile
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import IO

from allfast.agent.archive import Layer
from allfast.transfer.compression import decompress, is_compressed
from allfast.transfer.documents import Wanted, find_config
from allfast.transfer.errors import TransferError
from allfast.transfer.index import LayerIndex, Stored

CHUNK = 1 << 18
#: The most uncompressed bytes of one layer that are held in memory while its diff id is being found.
HELD = 48 << 20
#: No document of an image is larger; a bigger file that looks like one is left alone.
DOCUMENT_LIMIT = 4 << 20

Open = Callable[[], AbstractContextManager[IO[bytes]]]


class SavedImage:
    """One image of an engine, read through `docker save`.

    Args:
        open_stream: begins the stream anew; its context manager raises where the engine failed.
        wanted: the image that the stream must hold.
        index: what is known of compressed blobs.
    """

    def __init__(self, open_stream: Open, wanted: Wanted, index: LayerIndex) -> None:
        self._open = open_stream
        self._wanted = wanted
        self._index = index
        self._documents: dict[str, bytes] = {}
        self.sizes: dict[str, int] = {}  # diff id -> bytes, of all layers, when `layers` has ended
        self.passes = 0

    def layers(self, missing: Iterable[str]) -> Generator[Layer]:
        """The layers whose diff ids are `missing`, each once; its chunks must be used before the next is asked for.

        Raises:
            TransferError: a stream that is damaged or cut, a layer that is not what it should be, another image.
        """
        pending = set(missing)
        unknown = pending - set(self._wanted.diff_ids)
        assert not unknown, "only the image's own layers can be sent"
        while self.passes < 2:
            self.passes += 1
            yield from self._pass(pending)
            if not pending and self.sizes.keys() >= set(self._wanted.diff_ids):
                return
        absent = sorted(pending | (set(self._wanted.diff_ids) - self.sizes.keys()))
        raise TransferError(f"the engine's archive lacks {len(absent)} of the image's layers, the first {absent[0]}")

    def config(self) -> bytes:
        """The image's configuration as it is stored; known when `layers` has ended."""
        return find_config(self._documents, self._wanted)

    def _pass(self, pending: set[str]) -> Iterator[Layer]:
        with self._open() as stream:
            try:
                with tarfile.open(fileobj=stream, mode="r|", bufsize=CHUNK) as tar:
                    for member in tar:
                        yield from self._member(tar, member, pending)
            except (tarfile.TarError, EOFError) as error:
                raise TransferError(f"the engine's archive is damaged or ends too early: {error}") from error
            while stream.read(CHUNK):  # the padding after the end: an engine may not be left writing into nothing
                pass

    def _member(self, tar: tarfile.TarFile, member: tarfile.TarInfo, pending: set[str]) -> Iterator[Layer]:
        if not member.isreg() or not member.size:
            return
        path = posixpath.normpath(member.name)
        stored = self._stored(path, member.size)
        body = _read(tar, member)
        if stored is None:
            yield from self._learn(path, member.size, body, pending)
            return
        self._note(stored)
        if self._index.get(path) is None:
            self._index.put(path, stored)  # whoever reads the next image out of the store need not measure it
        if stored.diff_id in pending:
            pending.discard(stored.diff_id)
            yield Layer(stored.diff_id, stored.size, self._checked(path, stored, body))

    def _stored(self, path: str, size: int) -> Stored | None:
        """What is known of a file by its name alone."""
        named = path.removeprefix("blobs/").replace("/", ":")
        if named in self._wanted.diff_ids:
            return Stored(named, size)
        return self._index.get(path)

    def _note(self, stored: Stored) -> None:
        if stored.diff_id in self._wanted.diff_ids:
            self.sizes[stored.diff_id] = stored.size

    def _learn(self, path: str, size: int, body: Iterator[bytes], pending: set[str]) -> Iterator[Layer]:
        """Read a file of unknown meaning to its end: a document, a layer, or something else."""
        first = next(body)
        if _is_document(first, size):
            self._documents[path] = first + b"".join(body)
            return
        if not _is_layer(first):
            return
        hashed, count, held = hashlib.sha256(), 0, []
        for chunk in decompress(first, _chain(first, body)):
            hashed.update(chunk)
            count += len(chunk)
            if count <= HELD:
                held.append(chunk)
            else:
                held.clear()
        stored = Stored("sha256:" + hashed.hexdigest(), count)
        self._index.put(path, stored)
        self._note(stored)
        if stored.diff_id in pending and count <= HELD:
            pending.discard(stored.diff_id)
            yield Layer(stored.diff_id, count, held)

    def _checked(self, path: str, stored: Stored, body: Iterator[bytes]) -> Iterator[bytes]:
        """The layer's bytes; raises before the receiver could take the archive for complete if they are not its own."""
        hashed, count = hashlib.sha256(), 0
        first = next(body)
        for chunk in decompress(first, _chain(first, body)):
            hashed.update(chunk)
            count += len(chunk)
            if count > stored.size:
                break
            yield chunk
        if count != stored.size or "sha256:" + hashed.hexdigest() != stored.diff_id:
            self._index.forget(path)
            raise TransferError(f"the engine gave other bytes for layer {stored.diff_id} than the image's ({path})")


def _read(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
    """The bytes of an entry, in chunks; raises on a cut stream."""
    file = tar.extractfile(member)
    assert file is not None
    rest = member.size
    while rest:
        try:
            chunk = file.read(min(CHUNK, rest))
        except tarfile.TarError as error:
            raise TransferError(f"the engine's archive is damaged in {member.name}: {error}") from error
        if not chunk:
            raise TransferError(f"the engine's archive ends in the middle of {member.name}")
        rest -= len(chunk)
        yield chunk


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _is_document(first: bytes, size: int) -> bool:
    # A layer could begin with a file named "{...": but then the tar magic is there.
    return size <= DOCUMENT_LIMIT and first[:1] in (b"{", b"[") and not _is_tar(first)


def _is_layer(first: bytes) -> bool:
    return is_compressed(first) or _is_tar(first)


def _is_tar(first: bytes) -> bool:
    # An empty tar has no header, only zero blocks.
    return first[257:262] == b"ustar" or (len(first) >= 512 and not any(first[:512]))
