"""The JSON documents of a `docker save` stream: which configuration is the image's, for which platform.

Three shapes, told apart by what is there, never by a version: `manifest.json` alone (engines to 24), an OCI layout
beside it (25 and later), and an OCI layout with indexes, other platforms and attestations (the containerd store).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from allfast.agent.archive import blob_path, digest
from allfast.transfer.errors import TransferError

#: What a platform's name leaves out: variants that say nothing new.
_IMPLIED_VARIANTS = {"arm64": "v8", "amd64": "v1", "arm": "v7"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """The image that a stream must hold: as the engine that gave it describes it.

    `config_digest` is empty where it is not known before (an image of the containerd store that was built earlier).
    """

    diff_ids: tuple[str, ...]
    platform: str
    config_digest: str = ""


def normal_platform(name: str) -> str:
    """A platform as `os/architecture[/variant]`, without a variant that goes without saying."""
    system, _, rest = name.partition("/")
    architecture, _, variant = rest.partition("/")
    implied = _IMPLIED_VARIANTS.get(architecture, "")
    return f"{system}/{architecture}" + (f"/{variant}" if variant and variant != implied else "")


def find_config(documents: Mapping[str, bytes], wanted: Wanted) -> bytes:
    """The configuration of the wanted image, exactly as it is stored: its SHA-256 is the image's identity.

    Args:
        documents: the stream's JSON files by their path in the archive.

    Raises:
        TransferError: the stream has no such image, or one with other layers.
    """
    platform = normal_platform(wanted.platform)
    found = [config for config in _configs(documents) if _platform(json.loads(config)) == platform]
    if not found:
        raise TransferError(f"the engine's archive holds no image for {wanted.platform}")
    found = [config for config in found if is_wanted(config, wanted)]
    if not found:
        raise TransferError("the engine's archive holds another image than the one that was asked for")
    return found[0]


def is_wanted(config: bytes, wanted: Wanted) -> bool:
    """Whether a configuration is that of the wanted image."""
    document = json.loads(config)
    if wanted.config_digest and digest(config) != wanted.config_digest:
        return False
    same_layers = tuple(document["rootfs"]["diff_ids"]) == wanted.diff_ids
    return same_layers and _platform(document) == normal_platform(wanted.platform)


def _configs(documents: Mapping[str, bytes]) -> Iterator[bytes]:
    """All image configurations that the tables of contents lead to; attestations and absent platforms fall out."""
    paths: list[str] = []
    if "index.json" in documents:
        paths += _from_index(documents, json.loads(documents["index.json"]))
    if not paths and "manifest.json" in documents:
        paths += [entry["Config"] for entry in json.loads(documents["manifest.json"])]
    for path in dict.fromkeys(paths):
        if path in documents and "rootfs" in json.loads(documents[path]):
            yield documents[path]


def _from_index(documents: Mapping[str, bytes], document: dict[str, Any]) -> list[str]:
    """Paths of configurations below an index (which may hold further indexes) or a manifest."""
    if "config" in document:
        return [blob_path(document["config"]["digest"])]
    below = (documents.get(blob_path(entry["digest"])) for entry in document.get("manifests", ()))
    return [path for child in below if child is not None for path in _from_index(documents, json.loads(child))]


def _platform(config: dict[str, Any]) -> str:
    parts = (config.get("os", ""), config.get("architecture", ""), config.get("variant", ""))
    return normal_platform("/".join(parts).rstrip("/"))
