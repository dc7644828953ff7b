"""What registries say of images, asked through `docker` with this machine's logins; nothing is pulled."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from allfast.model.base import BaseImage

#: Seconds in which a registry has to answer.
SECONDS = 5.0


def ask_registry(reference: str) -> str | None:
    """The digest that the registry gives for a reference now; None where it does not answer within 5 s.

    It is the SHA-256 of the manifest (of the index, for an image of many platforms) as the registry sends it.
    """
    manifest = inspect("--raw", reference)
    return "sha256:" + hashlib.sha256(manifest).hexdigest() if manifest else None


def inspect(*words: str) -> bytes:
    """What `docker buildx imagetools inspect` prints; nothing where the registry does not answer within 5 s."""
    return docker_prints(["buildx", "imagetools", "inspect", *words], seconds=SECONDS)


def describe(reference: str, platform: str, inspect: Callable[..., bytes] = inspect) -> BaseImage | None:
    """An image `name@sha256:...` for one platform; None where its registry does not answer, or has none for that."""
    try:
        return _described(reference, platform, inspect)
    except (ValueError, LookupError, TypeError):  # what no registry should say
        return None


def _described(reference: str, platform: str, inspect: Callable[..., bytes]) -> BaseImage | None:
    manifest = json.loads(inspect("--raw", reference))
    one = reference
    if "manifests" in manifest:
        found = [entry for entry in manifest["manifests"] if _is_for(entry.get("platform") or {}, platform)]
        one = f"{reference.partition('@')[0]}@{found[0]['digest']}"
    with ThreadPoolExecutor(2) as pool:
        image = pool.submit(inspect, "--format", "{{json .Image}}", one)
        layers = (manifest if one == reference else json.loads(inspect("--raw", one)))["layers"]
        diff_ids = json.loads(image.result())["rootfs"]["diff_ids"]
    if len(diff_ids) != len(layers):
        return None
    blobs, sizes = (tuple(layer[key] for layer in layers) for key in ("digest", "size"))
    return BaseImage(reference, tuple(diff_ids), blobs, sizes)


def _is_for(there: dict[str, Any], platform: str) -> bool:
    """Whether an entry of an index is for a platform; where one of both names no variant, any will do."""
    system, architecture, variant = (*platform.split("/"), "")[:3]
    named = there.get("variant") or variant
    return (there.get("os"), there.get("architecture")) == (system, architecture) and variant in ("", named)


def docker_prints(words: list[str], *, seconds: float) -> bytes:
    """What the docker command prints; nothing when it fails or takes too long (then it ends with all its children)."""
    child = subprocess.Popen(
        ["docker", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with child:
        try:
            printed, _ = child.communicate(timeout=seconds)
        except BaseException as error:
            os.killpg(child.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                return b""
            raise
    return printed if child.returncode == 0 else b""
