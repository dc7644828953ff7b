"""Start a release's containers and see them healthy; on failure say which container, why, and its last lines."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from allfast import events
from allfast.checks import health
from allfast.config.project import ReleaseProject, release_project
from allfast.engines import ReleaseEngine
from allfast.errors import RolloutError
from allfast.model.release import Release
from allfast.model.server import Container
from allfast.pipeline.context import Context
from allfast.planning.containers import replicas

POLL_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Prepared:
    """A release and its rendered Compose file (which holds secrets); all that is needed to start it."""

    release: Release
    document: str = field(repr=False)

    @property
    def project(self) -> ReleaseProject:
        """The release as a project of its own."""
        return release_project(self.release, self.document)

    def definition(self, service: str) -> dict[str, Any]:
        """The service in the rendered Compose file."""
        found: dict[str, Any] = json.loads(self.document)["services"][service]
        return found


def stored(context: Context, release: str) -> Prepared:
    """A release of the ledger, by its id, ready to be started; what is secret in it is masked from now on."""
    found = context.stored(release)
    return Prepared(found.release, found.compose)


@dataclass(frozen=True, slots=True)
class Asker:
    """How to learn whether a service answers on its port: True or False, None where it has none."""

    answers: Callable[[Container], bool | None]
    now: Callable[[], float]  # the server's clock


def replace(
    engine: ReleaseEngine,
    prepared: Prepared,
    services: Sequence[str],
    asker: Asker,
    emit: events.Emit,
    *,
    fresh_volumes: bool = True,
) -> None:
    """Give `services` new containers of the release, and wait until all of them are healthy.

    Raises:
        RolloutError: a container ended, crash-loops, is unhealthy, or did not become healthy in time.
    """
    if not services:
        return
    watch = Watch(engine, prepared, services, asker, emit, Before.replaced(engine.containers()))
    try:
        engine.up(prepared.document, services, fresh_volumes=fresh_volumes, meanwhile=watch.look)
    except RolloutError as error:
        watch.look()  # names the container that is the cause, where there is one
        raise error
    watch.until_healthy()


def resume(engine: ReleaseEngine, prepared: Prepared, services: Sequence[str], asker: Asker, emit: events.Emit) -> None:
    """Start the containers of `services` that are there, as they are, and wait until they are healthy.

    Raises:
        RolloutError: as `replace`.
    """
    if services:
        engine.resume(services)
        Watch(engine, prepared, services, asker, emit, Before()).until_healthy()


@dataclass(frozen=True, slots=True)
class Before:
    """Containers of which a look can still find what they were before: how they ended then means nothing now.

    By id the time of their last start, or None where they will never start again.
    """

    started: Mapping[str, float | None] = field(default_factory=dict)

    @classmethod
    def replaced(cls, containers: Iterable[Container]) -> Before:
        """These are being replaced by others."""
        return cls(dict.fromkeys((c.id for c in containers), None))

    @classmethod
    def started_again(cls, containers: Iterable[Container]) -> Before:
        """Those of them that do not run are being started."""
        return cls({c.id: c.started for c in containers if c.state != "running"})

    def settled(self) -> Before:
        """After all that was to be started again has been."""
        return Before({name: None for name, started in self.started.items() if started is None})

    def has(self, container: Container) -> bool:
        """Whether this is still what was before."""
        return container.id in self.started and self.started[container.id] in (None, container.started)


class Watch:
    """Follows new containers until they are healthy, or one has failed."""

    def __init__(
        self,
        engine: ReleaseEngine,
        prepared: Prepared,
        services: Iterable[str],
        asker: Asker,
        emit: events.Emit,
        before: Before,
    ) -> None:
        self._engine = engine
        self._asker = asker
        self._emit = emit
        self._before = before
        self._replicas = {name: replicas(prepared.definition(name)) for name in services}
        self._first_seen: dict[str, float] = {}
        self._said: dict[str, str] = {}
        self._restarts: dict[str, int] = {}  # of containers that were healthy, when they were

    def until_healthy(self) -> None:
        """Look until everything is healthy; all has been started."""
        self._before = self._before.settled()
        while not self.look():
            time.sleep(POLL_SECONDS)

    def look(self) -> bool:
        """One look: True when every service has all its containers, healthy.

        Raises:
            RolloutError: a container has failed, or has been starting for too long.
        """
        mine = [
            c
            for c in self._engine.containers()
            if c.service in self._replicas and not c.one_off and not self._before.has(c)
        ]
        healthy = dict.fromkeys(self._replicas, 0)
        for container in mine:
            state = health.judge(container, self._asker.now(), self._asker.answers(container))
            state = self._since_healthy(container, state)
            self._say(container, state)
            if state.state == "failed" or self._overdue(container, state):
                raise self._failure(container, state)
            healthy[container.service] += state.state == "healthy"
        return all(healthy[name] >= self._replicas[name] for name in self._replicas)

    def _since_healthy(self, container: Container, state: health.Health) -> health.Health:
        """Who was healthy and ended all the same has failed: nothing that it waits for at its start excuses it."""
        before = self._restarts.get(container.id)
        if before is not None and (container.restarts > before or container.state == "restarting"):
            return health.Health("failed", "was healthy, and ended then")
        if state.state == "healthy":
            self._restarts[container.id] = container.restarts
        return state

    def _overdue(self, container: Container, state: health.Health) -> bool:
        if state.state == "healthy" or container.state == "created":
            return False
        begun = self._first_seen.setdefault(container.id, time.monotonic())
        return time.monotonic() - begun > health.patience(container.check)

    def _say(self, container: Container, state: health.Health) -> None:
        if self._said.get(container.id) != state.state:
            self._said[container.id] = state.state
            self._emit(events.ContainerChanged(container.service, state.state))

    def _failure(self, container: Container, state: health.Health) -> RolloutError:
        text = state.text if state.state == "failed" else f"did not become healthy in time: {state.text}"
        code = self._engine.last_exit(container.id)
        if code is not None and "exit code" not in text:
            text += f"; it last ended with exit code {code}"
        lines = self._engine.last_lines(container.id)
        told = (f"last health check: {container.health_output}",) if container.health_output else ()
        hint = f"the lines above are the last that {container.name} wrote; correct the cause and deploy again"
        if not lines:
            hint = f"{container.name} wrote nothing: see its command and its image, correct the cause and deploy again"
        return RolloutError(f"{container.service}: container {container.name} {text}", hint=hint, evidence=lines + told)
