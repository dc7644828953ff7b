"""Single layers out of the store of an engine with a graph driver (overlay2).

The store has, for each layer, the files and the exact tar around them ("tar-split"); `docker save` puts them together
for all layers, and writes each to disk before.

Source of the format: https://github.com/moby/moby/blob/master/layer/filestore.go, https://github.com/vbatts/tar-split
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import posixpath
from typing import Any, Dict, Iterator, List, Set, Tuple

from allfast.agent import parts
from allfast.agent.archive import chain_id
from allfast.agent.engine_store import EngineStore, Read, Unreadable, body, unreadable

DRIVER = "overlay2"
#: Bytes of bodies that wait because the tar has them in another order than the folder.
HELD = 48 << 20


class GraphImage:
    """An image (`sha256:...`, its configuration's digest) with these layers. Its methods raise `Unreadable`.

    `config` is its configuration, exactly as it is stored.
    """

    def __init__(self, store: EngineStore, image: str, diff_ids: List[str]) -> None:
        self._store = store
        self._diff_ids = diff_ids
        with unreadable():
            self._root = str(store.info["DockerRootDir"])
        self._meta = store.mount({f"{self._root}/image/{DRIVER}": "/m"})
        self._last = (-1, b"")  # the tar-split that was read last, and whose it is
        self.config = self._file(f"/m/imagedb/content/{image.replace(':', '/')}")

    def blob(self, number: int) -> str:
        """The digest of what is stored of the layer with that number: of its tar."""
        return self._diff_ids[number]

    def size(self, number: int) -> int:
        """Bytes of the tar of the layer with that number."""
        with unreadable():
            return sum(size for _, _, size in _entries(self._split(number)))

    def layers(self, numbers: List[int]) -> Iterator[Tuple[int, Iterator[bytes]]]:
        """Those layers, by number, each as chunks that are to be used before the next one is asked for.

        They raise `Unreadable` before their end if they are not the layer's own.
        """
        if not numbers:
            return
        mounts = {}
        for number in numbers:
            cache_id = self._file(f"{self._folder(number)}/cache-id").decode(errors="replace")
            if not cache_id.isalnum():
                raise Unreadable("a cache id of another form")
            mounts[f"{self._root}/{DRIVER}/{cache_id}/diff"] = f"/{number}"
        container = self._store.mount(mounts)
        for number in numbers:
            yield number, self._checked(number, container)

    def _checked(self, number: int, container: str) -> Iterator[bytes]:
        split, hashed = self._split(number), hashlib.sha256()
        with unreadable(), self._store.archive(container, f"/{number}") as read:
            for chunk in _assembled(split, _Bodies(read)):
                hashed.update(chunk)
                yield chunk
        if "sha256:" + hashed.hexdigest() != self._diff_ids[number]:
            raise Unreadable(f"the files of {self._diff_ids[number]} are not those of its tar")

    def _split(self, number: int) -> bytes:
        if self._last[0] != number:
            self._last = (number, self._file(f"{self._folder(number)}/tar-split.json.gz"))
        return self._last[1]

    def _folder(self, number: int) -> str:
        return f"/m/layerdb/{chain_id(self._diff_ids[: number + 1]).replace(':', '/')}"

    def _file(self, path: str) -> bytes:
        return self._store.file(self._meta, path)


def is_of(info: Dict[str, Any]) -> bool:
    """Whether an engine that says that of itself has a graph driver's store that is known here."""
    return bool(info.get("Driver") == DRIVER)


class _Bodies:
    """The files of a folder's tar, asked for by name in another tar's order, which is nearly the same."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._held: Dict[str, bytes] = {}
        self._size = 0

    def get(self, name: str, size: int, wanted: Set[str]) -> Iterator[bytes]:
        """The body of that file; `wanted` are the names that are still to come."""
        if name in self._held:
            held = self._held.pop(name)
            self._size -= len(held)
            if len(held) != parts.padded(size):
                raise Unreadable(f"{name} has another size")
            yield held[:size]
            return
        while True:
            part = parts.next_part(self._read)
            if part is None or part.size == parts.REST:
                raise Unreadable(f"{name} is missing")
            found = _normal(parts.name_of(part.head).partition("/")[2])
            if found == name:
                yield from self._body(part.size, size)
                return
            if found in wanted:
                self._hold(found, part.size)
            else:
                for _ in body(self._read, part.size):
                    pass

    def _hold(self, name: str, size: int) -> None:
        self._size += size
        if self._size > HELD:
            raise Unreadable("the files are in quite another order than their tar")
        self._held[name] = b"".join(body(self._read, size))

    def _body(self, there: int, size: int) -> Iterator[bytes]:
        if there != parts.padded(size):
            raise Unreadable("a file has another size than in its tar")
        for data in body(self._read, there):
            yield data[:size] if size < len(data) else data
            size -= len(data)


def _assembled(split: bytes, bodies: _Bodies) -> Iterator[bytes]:
    """The tar of a layer: what stands between the files, and the files."""
    wanted = {name for name, _, size in _entries(split) if name and size}
    for name, payload, size in _entries(split):
        if name and size:
            wanted.discard(name)
            yield from bodies.get(name, size, wanted)
        elif payload:
            yield base64.b64decode(payload)


def _entries(split: bytes) -> Iterator[Tuple[str, str, int]]:
    """The entries of a tar-split: a file's name, or bytes between files (base 64); and its bytes in the tar."""
    with gzip.open(io.BytesIO(split), "rt", encoding="utf-8") as lines:
        for line in lines:
            entry = json.loads(line)
            if entry["type"] == 2:
                payload = entry.get("payload") or ""
                yield "", payload, len(payload) // 4 * 3 - payload.count("=", -2)
            elif entry["type"] == 1:
                raw = entry.get("name_raw")
                name = base64.b64decode(raw).decode("utf-8", "surrogateescape") if raw else entry["name"]
                yield _normal(name), "", int(entry.get("size") or 0)
            else:
                raise Unreadable("a tar-split of another form")


def _normal(name: str) -> str:
    return posixpath.normpath("/" + name).lstrip("/")
