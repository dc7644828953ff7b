"""A Compose service as allfast sees it, and all that its image is built from."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

#: The build argument by which a Dockerfile asks for its commit: allfast's own to give.
COMMIT_ARGUMENT = "ALLFAST_COMMIT"


class Kind(StrEnum):
    """What a service is to a deploy (see the glossary in docs/design.md)."""

    RELEASE = "release"
    DATA = "data"
    ONE_SHOT = "one-shot"  # belongs to the release; runs once per release, on deploy only


class Method(StrEnum):
    """How a service's image comes to be; ordered by how much each one trusts the caches."""

    CLEAN = "clean"
    QUICK = "quick"
    REUSE = "reuse"


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One entry of a build context: what Docker would copy, without times.

    `mode` is "644" or "755" for files, "link" for symbolic links; `digest` is the SHA-256 (hex) of the
    body, or of the link's target text. Directories count only when they are empty (`mode` "dir").
    """

    path: str
    mode: str
    digest: str


@dataclass(frozen=True, slots=True)
class BuildInputs:
    """All that one image is built from; `digest` hashes all other fields (see source/inputs.py)."""

    digest: str
    platform: str
    target: str
    args: tuple[tuple[str, str], ...]  # key -> SHA-256 of the value, sorted; without ALLFAST_COMMIT
    dockerfile: str  # SHA-256 of the Dockerfile's text
    dockerignore: str  # SHA-256 of the ignore file in force, "" without one
    bases: tuple[tuple[str, str], ...]  # external image reference -> resolved digest, sorted
    files: tuple[FileEntry, ...]  # of the context, sorted by path
    contexts: tuple[tuple[str, tuple[FileEntry, ...]], ...] = ()  # additional contexts, by name
    secrets: tuple[str, ...] = ()  # ids only
    extra: tuple[FileEntry, ...] = ()  # listed files that Git ignores
    unhashable: tuple[str, ...] = ()  # why a build could differ although the digest is equal (`ADD https://`)


@dataclass(frozen=True, slots=True)
class Build:
    """How a service is built: the Compose `build:` section, with paths inside the checkout.

    `context` and `dockerfile` are paths relative to the checkout's root (POSIX).
    """

    context: str
    dockerfile: str
    dockerfile_inline: str | None = None
    target: str = ""
    args: tuple[tuple[str, str], ...] = ()
    contexts: tuple[tuple[str, str], ...] = ()
    secrets: tuple[tuple[str, str], ...] = ()  # id -> "env=NAME" or "src=PATH", as buildx takes it
    ssh: tuple[str, ...] = ()
    platform: str = ""  # empty: the server's
    offers_commit: bool = False  # the Dockerfile declares ARG ALLFAST_COMMIT
    extra_hosts: tuple[str, ...] = ()
    network: str = ""
    shm_size: str = ""


@dataclass(frozen=True, slots=True)
class Service:
    """One service of the rendered Compose model.

    `definition` is the service's part of `docker compose config --format json` after allfast's own changes
    (storage, see config/compose.py), but before images are pinned; `$` is still escaped as `$$`.
    It holds secrets: never show it. `settings` is a hash over it, over the networks, volumes and files it uses.
    """

    name: str
    kind: Kind
    kind_reason: str
    settings: str
    definition: dict[str, Any] = field(repr=False, hash=False)
    build: Build | None = None
    image: str = ""  # the reference in the Compose file; for a worker, the name that `built_by` builds
    built_by: str | None = None  # the service whose image it runs (itself where it has `build`)
    depends_on: tuple[tuple[str, str], ...] = ()  # service -> condition
    environment: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # key -> SHA-256 of the value, sorted
    port: int | None = None  # container port that answers HTTP, where known
    dialled: bool = True  # another service of the application dials it
