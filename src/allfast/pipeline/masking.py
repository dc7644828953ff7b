"""Learning what is secret on a server before anything that its containers said is shown."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from allfast.agent import protocol
from allfast.agent.engine import Engine, EngineError
from allfast.config.secrets import of_environment
from allfast.model.release import Release
from allfast.model.server import Container
from allfast.pipeline.context import Context
from allfast.remote.failures import AgentRefusal
from allfast.remote.records import StoredRelease

_AT_ONCE = 6


def learn(context: Context, containers: Iterable[Container], known: Iterable[Release]) -> None:
    """Have masked what is secret in every known release, and in the environment of these containers.

    Not in the live release alone: there is none after a first deploy that failed, and a data service keeps the
    password that it was made with.
    """
    there, known = list(containers), list(known)
    # a service of one release is a name in all of them: another one's environment may well have it as a value
    names = {name for release in known for name in release.names} | {one.service for one in there}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        stored = pool.map(lambda one: _stored(context, one.id), known)
        environments = pool.map(lambda one: own_environment(context.server.engine, one), there)
        for release in filter(None, stored):
            context.learn(release, names)
        found = {value for one in environments for value in of_environment(one, trusted=False)}
    context.mask(found, names)


def own_environment(engine: Engine, container: Container) -> dict[str, str]:
    """A container's environment without what its image says anyway."""
    of_image = set(_environment(engine, f"/images/{container.image}/json"))
    pairs = (line.partition("=") for line in _environment(engine, f"/containers/{container.id}/json"))
    return {key: value for key, sign, value in pairs if key + sign + value not in of_image}


def _environment(engine: Engine, path: str) -> list[str]:
    """`KEY=value`, as the engine lists them; none where the container or the image is gone."""
    try:
        return list(engine.get(path)["Config"].get("Env") or ())
    except EngineError as error:
        if error.status == 404:
            return []
        raise


def _stored(context: Context, release: str) -> StoredRelease | None:
    try:
        return context.server.get_release(release)
    except AgentRefusal as error:
        if error.kind == protocol.Kind.NOT_FOUND:  # another deployer has pruned it just now
            return None
        raise
