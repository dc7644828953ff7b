"""Strategy "recreate": in the base project, the changed services' containers are replaced where they are.

Visitors notice a gap, and the server needs no room for two releases.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from allfast.engines.compose import RUNNING
from allfast.model.release import Release
from allfast.model.service import Kind
from allfast.pipeline import asking, converge, edge, rollout
from allfast.pipeline.context import Context
from allfast.pipeline.rollout import Prepared
from allfast.planning.recorded import deviation
from allfast.remote.records import JournalStep


def start(context: Context, to: Prepared, new: Sequence[str], gone: Sequence[str]) -> None:
    """Remove the services `gone`, and give those of `new` the release's containers.

    Raises:
        RolloutError: a container ended, crash-loops, is unhealthy, or did not become healthy in time.
    """
    edge.leave(context)  # the ports of a release that was beside are the containers' own again
    _stop_beside(context)
    converge.give_up_names(context, to)
    if gone:
        with context.step("remove services", services=gone):
            context.engine.remove(gone)
    with replacing(context, "start release", to.release, new):
        rollout.replace(context.engine, to, new, asking.asker(context, to.release), context.emit)


def _stop_beside(context: Context) -> None:
    """Stop releases that are beside: in place nothing runs twice. Where that is undone, they are started again."""
    running = [c for c in context.server.containers() if c.release and c.state in RUNNING]
    if running:
        with context.step("stop predecessors", services=sorted({c.service for c in running})):
            context.engine.stop(running)


def put(context: Context, back: Prepared, new: Sequence[str], gone: Sequence[str]) -> None:
    """Undo `start`: the services of `back` that it touched get its containers again. RolloutError as `start`."""
    had = {service.name for service in back.release.services}
    again = tuple(name for name in (*new, *gone) if name in had)
    with replacing(context, "start again", back.release, again):
        context.engine.remove([name for name in new if name not in had])
        rollout.replace(context.engine, back, again, asking.asker(context, back.release), context.emit)


def take_back(context: Context, back: Prepared) -> None:
    """Undo a release beside `back`: its containers, which were stopped for their ports at most, serve again.

    Raises:
        RolloutError: as `start`.
    """
    edge.leave(context)
    converge.remove_all(context)
    there = context.engine.containers()
    services = [s for s in back.release.services if s.kind is Kind.RELEASE]
    stopped = [s.name for s in services if any(c.service == s.name and c.state == "exited" for c in there)]
    ask = asking.asker(context, back.release)
    with context.step("start again", release=back.release.id, services=stopped):
        rollout.resume(context.engine, back, stopped, ask, context.emit)
    broken = [s.name for s in services if deviation(context.engine.containers(), s)]
    if broken:
        with replacing(context, "start again", back.release, broken):
            rollout.replace(context.engine, back, broken, ask, context.emit)


@contextmanager
def replacing(context: Context, step: str, release: Release, services: Sequence[str]) -> Iterator[None]:
    """A step in which `services` get containers of `release`; the anonymous volumes of those that go then go, too.

    Compose leaves them. They stand in the journal, so that a run that dies leaves none either (`clear`).
    """
    volumes = context.engine.anonymous_volumes(services)
    with context.step(step, release=release.id, services=services, volumes=volumes):
        try:
            yield
        finally:
            context.engine.remove_volumes(volumes)


def clear(context: Context, journal: Sequence[JournalStep]) -> None:
    """Remove the volumes of containers that a dead run has replaced."""
    begun = [step for step in journal if not step.outcome]
    volumes = sorted({name for step in begun for name in step.detail.get("volumes", ())})
    if volumes:
        with context.step("remove volumes", volumes=volumes):
            context.engine.remove_volumes(volumes)
