"""`docker save` streams in every shape that engines give, made by hand from layers."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO

from allfast.transfer.source import Open


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def blob(data: bytes) -> str:
    return "blobs/" + digest(data).replace(":", "/")


def layer_tar(files: Mapping[str, bytes]) -> bytes:
    """A layer: a tar of files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return out.getvalue()


def config_of(layers: list[bytes], architecture: str = "amd64", **more: object) -> bytes:
    diff_ids = [digest(layer) for layer in layers]
    document = {"os": "linux", "architecture": architecture, "rootfs": {"type": "layers", "diff_ids": diff_ids}, **more}
    return json.dumps(document).encode()


@dataclass
class Stream:
    """An archive as an engine would send it; `opened` counts the passes over it."""

    files: dict[str, bytes]
    links: dict[str, str] = field(default_factory=dict)
    opened: int = 0
    cut: int | None = None

    def data(self) -> bytes:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:
            for name in sorted(self.files.keys() | self.links.keys()):
                member = tarfile.TarInfo(name)
                if name in self.links:
                    member.type, member.linkname = tarfile.SYMTYPE, self.links[name]
                    tar.addfile(member)
                else:
                    member.size = len(self.files[name])
                    tar.addfile(member, io.BytesIO(self.files[name]))
        return out.getvalue()[: self.cut]

    def opener(self) -> Open:
        @contextmanager
        def begin() -> Iterator[IO[bytes]]:
            self.opened += 1
            yield io.BytesIO(self.data())

        return begin


def classic(layers: list[bytes], config: bytes) -> Stream:
    """Engines 20.10 to 24: a folder for each layer, named by neither digest nor diff id; equal layers are links."""
    files: dict[str, bytes] = {}
    links: dict[str, str] = {}
    paths: list[str] = []
    first: dict[bytes, str] = {}
    for number, layer in enumerate(layers):
        name = hashlib.sha256(f"v1 {number}".encode()).hexdigest()
        files[f"{name}/VERSION"] = b"1.0"
        files[f"{name}/json"] = json.dumps({"id": name}).encode()
        paths.append(f"{name}/layer.tar")
        if layer in first:
            links[paths[-1]] = f"../{first[layer]}/layer.tar"
        else:
            files[paths[-1]], first[layer] = layer, name
    config_path = digest(config).removeprefix("sha256:") + ".json"
    files[config_path] = config
    files["manifest.json"] = json.dumps([{"Config": config_path, "RepoTags": ["app:1"], "Layers": paths}]).encode()
    files["repositories"] = b'{"app":{"1":"x"}}'
    return Stream(files, links)


def layout(layers: list[bytes], config: bytes) -> Stream:
    """Engine 25 and later on a graph driver: an OCI layout of uncompressed layers, and legacy JSON blobs."""
    files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}
    legacy = b'{"id":"0123","created":"1970-01-01T00:00:00Z"}'
    manifest = json.dumps({"schemaVersion": 2, **_manifest(config, layers)}).encode()
    for data in (*layers, config, manifest, legacy):
        files[blob(data)] = data
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [{"digest": digest(manifest)}]}).encode()
    files["manifest.json"] = json.dumps(
        [{"Config": blob(config), "RepoTags": None, "Layers": [blob(layer) for layer in layers]}]
    ).encode()
    return Stream(files)


def containerd(
    images: list[tuple[list[bytes], bytes]],
    compress: Callable[[bytes], bytes] = lambda data: gzip.compress(data, 1, mtime=0),
) -> Stream:
    """The containerd store: an index of platforms and an attestation, below it manifests of compressed blobs."""
    files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}
    manifests = []
    for layers, config in images:
        packed = [compress(layer) for layer in layers]
        manifest = json.dumps({"schemaVersion": 2, **_manifest(config, packed)}).encode()
        for data in (*packed, config, manifest):
            files[blob(data)] = data
        manifests.append({"digest": digest(manifest), "platform": {"os": "linux", "architecture": "x"}})
    statement = b'{"_type":"https://in-toto.io/Statement/v0.1"}'
    unknown = b'{"architecture":"unknown","os":"unknown","rootfs":{"type":"layers","diff_ids":["sha256:00"]}}'
    attestation = json.dumps({"schemaVersion": 2, **_manifest(unknown, [statement])}).encode()
    for data in (statement, unknown, attestation):
        files[blob(data)] = data
    manifests.append({"digest": digest(attestation), "platform": {"os": "unknown", "architecture": "unknown"}})
    absent = {"os": "linux", "architecture": "s390x"}
    manifests.append({"digest": digest(b"a platform that is not here"), "platform": absent})
    index = json.dumps({"schemaVersion": 2, "manifests": manifests}).encode()
    files[blob(index)] = index
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [{"digest": digest(index)}]}).encode()
    return Stream(files)


def _manifest(config: bytes, blobs: list[bytes]) -> dict[str, object]:
    layers = [{"digest": digest(data), "size": len(data)} for data in blobs]
    return {"config": {"digest": digest(config)}, "layers": layers}
