"""Data services: started where they are missing, recreated only with consent, and always with their volumes.

One that fails to come up with other settings or another image is put back as it was.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from allfast.errors import AllfastError, AttentionError, LockLostError, RolloutError, said
from allfast.model.plan import Plan
from allfast.model.release import DataService
from allfast.model.server import Container
from allfast.pipeline import foreign_images, interrupts, rollout
from allfast.pipeline.asking import asker
from allfast.pipeline.context import Context
from allfast.pipeline.facts import Snapshot
from allfast.pipeline.rollout import Prepared
from allfast.planning.databases import makes_container
from allfast.planning.recorded import containers_of


def apply(context: Context, snapshot: Snapshot, plan: Plan, prepared: Prepared) -> None:
    """Carry out the plan's lines for data services and wait until they are healthy.

    Raises:
        ShipError: an image is nowhere to be had.
        RolloutError: a data service did not come up; one that was there before runs again as it was, and the release's
            services were not touched.
        AttentionError: nor did the one before.
    """
    found = [c for c in snapshot.facts.server.containers if not c.one_off]
    found.sort(key=lambda c: c.state != "created")  # one that was never started gives way to the one it was to replace
    there = {c.service: c for c in found}
    anew = [d.service for d in plan.data if makes_container(snapshot.facts, d)]
    before = [there[d.service] for d in plan.data if d.action == "recreate" and d.service in there]
    # one that still starts is waited for, too: the run that started it may have been cut off
    starting = {name for name, container in there.items() if container.health == "starting"}
    kept = [
        d.service
        for d in plan.data
        if d.service not in anew and d.service in (there if d.action == "start" else starting)
    ]
    if not kept + anew:
        return
    with context.stage("data", ", ".join(kept + anew)) as words:
        for name in anew:
            with context.step("data image", service=name):
                _bring_image(context, snapshot, name)
        try:
            with context.step("data services", services=kept + anew):
                _start(context, snapshot, prepared, kept, anew)
        except LockLostError:
            raise  # nothing may be changed any more
        except BaseException as cause:
            _put_back(context, before, cause)
            raise
        words.append(", ".join(kept + anew) + " healthy")


def _start(context: Context, snapshot: Snapshot, prepared: Prepared, kept: Sequence[str], anew: Sequence[str]) -> None:
    wanted = [DataService(d.name, d.settings, d.image) for d in prepared.release.data if d.name in anew]
    known = {d.name for d in snapshot.facts.server.data}
    # before it starts: what is not known as data would be removed as a leftover, should this process die now
    context.server.record_data([d for d in wanted if d.name not in known])
    ask = asker(context, prepared.release)
    rollout.resume(context.engine, prepared, kept, ask, context.emit)
    rollout.replace(context.engine, prepared, anew, ask, context.emit, fresh_volumes=False)
    context.server.record_data(wanted)


def _put_back(context: Context, before: Sequence[Container], cause: BaseException) -> None:
    """Have the data services run again as these containers of theirs did; a second Ctrl-C does not stop that.

    Raises:
        AttentionError: one did not come up; both causes are told.
    """
    why = said(cause)
    down: dict[str, AllfastError] = {}
    with interrupts.uninterrupted(context.warn, "the data services of before are being put back: please wait for it"):
        for old in before:
            now = containers_of(context.engine.containers(), old.service)
            if [(c.id, c.state) for c in now] == [(old.id, "running")]:
                continue  # it was not its turn yet
            context.warn(f"{why}; putting {old.service} back as it was")
            try:
                _start_as_before(context, old)
            except LockLostError:
                raise
            except AllfastError as error:
                down[old.service] = error  # the others must come back all the same
            else:
                context.note(f"{old.service} runs again as it was")
    if down:
        raise _down(why, cause, down) from cause


def _down(why: str, cause: BaseException, down: Mapping[str, AllfastError]) -> AttentionError:
    names = ", ".join(down)
    causes = "; ".join(error.message for error in down.values())
    what = f"{names} is down: it failed ({why}), and as it was before it does not come up: {causes}"
    logs = " and ".join(f"`allfast logs {name}`" for name in down)
    look = f"look at {logs}, correct the cause, and run `allfast deploy --data`"
    evidence = cause.evidence if isinstance(cause, AllfastError) else ()
    lines = (*evidence, *(line for error in down.values() for line in error.evidence))
    return AttentionError(what, hint=f"its volumes are as it left them; {look}", evidence=lines)


def _start_as_before(context: Context, old: Container) -> None:
    """Start a data service with the settings and the very image of a container that is no more."""
    service = old.service
    for release, _ in context.server.releases():
        if any((d.name, d.settings) == (service, old.settings) for d in release.data):
            break
    else:
        raise RolloutError(f"no kept release has the settings that {old.name} ran with; start it by hand")
    stored = context.stored(release.id)
    document = json.loads(stored.compose)
    document["services"][service]["image"] = old.image
    prepared = Prepared(stored.release, json.dumps(document, ensure_ascii=False))
    with context.step("put data back", release=release.id, service=service):
        ask = asker(context, stored.release)
        rollout.replace(context.engine, prepared, [service], ask, context.emit, fresh_volumes=False)


def _bring_image(context: Context, snapshot: Snapshot, name: str) -> None:
    item = snapshot.facts.get(name)
    assert item is not None
    foreign_images.bring(context, item.service.image, name, snapshot.local, snapshot.facts.server.platform)
