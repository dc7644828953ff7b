"""Images in the engine: whether one is there, as it was built, and the names that it is given."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Tuple

from allfast.agent.engine import Engine, EngineError
from allfast.agent.protocol import AgentError, Kind

Json = Dict[str, Any]


def inspect(engine: Engine, reference: str) -> Optional[Json]:
    """The engine's description of an image (`GET /images/{name}/json`), None where it has none."""
    try:
        found: Json = engine.get(f"/images/{reference}/json")
    except EngineError as error:
        if error.status == 404:
            return None
        raise
    return found


def find(engine: Engine, ids: List[str], diff_ids: List[str]) -> Optional[Json]:
    """The image under one of these ids with exactly these layers: `id`, and `platform` as os, architecture, variant.

    None where the engine has none, or not all of its layers.
    """
    for one in sorted(ids):
        found = inspect(engine, one)
        if found is None or found["Id"] not in ids or ((found.get("RootFS") or {}).get("Layers") or []) != diff_ids:
            continue
        if is_whole(engine, found["Id"]):
            return {"id": found["Id"], "platform": [found.get(key) or "" for key in ("Os", "Architecture", "Variant")]}
    return None


def is_whole(engine: Engine, engine_id: str) -> bool:
    """Whether the engine has all layers of an image that it describes.

    The containerd store loads an archive that lacks layers without a word, describes the image and names it (Engine
    26); only it does not list it, and cannot tell the sizes of its layers.
    """
    if all(one["Id"] != engine_id for one in engine.get("/images/json", all=True)):
        return False
    try:
        engine.get(f"/images/{engine_id}/history")
    except EngineError:
        return False
    return True


def name(engine: Engine, names: Mapping[str, str]) -> None:
    """Give images their names: reference -> engine id.

    Raises `AgentError` engine for the first that it cannot be given to.
    """
    for reference, engine_id in names.items():
        repository, tag = split_reference(reference)
        try:
            engine.post(f"/images/{engine_id}/tag", repo=repository, tag=tag)
        except EngineError as error:
            raise AgentError(
                Kind.ENGINE,
                f"the engine refused to name an image {reference}: {error.message}",
                "run the same command again: an image that is gone is sent again",
                error.status,
            ) from error


def split_reference(reference: str) -> Tuple[str, str]:
    """Name and tag (or digest) of an image reference; without one, the tag is `latest`."""
    repository, at, digest = reference.partition("@")
    head, slash, last = repository.rpartition("/")
    base, _, label = last.partition(":")
    return head + slash + base, digest if at else label or "latest"
