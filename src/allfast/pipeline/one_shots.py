"""One-shots: migrations and the like. They run once per release, on deploy only, before the release starts."""

from __future__ import annotations

from allfast import events
from allfast.config.document import before_name
from allfast.engines import Ended
from allfast.errors import RolloutError
from allfast.model.plan import Plan
from allfast.model.release import Release
from allfast.pipeline.context import Context
from allfast.pipeline.facts import Snapshot
from allfast.pipeline.rollout import Prepared

#: The journal's name for one that runs.
STEP = "one-shot"
NOT_UNDONE = "what the command did to the database before it failed is not undone"


def run(context: Context, snapshot: Snapshot, plan: Plan, prepared: Prepared) -> None:
    """Run the one-shot services, then each service's `before` command.

    Raises:
        RolloutError: one failed; containers and routes are unchanged.
    """
    if not plan.one_shots:
        return
    with context.stage("one-shots", ", ".join(plan.one_shots)) as words:
        befores = {
            f"{i.service.name}: {' '.join(i.before)}": i.service.name for i in snapshot.facts.services if i.before
        }
        for shot in plan.one_shots:
            name = before_name(befores[shot]) if shot in befores else shot
            _run(context, prepared, name, shot, advice(snapshot.facts.server.live))
        words.append(f"{len(plan.one_shots)} done")


def advice(live: Release | None) -> str:
    """The next step after one that failed."""
    if live is None:
        return f"correct it and deploy again: nothing serves here yet; {NOT_UNDONE}"
    return f"correct it and deploy again: {live.id} serves; {NOT_UNDONE}"


def _run(context: Context, prepared: Prepared, service: str, shown: str, hint: str) -> None:
    with context.step(STEP, service=service, release=prepared.release.id):
        context.emit(events.ContainerChanged(service, "running once"))
        ended: Ended = context.engine.run_once(prepared.document, service)
    if ended.exit_code != 0:
        text = f"{shown} failed with exit code {ended.exit_code}"
        raise RolloutError(text, hint=hint, evidence=ended.lines)
    context.emit(events.ContainerChanged(service, "done"))
