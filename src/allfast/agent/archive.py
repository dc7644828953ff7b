"""What an engine takes: a partial archive, a tar that is at once an OCI layout and a Docker archive.

It holds the image's configuration, a manifest, and only those layers that the receiver lacks, as uncompressed
tars whose digest is their diff id. The manifest lists all layers with their sizes, also the absent ones: engines
with a graph driver find those by their chain, the containerd store by the snapshots it has. The layers come first
and the documents last, so that it can be written while the sizes of later layers are still unknown.

The image has no name in it: it is tagged when it has been checked.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

BLOCK = 512
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"


@dataclass(frozen=True)
class Layer:
    """A layer to be written: `chunks` gives its uncompressed tar once, `size` bytes that hash to `diff_id`."""

    diff_id: str
    size: int
    chunks: Iterable[bytes]


def digest(data: bytes) -> str:
    """The digest of a document, as `sha256:<hex>`."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def chain_id(diff_ids: Sequence[str]) -> str:
    """The id of a chain of layers, as `sha256:<hex>` (OCI image specification, "Layer ChainID"); "" without layers."""
    chain = ""
    for diff_id in diff_ids:
        chain = digest(f"{chain} {diff_id}".encode()) if chain else diff_id
    return chain


def blob_path(name: str) -> str:
    """Where a blob of digest `name` stands in the archive."""
    return "blobs/" + name.replace(":", "/")


def manifest(config: bytes, diff_ids: Sequence[str], sizes: Mapping[str, int]) -> bytes:
    """The image's OCI manifest, the same bytes for the same image always; `sizes` has every diff id's bytes."""
    layers = [{"mediaType": LAYER_TYPE, "digest": diff_id, "size": sizes[diff_id]} for diff_id in diff_ids]
    return _document(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": {"mediaType": CONFIG_TYPE, "digest": digest(config), "size": len(config)},
            "layers": layers,
        }
    )


def write_layers(layers: Iterable[Layer]) -> Iterator[bytes]:
    """The first part of the archive: the layers, in any order."""
    for layer in layers:
        yield _header(blob_path(layer.diff_id), layer.size)
        yield from layer.chunks
        yield _padding(layer.size)


def write_documents(config: bytes, manifest: bytes, diff_ids: Sequence[str]) -> Iterator[bytes]:
    """The second part: configuration, manifest, both tables of contents, and the end of the archive."""
    reference = {"mediaType": MANIFEST_TYPE, "digest": digest(manifest), "size": len(manifest)}
    index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [reference]}
    contents = [
        {"Config": blob_path(digest(config)), "RepoTags": None, "Layers": [blob_path(diff_id) for diff_id in diff_ids]}
    ]
    yield from _file(blob_path(digest(config)), config)
    yield from _file(blob_path(digest(manifest)), manifest)
    yield from _file("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
    yield from _file("index.json", _document(index))
    yield from _file("manifest.json", _document(contents))
    yield bytes(2 * BLOCK)


def _document(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _file(name: str, data: bytes) -> Iterator[bytes]:
    yield _header(name, len(data)) + data + _padding(len(data))


def _header(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size = size
    return member.tobuf(tarfile.GNU_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % BLOCK)
