"""Strategy "side-by-side": a release starts in a project of its own, and the proxy switches to it by one rename.

`start` and `switch` lead to the moment from which visitors get the new release; `converge.py` tidies up after it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from allfast.model.release import Release, Strategy
from allfast.model.server import Container
from allfast.model.service import Kind
from allfast.pipeline import asking, edge, verify
from allfast.pipeline.context import Context
from allfast.pipeline.rollout import Before, Prepared, Watch
from allfast.planning.recorded import deviation


def start(context: Context, to: Prepared, services: Sequence[str] | None = None) -> None:
    """Start the release beside the live one and see it healthy; visitors notice nothing.

    Services that cannot run beside their predecessors, and those that need them, wait for `switch`. So do the workers
    of a release that is still warm: all that its visitors need runs. With `services` only those start.

    Raises:
        RolloutError: a container ended, crash-loops, is unhealthy, or did not become healthy in time.
    """
    if services is None and asleep(context, to.release) is not None:
        return
    early, _ = to.project.waves()
    with context.step("prepare containers", release=to.release.id):
        context.starter(to.project).prepare(edge.aliases(context, to.release))
    _start(context, to, early if services is None else services)


def switch(context: Context, to: Prepared) -> None:
    """Give visitors the release: from the rename on, each new request is answered by it.

    Raises:
        VerifyError: it is not what it should be, as asked on the server; nothing was switched.
        RolloutError: a service that cannot run beside its predecessor did not come up.
    """
    early, late = to.project.waves()
    sleeping = asleep(context, to.release) or ()
    verify.prove_on_server(context, to.release, [name for name in early if name not in sleeping])
    _start_late(context, to, late)
    verify.prove_on_server(context, to.release, late)
    serve(context, to)
    wake(context, to.release, sleeping)


def is_beside(release: Release | None) -> bool:
    """Whether a release is a project of its own."""
    return release is not None and release.strategy is Strategy.SIDE_BY_SIDE


def workers(release: Release) -> set[str]:
    """The services that nothing dials."""
    return {one.name for one in release.services if one.worker}


def _start(context: Context, to: Prepared, services: Sequence[str]) -> None:
    if not services:
        return
    with context.step("start release", release=to.release.id, services=services):
        engine = context.starter(to.project)
        # a reboot, a hand or an earlier switch may have left containers that ended: they are about to run again
        before = Before.started_again(engine.containers())
        watch = Watch(engine, to, services, asking.asker(context, to.release), context.emit, before)
        engine.start(services, watch.look)
        watch.until_healthy()


def start_again(context: Context, to: Prepared, services: Sequence[str]) -> None:
    """Start these services of a release that was live, all that can be at once first."""
    if services:
        early, late = to.project.waves()
        start(context, to, [name for name in early if name in services])
        _start_late(context, to, [name for name in late if name in services])


def _start_late(context: Context, to: Prepared, late: Sequence[str]) -> None:
    """Start what waited until now, each after its predecessor in any other release has stopped."""
    if not late:
        return
    edge.give_up(context, to.project.ports)
    alone = [name for name, _ in to.project.alone if name in late]
    others = [c for c in context.server.containers() if c.release != to.release.id and not c.one_off]
    old = [c for c in others if c.service in alone and c.state == "running"]
    if old:
        with context.step("stop predecessors", services=sorted({c.service for c in old})):
            context.engine.stop(old)
    _start(context, to, late)


def serve(context: Context, to: Prepared) -> None:
    """Lead the proxy to a release that runs."""
    edge.prepare(context, to.release)
    edge.keep_assets(context, to.release)
    set_policies(context, to)  # before the switch: a reboot in between must not leave visitors without it
    edge.switch(context, to.release)
    edge.listen(context, to.release)


def broken(context: Context, release: Release) -> list[str]:
    """The services that do not run as recorded."""
    mine = context.engine_of(release).containers()
    return [s.name for s in release.services if s.kind is Kind.RELEASE and deviation(mine, s)]


def asleep(context: Context, release: Release) -> tuple[str, ...] | None:
    """The workers of a warm release, which were stopped when it retired; None where more than that does not run."""
    troubled = broken(context, release)
    stopped = {c.service for c in context.engine_of(release).containers() if c.state == "exited"}
    return tuple(troubled) if set(troubled) <= workers(release) & stopped else None


def wake(context: Context, release: Release, workers: Sequence[str]) -> None:
    """Start the workers of a release that was warm."""
    if workers:
        with context.step("start workers", release=release.id, services=workers):
            context.engine_of(release).resume(workers)


def rest(
    context: Context,
    step: str,
    release: Release,
    containers: Sequence[Container],
    idle: Collection[str],
    then: Callable[[], None] | None = None,
) -> set[str]:
    """Stop those of the containers whose service is `idle`, and have none of them all come back by itself.

    All in one step, and `then` in it, too. The services of those for which there was something to do.
    """
    busy = [c for c in containers if c.service in idle and c.state == "running"]
    lasting = [c for c in containers if c.restart != "no"]
    if busy or lasting:
        with context.step(step, release=release.id):
            for container in lasting:
                context.engine.set_restart(container, "no")
            context.engine.stop(busy)
            if then is not None:
                then()
    return {c.service for c in (*busy, *lasting)}


def set_policies(context: Context, serving: Prepared, services: Sequence[str] | None = None) -> bool:
    """Give a release's containers, or those of some services, their own restart policies; whether one had another."""
    engine, wanted = context.engine_of(serving.release), dict(serving.project.restart)
    mine = [c for c in engine.containers() if services is None or c.service in services]
    wrong = [c for c in mine if c.restart != wanted[c.service]]
    if wrong:
        with context.step("restart policies", release=serving.release.id):
            for container in wrong:
                engine.set_restart(container, wanted[container.service])
    return bool(wrong)
