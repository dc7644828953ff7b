"""Do containers run as the ledger has their release? Pure; used by the plan, by rollback and by status."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from allfast.model.release import DataService, Release, ReleaseService, Strategy
from allfast.model.server import Container, ServerFacts

NO_CONTAINER = "it has no container"
#: What to do where the ledger knows nothing of what runs.
LOST = (
    "its state folder was lost: bring it back from a copy, or have what runs replaced by "
    '`allfast deploy --force "the state is lost"`'
)


def of_release(containers: Iterable[Container], release: Release | None) -> tuple[Container, ...]:
    """The containers that visitors get with a release: its own, and the data services of the base project."""
    if release is None or release.strategy is not Strategy.SIDE_BY_SIDE:
        return tuple(c for c in containers if not c.release)
    mine = {one.name for one in release.services}
    return tuple(c for c in containers if c.release == release.id or (not c.release and c.service not in mine))


def containers_of(containers: Iterable[Container], service: str) -> tuple[Container, ...]:
    """The service's own containers, without one-off runs."""
    return tuple(c for c in containers if c.service == service and not c.one_off)


def deviation(containers: Iterable[Container], service: ReleaseService) -> str:
    """Why a live service does not run as recorded; empty where it does. `containers` are all of the deployment."""
    running = containers_of(containers, service.name)
    if not running and service.replicas:
        return NO_CONTAINER
    for container in running:
        if container.image != service.image.engine_id:
            return f"{container.name} runs another image than the release's"
        if container.settings != service.settings:
            return f"{container.name} was made with other settings than the release's"
        if container.state != "running":
            return state(container)
        if container.health == "unhealthy":
            return f"{container.name} is unhealthy"
    if len(running) != service.replicas:
        return f"it has {len(running)} container{'s' * (len(running) > 1)} instead of {service.replicas}"
    return ""


def data_trouble(containers: Iterable[Container], data: Iterable[DataService]) -> dict[str, str]:
    """The data services that do not run, and how; settings count not: they are changed with consent alone."""
    found = {}
    for one in data:
        mine = [c for c in containers_of(containers, one.name) if not c.release]
        stopped = [state(c) for c in mine if c.state != "running"]
        if not mine or stopped:
            found[one.name] = stopped[0] if stopped else NO_CONTAINER
    return found


def unrecorded(server: ServerFacts, data: Collection[str]) -> tuple[str, ...]:
    """The services, without the `data` ones, that run though the ledger has no live release: it was lost.

    What a run that is under way or never ended has started is no such thing.
    """
    if server.live is not None or server.lock is not None:
        return ()
    dead = ("", server.unfinished.release) if server.unfinished is not None else ()
    running = [c for c in server.containers if c.state == "running" and c.settings and not c.one_off]
    return tuple(sorted({c.service for c in running if c.service not in data and c.release not in dead}))


def state(container: Container) -> str:
    """What a container that does not run does, with its exit code where it had the time to have one."""
    ended = container.state in ("exited", "dead", "restarting")
    return f"{container.name} is {container.state}" + (f" (exit code {container.exit_code})" if ended else "")
