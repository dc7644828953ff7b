"""Switch: from what runs to another release, and back again when that fails. Deploys and rollbacks go this way.

The strategies are `beside` (a project of its own, the default) and `in_place` ("recreate"). Data services are never
touched here, and one-shots have run before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from allfast.errors import AllfastError, AttentionError, LockLostError, RemoteError, VerifyError, said
from allfast.model.release import Release, Strategy
from allfast.model.service import Kind
from allfast.pipeline import beside, converge, edge, in_place, interrupts, record, verify
from allfast.pipeline.beside import is_beside
from allfast.pipeline.context import Context
from allfast.pipeline.rollout import Prepared
from allfast.pipeline.verify import Proof

#: The step from which on a run that dies is on its way back.
PUT_BACK = "put back"


@dataclass(frozen=True, slots=True)
class Switch:
    """What changes: services that get new containers, and services that are no more."""

    to: Prepared
    back: Prepared | None  # the live release; None on a first deploy
    new: tuple[str, ...]
    gone: tuple[str, ...]
    found: str = ""  # what the switch file held before, where `back` is None: the ledger may have been lost


def carry_out(context: Context, switch: Switch) -> Proof:
    """Bring the release up, prove it, and record it; put the old one back when anything of that fails.

    Raises:
        RolloutError, VerifyError: the new release failed; the old one serves again.
        AttentionError: the old one could not be brought back either.
        LockLostError: the connection was cut; the next command brings back what is half done.
        KeyboardInterrupt: interrupted; the old one serves again.
    """
    if switch.back is None:
        switch = replace(switch, found=edge.led_to(context))
    try:
        _bring_up(context, switch)
        with context.stage("verify") as words:
            proof = verify.prove(context, switch.to.release)
            words.append("proven" if proof.proven else "not everything could be asked")
        interrupts.no_more(context.warn, "the new release is proven and goes live: a moment")
        record.go_live(context, switch.to.release, proven=proof.proven)
        _tidy(context, switch.to)
    except LockLostError as error:
        raise half_done(switch.to.release, error) from error  # nothing may be changed any more, not even back
    except BaseException as cause:
        if context.went_live:
            raise  # the ledger has the new release: to go back now would make it wrong
        try:
            put_back(context, switch, cause)
        except LockLostError as error:
            raise half_done(switch.to.release, error) from error
        if isinstance(cause, VerifyError):
            mark_stale(context, switch.to.release, cause.stale)
        raise
    return proof


def _bring_up(context: Context, switch: Switch) -> None:
    """From here to where visitors get the release."""
    with context.stage("rollout", ", ".join(switch.new)) as words:
        if is_beside(switch.to.release):
            beside.start(context, switch.to)
        else:
            in_place.start(context, switch.to, switch.new, switch.gone)
        words.append(", ".join(switch.new) + " healthy" if switch.new else "nothing to start")
    if is_beside(switch.to.release):
        with context.stage("switch") as words:
            beside.switch(context, switch.to)
            words.append(f"visitors get {switch.to.release.id}")


def _tidy(context: Context, live: Prepared) -> None:
    """What the release before it has left and visitors do not need any more; the new one is live and stays so."""
    if is_beside(live.release):
        converge.converge(context, live)
    else:
        converge.remove_all(context)


def half_done(release: Release, error: LockLostError) -> LockLostError:
    """Where somebody else may have the deployment by now, all that is left to do is to say so."""
    text = f"{error.message}; the rollout of {release.id} is half done, and nothing can be put back from here"
    then = "the next `allfast deploy` or `allfast rollback` puts it right first; `allfast status` shows what runs"
    return LockLostError(text, hint="; ".join(filter(None, (error.hint, then))), evidence=error.evidence)


def mark_stale(context: Context, release: Release, services: Sequence[str]) -> None:
    """Images that report another version than their own are never taken again."""
    images = [s.image.engine_id for s in release.services if s.name in services]
    if not images:
        return
    try:
        with context.step("mark stale", services=list(services)):
            context.server.mark_stale(images)
    except RemoteError as error:
        context.warn(f"the stale images could not be marked: {error.message}")


def put_back(context: Context, switch: Switch, cause: BaseException) -> None:
    """Bring the old release back, whatever happened; a second Ctrl-C does not stop that.

    Raises:
        AttentionError: it did not come up; both causes are told.
    """
    why = said(cause)
    back = switch.back
    what = f"{back.release.id} did not come back" if back else "its containers could not be removed"
    with interrupts.uninterrupted(context.warn, "what was before is being put back: please wait for it"):
        try:
            if back is None:
                context.warn(f"{why}; there is no earlier release: removing the new containers")
                _remove(context, switch)
            else:
                left = not (is_beside(back.release) and is_beside(switch.to.release)) or context.to_switch is not None
                way = f"putting {back.release.id} back" if left else f"visitors get {back.release.id}, as before"
                context.warn(f"{why}; {way}")
                with context.step(PUT_BACK, release=back.release.id):  # a dead run is undone by it, too
                    _put(context, switch, back)
                context.note(f"{back.release.id} serves {'again' if left else 'on'}")
        except LockLostError:
            raise
        except Exception as error:
            raise AttentionError(
                f"the new release failed ({why}), and {what}: {said(error)}",
                hint="look at `allfast status` and `allfast logs`, then deploy again",
                evidence=error.evidence if isinstance(error, AllfastError) else (),
            ) from error


def _remove(context: Context, switch: Switch) -> None:
    """Remove a first release: there is none to go back to. What else serves is not of this ledger, and goes on."""
    if is_beside(switch.to.release):
        if switch.found:
            edge.lead_to(context, switch.found)
        else:
            edge.leave(context)
        converge.remove(context, [switch.to.release.id])
        return
    with context.step("remove release", release=switch.to.release.id):
        context.engine.remove(switch.new)


def _put(context: Context, switch: Switch, back: Prepared) -> None:
    """Bring `back` back, by its strategy."""
    if is_beside(back.release):
        converge.converge(context, back)
    elif is_beside(switch.to.release):
        in_place.take_back(context, back)
    else:
        in_place.put(context, back, switch.new, switch.gone)


def changed(to: Release, live: Release | None, troubled: Sequence[str] = ()) -> tuple[str, ...]:
    """Services of `to` whose image or settings differ from `live`'s, and those that do not run as recorded."""
    names = []
    for service in to.services:
        if service.kind is not Kind.RELEASE:
            continue
        old = live.service(service.name) if live else None
        same = old is not None and (old.image.engine_id, old.settings) == (service.image.engine_id, service.settings)
        whole = to.strategy is Strategy.SIDE_BY_SIDE or (live is not None and live.strategy is not to.strategy)
        if whole or not same or service.name in troubled:
            names.append(service.name)
    return tuple(names)
