"""A canary's share of the visitors: given, kept up and ended, each by one rename in the proxy."""

from __future__ import annotations

from dataclasses import replace

from allfast.errors import RolloutError
from allfast.model.release import Release, ReleaseState
from allfast.pipeline import beside, edge, edge_look, rollout
from allfast.pipeline.context import Context
from allfast.pipeline.rollout import Prepared


def for_canary(prepared: Prepared) -> tuple[str, ...]:
    """The services that the visitors of a canary need: all but its workers, which would work for everybody."""
    early, _ = prepared.project.waves()
    return tuple(name for name in early if name not in beside.workers(prepared.release))


def give_share(context: Context, canary: Prepared, live: Release) -> None:
    """Give a canary whose containers run its share of the visitors, `Release.canary`, by one rename.

    It comes back after a reboot as the live one does: the visitors who are on its side would find nobody.
    """
    edge.prepare(context, canary.release, live)
    beside.set_policies(context, canary, for_canary(canary))
    edge.share(context, canary.release)


def tend(context: Context, serving: Release) -> list[str]:
    """What the ledger has as the canary has its share and runs; no other release has one. What was done, in words.

    A canary that does not come up is ended: that takes nothing from the visitors of the live one.
    """
    canary = context.canary()
    if canary is None:
        return ["no canary has a share any more"] * edge.share(context, None)
    mine, done = rollout.stored(context, canary.id), []
    try:
        if broken := trouble(context, mine):
            beside.start(context, mine, for_canary(mine))
            done.append(f"the canary {canary.id} runs again ({', '.join(broken)})")
        done += _rest(context, mine)
        if edge_look.canary_trouble(context, canary):
            give_share(context, mine, serving)
            done.append(f"the canary {canary.id} has its {canary.canary} % of the visitors")
        elif beside.set_policies(context, mine, for_canary(mine)):
            done.append(f"the canary {canary.id} comes back after a reboot")
    except RolloutError as error:
        context.warn("\n  ".join((f"the canary {canary.id} does not come up: {error.message}", *error.evidence)))
        end(context, canary)
        done.append(f"the canary {canary.id} does not come up, and is ended")
    return done


def end(context: Context, canary: Release) -> None:
    """Have the ledger know that the canary ended, then give all visitors the live release, by one rename.

    It stays warm as a release that was live does: what its visitors have asked for is answered.
    """
    with context.step("end canary", release=canary.id):
        context.server.put_release(replace(canary, retired=context.now()))
        context.server.set_state(canary.id, ReleaseState.RETIRED)
    edge.share(context, None)


def trouble(context: Context, canary: Prepared) -> list[str]:
    """The services that a canary's visitors need and that do not run as recorded."""
    needed = for_canary(canary)
    return [name for name in beside.broken(context, canary.release) if name in needed]


def _rest(context: Context, canary: Prepared) -> list[str]:
    """Stop what a promotion that failed has started of a canary besides what its visitors need."""
    needed = for_canary(canary)
    others = [c for c in context.engine_of(canary.release).containers() if c.service not in needed]
    found = beside.rest(context, "rest", canary.release, others, {c.service for c in others})
    return [f"{', '.join(sorted(found))} of the canary wait for its promotion"] if found else []
