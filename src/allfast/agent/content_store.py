"""Single layers out of the store of an engine with the containerd image store: blobs, each named by its digest.

An image is a manifest (configuration and layers), or an index of manifests: of several platforms, and attestations.
Layers lie there as they came: plain, or compressed.

Source of the format: https://github.com/opencontainers/image-spec (manifest.md, image-index.md),
https://github.com/containerd/containerd/blob/main/docs/content-flow.md
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, Callable, Dict, Iterable, Iterator, List, NamedTuple, Optional, Tuple

from allfast.agent import parts
from allfast.agent.archive import digest
from allfast.agent.engine_store import EngineStore, Read, Unreadable, body, unreadable

BLOBS = "io.containerd.content.v1.content/blobs"
#: Where the store may be, besides the engine's own folder: beside a containerd of the system's; in Docker Desktop.
ELSEWHERE = ("/var/lib/containerd", "/var/lib/desktop-containerd/daemon")
#: Indexes in indexes that are followed.
DEPTH = 4

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

#: Plain bytes of a blob's bytes, which begin with the first argument. Raises `Unreadable` or `ValueError`.
Unpack = Callable[[bytes, Iterable[bytes]], Iterator[bytes]]


class Blob(NamedTuple):
    """A blob as it lies in the store: its digest, and its bytes there."""

    digest: str
    size: int


class Manifest(NamedTuple):
    """What makes an image for one platform."""

    config: str
    layers: Tuple[Blob, ...]


class ContentImage:
    """An image (`sha256:...`, as the engine knows it) with these layers. Its methods raise `Unreadable`.

    Args:
        store: the engine's.
        image: the digest of a manifest or of an index.
        diff_ids: its layers.
        unpack: uncompresses layers.
        suits: whether a configuration with these layers is the one that is meant; an index may have several.
    """

    def __init__(
        self, store: EngineStore, image: str, diff_ids: List[str], unpack: Unpack, suits: Callable[[bytes], bool]
    ) -> None:
        self._store = store
        self._diff_ids = diff_ids
        self._unpack = unpack
        self._blobs = ""
        document = self._find(image)
        with unreadable():
            self._manifest, self.config = choose(document, self._document, diff_ids, suits)

    def blob(self, number: int) -> str:
        """The digest of what is stored of the layer with that number."""
        return self._manifest.layers[number].digest

    def size(self, number: int) -> Optional[int]:
        """Bytes of the tar of the layer with that number; None where only reading it can tell."""
        blob = self._manifest.layers[number]
        return blob.size if blob.digest == self._diff_ids[number] else None

    def layers(self, numbers: List[int]) -> Iterator[Tuple[int, Iterator[bytes]]]:
        """Those layers, by number, each as chunks that are to be used before the next one is asked for.

        They raise `Unreadable` before their end if they are not the layer's own.
        """
        for number in numbers:
            yield number, self._checked(number)

    def _checked(self, number: int) -> Iterator[bytes]:
        hashed = hashlib.sha256()
        blob = self._manifest.layers[number]
        with unreadable(), self._store.archive(self._blobs, _path(blob.digest)) as read:
            body = _body(read, blob)
            first = next(body)
            for chunk in self._unpack(first, _chain(first, body)):
                hashed.update(chunk)
                yield chunk
        if "sha256:" + hashed.hexdigest() != self._diff_ids[number]:
            raise Unreadable(f"the blob {blob.digest} is not {self._diff_ids[number]}")

    def _find(self, image: str) -> bytes:
        """Look for the folder of blobs; the image's document, which proves it."""
        said = []
        for folder in candidates(str(self._store.info.get("DockerRootDir", ""))):
            try:
                self._blobs = self._store.mount({folder: "/blobs"})
                return self._document(image)
            except Unreadable as error:
                said.append(f"{folder}: {error}")
        raise Unreadable(f"the content store is at no place that is known here ({'; '.join(said)})")

    def _document(self, name: str) -> bytes:
        document = self._store.file(self._blobs, _path(name))
        if digest(document) != name:
            raise Unreadable(f"the blob {name} is damaged")
        return document


def is_of(info: Dict[str, Any]) -> bool:
    """Whether an engine that says that of itself has the containerd image store."""
    return ["driver-type", "io.containerd.snapshotter.v1"] in (info.get("DriverStatus") or ())


def candidates(root: str) -> List[str]:
    """Folders of an engine's machine where the blobs may be; `root` is the engine's own folder."""
    return [f"{folder}/{BLOBS}" for folder in (f"{root}/containerd/daemon", *ELSEWHERE)]


def choose(
    document: bytes, read: Callable[[str], bytes], diff_ids: List[str], suits: Callable[[bytes], bool]
) -> Tuple[Manifest, bytes]:
    """The manifest and the configuration of the image that is meant, below the document that the image is named by.

    Args:
        read: the document of that digest. Raises `Unreadable`: most platforms of an index are not here.
        diff_ids: the image's layers.
        suits: whether a configuration with these layers is the one that is meant.

    Raises:
        Unreadable: there is none.
        KeyError, TypeError, ValueError: a document is not what it should be.
    """
    for manifest in _manifests(document, read, DEPTH):
        try:
            config = read(manifest.config)
        except Unreadable:
            continue
        found = json.loads(config)["rootfs"]["diff_ids"]
        if found == diff_ids and len(manifest.layers) == len(found) and suits(config):
            return manifest, config
    raise Unreadable("no manifest of the image has its layers")


def _manifests(document: bytes, read: Callable[[str], bytes], depth: int) -> Iterator[Manifest]:
    """All manifests that a document leads to and that are here."""
    found = json.loads(document)
    if "layers" in found:
        yield manifest_of(found)
    for child in children_of(found) if depth else ():
        try:
            below = read(child)
        except Unreadable:
            continue
        yield from _manifests(below, read, depth - 1)


def manifest_of(document: Dict[str, Any]) -> Manifest:
    """A manifest's document, understood. Raises `KeyError`, `TypeError` or `ValueError` where it is none."""
    layers = tuple(Blob(_checked_digest(one["digest"]), int(one["size"])) for one in document["layers"])
    return Manifest(_checked_digest(document["config"]["digest"]), layers)


def children_of(document: Dict[str, Any]) -> List[str]:
    """The digests that an index lists, without attestations: those say of themselves that they run nowhere."""
    entries = [entry for entry in document.get("manifests") or () if not _is_attestation(entry)]
    return [_checked_digest(entry["digest"]) for entry in entries]


def _is_attestation(entry: Dict[str, Any]) -> bool:
    # https://docs.docker.com/build/metadata/attestations/attestation-storage/
    platform = entry.get("platform") or {}
    kind = (entry.get("annotations") or {}).get("vnd.docker.reference.type")
    return kind == "attestation-manifest" or "unknown" in (platform.get("os"), platform.get("architecture"))


def _checked_digest(text: str) -> str:
    if not _DIGEST.fullmatch(text):
        raise ValueError(f"a digest of another form: {text!r}")
    return text


def _path(name: str) -> str:
    return "/blobs/" + name.replace(":", "/")


def _body(read: Read, blob: Blob) -> Iterator[bytes]:
    """The bytes of a blob, out of a tar with nothing else."""
    part = parts.next_part(read)
    if part is None or part.size != parts.padded(blob.size) or not blob.size:
        raise Unreadable(f"the blob {blob.digest} has another size")
    yield from body(read, blob.size)


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest
