"""A canary: a release that gets a share of the visitors beside the live one, until it is promoted or ended.

The ledger knows it last when it begins, and first when it ends: so what a dead run left is a whole canary, or none. Its
workers, and what cannot run twice, start with its promotion: they would work for everybody.
"""

from __future__ import annotations

import dataclasses

from allfast import events
from allfast.errors import AllfastError, AttentionError, LockLostError, VerifyError, said
from allfast.model.release import Release, ReleaseState
from allfast.model.server import ServerFacts
from allfast.pipeline import beside, canary_share, converge, edge, interrupts, rollout, run, switch, verify
from allfast.pipeline.context import Context
from allfast.pipeline.rollout import Prepared
from allfast.pipeline.verify import Proof

#: The ways on from a canary.
NEXT = "`allfast promote` gives it to everybody, `allfast rollback` ends it"


def begin(context: Context, to: Prepared, live: Prepared, share: int) -> Proof:
    """Start the release beside the live one, prove it, give it `share` percent of the visitors, and record it.

    It is asked as its visitors would ask before the first of them comes, and again when they do.

    Raises:
        RolloutError, VerifyError: it failed, and is gone; the live release serves everybody.
        AttentionError: it could not be taken away.
        LockLostError: the connection was cut; the next command takes away what is half done.
    """
    services = canary_share.for_canary(to)
    try:
        with context.stage("rollout", ", ".join(services)) as words:
            beside.start(context, to, services)
            verify.prove_on_server(context, to.release, services)
            words.append(", ".join(services) + " healthy")
        with context.stage("switch") as words:
            edge.keep_assets(context, to.release)
            canary_share.give_share(context, _with(context, to, 0), live.release)
            verify.prove_as_visitor(context, to.release, services)
            canary_share.give_share(context, _with(context, to, share), live.release)
            words.append(f"{share} % of the visitors get {to.release.id}")
        with context.stage("verify") as words:
            proof = verify.prove(context, to.release, services)
            words.append("proven" if proof.proven else "not everything could be asked")
        interrupts.no_more(context.warn, "the canary is proven and is being recorded: a moment")
        _record(context, _with(context, to, share).release, proven=proof.proven)
    except LockLostError as error:
        raise switch.half_done(to.release, error) from error  # nothing may be changed any more, not even back
    except BaseException as cause:
        _take_away(context, live, cause)
        if isinstance(cause, VerifyError):
            switch.mark_stale(context, to.release, cause.stale)
        raise
    return proof


def change_share(context: Context, canary: Release, live: Release, share: int) -> Release:
    """Give a canary that runs another share of the visitors; nobody who has it loses it by a higher one."""
    mine = _with(context, rollout.stored(context, canary.id), share)
    interrupts.no_more(context.warn, "the share is to be changed and recorded: a moment")
    with context.stage("switch") as words:
        canary_share.give_share(context, mine, live)
        words.append(f"{share} % of the visitors get {canary.id}")
    _record(context, mine.release, proven=canary.proven)
    return mine.release


def told(context: Context, release: Release, proof: Proof | None) -> events.Result:
    """The result of a canary that runs.

    Raises:
        AttentionError: not everything could be asked: it has its share, but a person must look.
    """
    context.note(f"{release.canary} % of the visitors get {release.id}; {NEXT}")
    if proof is not None and not proof.proven:
        what = f"the canary {release.id} has its visitors, but could not be proven: {proof.unasked}"
        raise AttentionError(what, hint=f"see why it cannot be asked from here; {NEXT}")
    return run.result(context, "done", release)


def end(context: Context, facts: ServerFacts) -> events.Result:
    """Take its visitors from the canary of `facts`: the live release, which served all the time, serves everybody.

    Raises:
        RolloutError: the live release did not run as recorded, and does not come up.
    """
    canary, live = facts.canary, facts.live
    assert canary is not None and live is not None
    with run.recorded(context, "canary", {"canary": 0}, canary.id) as words:
        words.append("ended")
        with interrupts.uninterrupted(context.warn, "the canary is being ended: a moment"):
            with context.stage("switch") as ended:
                canary_share.end(context, canary)
                ended.append(f"{live.id} serves everybody")
            converge.converge(context, rollout.stored(context, live.id))
    context.release = live.id
    return run.result(context, "done", live)


def _with(context: Context, prepared: Prepared, share: int) -> Prepared:
    release = dataclasses.replace(prepared.release, canary=share, since=context.now())
    return dataclasses.replace(prepared, release=release)


def _record(context: Context, canary: Release, *, proven: bool) -> None:
    with context.step("record canary", release=canary.id, share=canary.canary):
        context.server.put_release(dataclasses.replace(canary, proven=proven))
        context.server.set_state(canary.id, ReleaseState.CANARY)


def _take_away(context: Context, live: Prepared, cause: BaseException) -> None:
    """Undo what was begun, whatever happened; a second Ctrl-C does not stop that."""
    why = said(cause)
    with interrupts.uninterrupted(context.warn, "the canary is being taken away: please wait for it"):
        try:
            context.warn(f"{why}; taking the canary away: {live.release.id} serves everybody")
            with context.step(switch.PUT_BACK, release=live.release.id):
                converge.converge(context, live)
        except LockLostError:
            raise
        except Exception as error:
            raise AttentionError(
                f"the canary failed ({why}), and could not be taken away: {said(error)}",
                hint="run `allfast recover`; `allfast status` shows what serves",
                evidence=error.evidence if isinstance(error, AllfastError) else (),
            ) from error
