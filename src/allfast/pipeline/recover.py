"""What a dead run left behind: found by the next one that takes the lock, finished or undone, said and recorded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from allfast import events
from allfast.config.compose_cli import require_compose
from allfast.errors import AllfastError, AttentionError, RefusedError, RolloutError, VerifyError
from allfast.model.release import Release, ReleaseState, Run
from allfast.model.routing import release_of
from allfast.model.server import ServerFacts
from allfast.model.service import Kind
from allfast.pipeline import beside, converge, edge, in_place, pulled, record, rollout, run, switch, unproven
from allfast.pipeline.asking import asker
from allfast.pipeline.context import Context
from allfast.pipeline.verify import Proof
from allfast.planning.recorded import LOST, NO_CONTAINER, data_trouble, deviation, of_release, unrecorded


def recover(context: Context, *, wait: bool) -> events.Result:
    """Finish or undo what a dead run left, and make the server agree with the live release.

    Args:
        wait: wait for another deployer to end.

    Raises:
        UsageError: no Compose on this machine.
        LockHeldError: another deployer is at work.
        RefusedError: the ledger knows no release, though one runs.
        VerifyError: the live release was not proven and is wrong; the one before it serves again.
        AttentionError: the live release does not come up, or could not be proven.
    """
    require_compose()
    facts = context.server.facts()
    context.set_clock(facts.clock)
    if lost := unrecorded(facts, {d.name for d in facts.data}):
        text = f"the ledger knows no release, but containers of {', '.join(lost)} run: there is nothing to go by"
        raise RefusedError(text, hint=LOST)
    if facts.live is None and facts.unfinished is None and facts.lock is None:
        context.note("nothing is deployed here yet: there is nothing to recover")
        return run.result(context, "nothing-to-do", None)
    with run.locked(context, "recover", wait) as held:
        settle(context, held.unfinished)
        facts = context.server.facts()
        found = _wrong(context, facts)
        if held.unfinished is not None:
            found.insert(0, f"the {held.unfinished.kind} of {held.unfinished.release or 'nothing'} never ended")
        if not found:
            return run.result(context, "nothing-to-do", facts.live)
        for text in found:
            context.note(f"found: {text}")
        with run.recorded(context, "recover", {"found": found}, facts.live.id if facts.live else "") as told:
            told += [*found, _made_right(context, facts)]
    live = context.server.facts().live
    return run.result(context, "done", live)


def _made_right(context: Context, facts: ServerFacts) -> str:
    """Bring back the live release and prove it where it is not proven; what was done, in words."""
    live, proof = facts.live, None
    with context.stage("recover") as words:
        words += _start_data(context, facts)
        if not _to_be_proven(live):
            words.append(_brought_back(context, facts))
        if live is not None and not live.proven:
            proof, done = _proven(context, live)
            words += done
        record.prune(context, resumable=True)  # a deploy that was cut off goes on with what it has sent
    if live is not None and proof is not None:
        unproven.require(live, proof)
    return "; ".join(words)


def _proven(context: Context, live: Release) -> tuple[Proof, list[str]]:
    """Finish the proof of the live release, which is made to run as recorded for that; what was done, in words."""
    own_project = beside.is_beside(live)
    broken = beside.broken(context, live) if own_project else []
    led = not own_project or edge.serves(context, live)
    proof = unproven.finish(context, live)
    words = [f"{live.id} runs again ({', '.join(broken)})"] if broken else []
    words += [] if led else [f"the proxy leads to {live.id}"]
    return proof, [*words, f"{live.id} is proven" if proof.proven else f"{live.id} could not be proven"]


def _to_be_proven(live: Release | None) -> bool:
    """Whether `unproven.finish` brings a release back itself, and the one before it where it does not come up."""
    return beside.is_beside(live) and live is not None and not live.proven


def _brought_back(context: Context, facts: ServerFacts) -> str:
    """As `_bring_back`. Raises AttentionError where the live release does not come up: there is nothing else to try."""
    try:
        return _bring_back(context, facts)
    except RolloutError as error:
        text = f"{facts.live.id if facts.live else 'nothing'} does not come up: {error.message}"
        earlier = any(state is ReleaseState.RETIRED for _, state in context.releases())
        way = "`allfast rollback` starts the release before it" if earlier else "correct the cause and deploy again"
        hint = f"look at `allfast logs`; {way}"
        raise AttentionError(text, hint=hint, evidence=error.evidence) from error


def _wrong(context: Context, facts: ServerFacts) -> list[str]:
    """How the server differs from what the ledger says of the live release, in words."""
    live = facts.live
    if live is None:
        return []
    there = of_release(facts.containers, live)
    services = [s for s in live.services if s.kind is Kind.RELEASE]
    found = [f"{s.name}: {text}" for s in services if (text := deviation(there, s))]
    found += [f"{name}: {text}" for name, text in data_trouble(facts.containers, live.data).items()]
    if beside.is_beside(live):
        found += converge.differences(context, live)
    return found if live.proven else [*found, f"{live.id} is not proven"]


def settle(context: Context, unfinished: Run | None) -> None:
    """Finish or undo an unfinished run: one release serves as recorded and proven, nothing else of the run is left.

    Data services and what one-shots have done stay as they are: they never go back. Where the live release does not
    come up (it was broken before), that is said and recorded, and stands in no deploy's way.
    """
    if unfinished is None:
        return
    who = f"{unfinished.who.user}@{unfinished.who.host}"
    context.warn(f"the {unfinished.kind} of {who} never ended: bringing back what it left")
    context.run = context.server.resume_run(unfinished.id)
    with context.stage("recover") as words:
        words += pulled.remove_left(context, unfinished)
        facts = _adopted(context, context.server.facts(), unfinished)
        try:
            words += _start_data(context, facts)
            mine = facts.live if facts.live is not None and facts.live.id == unfinished.release else None
            words.append(_finish(context, mine) if mine and _to_be_proven(mine) else _bring_back(context, facts))
            went_live = mine is not None or _canary_is_as_wanted(context, unfinished)
        except (RolloutError, VerifyError, AttentionError) as error:
            words.append(_told(context, facts, error))
            now = context.server.facts().live
            went_live = now is not None and now.id == unfinished.release
        in_place.clear(context, context.server.run(unfinished.id).journal)
        record.prune(context, unfinished.release, resumable=True)  # the run had no chance to
    outcome: Literal["done", "undone"] = "done" if went_live else "undone"
    done = "; ".join(words)
    context.server.end_run(unfinished.id, outcome, context.redactor.text(f"never ended; {done}"))
    context.run, context.went_live = None, False  # those were the dead run's; this one has not begun


def _canary_is_as_wanted(context: Context, unfinished: Run) -> bool:
    """Whether a run about a canary died when all that it wanted was recorded (and has been put right since)."""
    if unfinished.kind != "canary":
        return False
    wanted = int((context.server.run(unfinished.id).plan or {}).get("canary", 0))
    now = context.canary()
    return (now.canary if now is not None and now.id == unfinished.release else 0) == wanted


def _finish(context: Context, live: Release) -> str:
    """Finish the proof of what the dead run had given to visitors; what came of it, in words."""
    if unproven.finish(context, live).proven:
        return f"{live.id} stays live, and is proven"
    context.warn(f"{live.id} stays live, but not everything could be asked: deploy again to prove it")
    return f"{live.id} stays live, and is not proven"


def _told(context: Context, facts: ServerFacts, error: AllfastError) -> str:
    """That the live release does not come up or is wrong, said and in words."""
    now = context.server.facts().live
    name = facts.live.id if facts.live else "nothing"
    what = "does not come up" if isinstance(error, RolloutError) else "is wrong"
    serves = f"; {now.id} serves again" if now is not None and now.id != name else ""
    text = f"{name} {what}: {error.message}{serves}"
    context.warn("\n  ".join((text, *error.evidence)))
    return text


def _adopted(context: Context, facts: ServerFacts, unfinished: Run) -> ServerFacts:
    """Where the dead run had switched visitors to its release already, that one is live from now on, not proven yet.

    It was healthy when it was switched to, and to switch back is no smaller change. But where the run itself was on its
    way back, that way is gone on.
    """
    serving = edge.serving(context)
    if serving != unfinished.release or (facts.live and facts.live.id == serving):
        return facts
    steps = context.server.run(unfinished.id).journal
    if any(step.step == switch.PUT_BACK for step in steps):
        return facts
    stored = context.stored(serving)
    context.warn(f"visitors get {serving} already: it stays live, and is to be proven")
    record.go_live(context, stored.release, proven=False)
    return context.server.facts()


def _bring_back(context: Context, facts: ServerFacts) -> str:
    """Make the release services run as the live release has them; what was done, in words."""
    live = facts.live
    if live is None:
        return _undo_first(context, facts)
    if beside.is_beside(live):
        return "; ".join(converge.converge(context, rollout.stored(context, live.id))) or "nothing was changed"
    edge.leave(context)
    converge.remove_all(context)
    mine = {s.name: s for s in live.services if s.kind is Kind.RELEASE}
    data = {d.name for d in (*facts.data, *live.data)}
    ours = {c.service for c in facts.containers if c.settings and not c.release}
    strangers = sorted(ours - mine.keys() - data)
    again = tuple(name for name, service in mine.items() if deviation(facts.containers, service))
    removed = _remove_leftovers(context, strangers)
    if again:
        _start_again(context, live, again)
        return f"{live.id} serves again ({', '.join(again)})"
    return removed


def _undo_first(context: Context, facts: ServerFacts) -> str:
    """Remove what was made of the ledger's releases, none of which went live; what was done, in words.

    What the ledger does not know stays: it may have been lost, and that serves.
    """
    known = {release.id: release for release, _ in context.releases()}
    if release_of(edge.led_to(context)) in ("", *known):
        edge.leave(context)
    converge.remove(context, converge.at_hand(context) & known.keys())
    images = {s.image.engine_id for release in known.values() for s in release.services}
    data = {d.name for d in facts.data} | {d.name for release in known.values() for d in release.data}
    made = {c.service for c in facts.containers if c.settings and not c.release and c.image in images}
    return _remove_leftovers(context, sorted(made - data))


def _remove_leftovers(context: Context, services: Sequence[str]) -> str:
    """Remove these services' containers in the base project; what was done, in words."""
    if not services:
        return "nothing was changed"
    with context.step("remove leftovers", services=services):
        context.engine.remove(services)
    return "removed " + ", ".join(services)


def _start_data(context: Context, facts: ServerFacts) -> list[str]:
    """Start the data services that do not run (an engine that was killed leaves them so): others need them.

    Those that are there as they are; those that have no container from the live release's file, with their volumes.

    Raises:
        RolloutError: one does not come up.
    """
    trouble = data_trouble(facts.containers, facts.live.data if facts.live else ())
    if facts.live is None or not trouble:
        return []
    prepared, ask = rollout.stored(context, facts.live.id), asker(context, facts.live)
    gone = [name for name, text in trouble.items() if text == NO_CONTAINER]
    with context.step("start data services", services=sorted(trouble)):
        rollout.resume(context.engine, prepared, [name for name in trouble if name not in gone], ask, context.emit)
        rollout.replace(context.engine, prepared, gone, ask, context.emit, fresh_volumes=False)
    return [f"{', '.join(sorted(trouble))} runs again"]


def _start_again(context: Context, live: Release, services: tuple[str, ...]) -> None:
    prepared = rollout.stored(context, live.id)
    with in_place.replacing(context, "put back", live, services):
        rollout.replace(context.engine, prepared, services, asker(context, prepared.release), context.emit)
