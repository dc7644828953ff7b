"""The digests that base images stand for now: by the registry, or by the local engine where no registry answers."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from allfast.errors import RefusedError
from allfast.source.needs import familiar
from allfast.source.registry import docker_prints

_DIGEST = re.compile(r"@(sha256:[0-9a-f]{64})$")


@dataclass(frozen=True, slots=True)
class LocalImage:
    """An image of the local engine: its id, and the `name@sha256:...` under which registries know it."""

    id: str
    repo_digests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bases:
    """What the external images stand for now; `local` ones are on this machine only (`--pull` would fail for them)."""

    digests: Mapping[str, str]  # reference -> sha256:...
    local: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()


def resolve_bases(
    references: Mapping[str, Collection[str]],
    inspect: Callable[[str], LocalImage | None],
    registry: Callable[[str], str | None],
) -> Bases:
    """The digest that each reference stands for: its own, else the registry's, else the local image's.

    An image that no registry has ever named was made on this machine, so no registry is asked for it. Where none
    answers, the local image counts, by the digest it was pulled with, so that a short outage changes no inputs.

    Args:
        references: reference -> the services that are built from it.
        inspect: the local engine's image of a reference, None where it has none; see `inspect_local`.
        registry: the digest that the registry gives, None where it does not answer; see
            `registry.ask_registry`.

    Raises:
        RefusedError: an image is neither here nor at its registry; it names the services.
    """
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda reference: _resolve(reference, inspect, registry), references))
    for (reference, services), resolved in zip(references.items(), found, strict=True):
        if resolved is None:
            raise RefusedError(
                f"the base image {reference} of {', '.join(sorted(services))} is neither on this machine nor can its "
                "registry be asked for it",
                hint=f"see that the name is right and that this machine reaches the registry: docker pull {reference}",
            )
    resolved_ones = [one for one in found if one is not None]
    return Bases(
        digests={reference: one.digest for reference, one in zip(references, resolved_ones, strict=True)},
        local=frozenset(r for r, one in zip(references, resolved_ones, strict=True) if one.note),
        notes=tuple(one.note for one in resolved_ones if one.note),
    )


@dataclass(frozen=True, slots=True)
class _Resolved:
    digest: str
    note: str = ""


def _resolve(
    reference: str, inspect: Callable[[str], LocalImage | None], registry: Callable[[str], str | None]
) -> _Resolved | None:
    if (pinned := _DIGEST.search(reference)) is not None:
        return _Resolved(pinned[1])
    local = inspect(reference)
    if local is not None and not local.repo_digests:
        return _Resolved(local.id, f"base image {reference}: made on this machine, so this machine's image is taken")
    digest = registry(reference)
    if digest is not None:
        return _Resolved(digest)
    if local is None:
        return None
    return _Resolved(
        _pulled_digest(reference, local),
        f"base image {reference}: its registry does not answer, so this machine's image is taken",
    )


def _pulled_digest(reference: str, local: LocalImage) -> str:
    """The digest with which the image was pulled under this name, else its id."""
    repository = re.sub(r":[^/:]+$", "", familiar(reference))
    for known in local.repo_digests:
        name, _, digest = known.partition("@")
        if familiar(name) == repository:
            return digest
    return local.id


def inspect_local(reference: str) -> LocalImage | None:
    """The local engine's image of a reference (by `docker image inspect`)."""
    printed = docker_prints(["image", "inspect", reference], seconds=30.0)
    with contextlib.suppress(ValueError, LookupError, TypeError):
        image = json.loads(printed)[0]
        return LocalImage(image["Id"], tuple(image.get("RepoDigests") or ()))
    return None
