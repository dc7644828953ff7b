"""Promote: a canary becomes the live release for everybody, by the way of a deploy; if it fails, all is as before."""

from __future__ import annotations

from allfast import events
from allfast.config.compose_cli import require_compose
from allfast.errors import RefusedError
from allfast.model.release import Release
from allfast.model.server import ServerFacts
from allfast.model.service import Kind
from allfast.pipeline import record, recover, rollout, run, switch
from allfast.pipeline.context import Context
from allfast.pipeline.deploy import finish
from allfast.pipeline.rollback import require_images


def promote(context: Context, *, yes: bool, wait: bool) -> events.Result:
    """Make the canary the live release for everybody, by the way of a deploy.

    Raises:
        UsageError: no Compose on this machine.
        RefusedError: there is no canary.
        RolloutError, VerifyError: it failed; the live release serves, and the canary has its share again.
        AttentionError: it is live but could not be proven, or what was before did not come back.
    """
    require_compose()
    facts = context.server.facts()
    context.set_clock(facts.clock)
    canary = _require(facts)
    context.consent(f"Give {canary.id} to everybody?", yes)
    with run.locked(context, f"promote {canary.id}", wait) as held:
        recover.settle(context, held.unfinished)
        facts = context.server.facts()
        now = _require(facts)
        if now.id != canary.id:
            raise RefusedError(f"{now.id} has become the canary meanwhile", hint="run `allfast promote` again")
        require_images(now, facts, context)
        return _promote(context, now, facts)


def _promote(context: Context, canary: Release, facts: ServerFacts) -> events.Result:
    live = facts.live
    to = rollout.stored(context, canary.id)
    names = {service.name for service in canary.services}
    change = switch.Switch(
        to=to,
        back=rollout.stored(context, live.id) if live is not None else None,
        new=tuple(s.name for s in canary.services if s.kind is Kind.RELEASE),
        gone=tuple(s.name for s in live.services if s.kind is Kind.RELEASE and s.name not in names) if live else (),
    )
    services = tuple((s.name, "reuse", f"as in the canary {canary.id}") for s in canary.services)
    plan = {"to": canary.id, "from": live.id if live else ""}
    with run.recorded(context, "promote", plan, canary.id, services):
        proof = switch.carry_out(context, change)
        with context.stage("record") as words:
            record.prune(context)
            words.append(f"{canary.id} is live")
    return finish(context, canary, proof)


def _require(facts: ServerFacts) -> Release:
    if facts.canary is None:
        hint = "`allfast deploy --canary 10` begins one" if facts.live is not None else "run `allfast deploy` first"
        raise RefusedError("there is no canary to promote", hint=hint)
    return facts.canary
