"""A run in the ledger: begun before anything changes, ended however it ends; and its result for the caller."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

from allfast import events
from allfast.agent.settle import BOUND
from allfast.errors import AllfastError, AttentionError, LockLostError, said
from allfast.model.release import Release, RunKind
from allfast.model.server import LockHolder
from allfast.pipeline.context import Context
from allfast.pipeline.interrupts import uninterrupted
from allfast.remote.records import Held
from allfast.text import ago

Outcome = Literal["done", "failed", "interrupted", "undone"]
_SETTLING = f"a run before this one was cut off: waiting until the engine is at rest, at most {BOUND:.0f} s"


@contextmanager
def recorded(
    context: Context,
    kind: RunKind,
    plan: Any,
    release: str,
    services: tuple[tuple[str, str, str], ...] = (),
) -> Iterator[list[str]]:
    """Record the block as a run; failures too, with their message. The list takes what is to be said of a good end.

    Args:
        plan: a dataclass or JSON value that holds no secrets.
        services: name, method and reason of each.
    """
    document = dataclasses.asdict(plan) if dataclasses.is_dataclass(plan) and not isinstance(plan, type) else plan
    context.run = context.server.begin_run(kind, context.redactor.value(document), release)
    context.server.put_services(context.run, context.redactor.value(services))
    context.release = release
    context.services = {name: {"method": method, "reason": reason} for name, method, reason in services}
    words: list[str] = []
    try:
        yield words
    except LockLostError as error:
        # nothing can be written any more; the next holder finds the run unfinished
        if context.went_live:
            raise _live_all_the_same(error) from error
        raise
    except BaseException as error:
        interrupted = isinstance(error, KeyboardInterrupt)
        _end(context, "interrupted" if interrupted else "failed", said(error))
        # an AttentionError says already what serves, and what a person must do
        if context.went_live and isinstance(error, AllfastError) and not isinstance(error, AttentionError):
            raise after_live(release, error) from error
        raise
    _end(context, "done", "; ".join(words))


def _end(context: Context, outcome: Outcome, message: str) -> None:
    assert context.run is not None
    with uninterrupted(context.warn, "the end of the run is being recorded: a moment"):
        try:
            text = context.redactor.text(message)
            context.server.end_run(context.run, outcome, text, wire_bytes=context.wire_bytes)
        except AllfastError as error:
            if outcome == "done":
                raise _live_all_the_same(error) from error
            context.warn(f"the ledger could not be told: {error.message}")
        context.run = None


def after_live(release: str, error: AllfastError) -> AttentionError:
    """What to say of an error where the release is live already."""
    text = f"{release} is live, but what follows that failed: {error.message}"
    hint = "; ".join(filter(None, (error.hint, "`allfast status` shows what serves, `allfast recover` does the rest")))
    return AttentionError(text, hint=hint, evidence=error.evidence)


def _live_all_the_same(error: AllfastError) -> AttentionError:
    text = f"the new release is live, but the end of the run could not be recorded: {error.message}"
    return AttentionError(text, hint="run `allfast status`: it shows what serves", evidence=error.evidence)


@contextmanager
def locked(context: Context, doing: str, wait: bool) -> Iterator[Held]:
    """The deployment's lock; the time to the switch counts from here.

    Raises:
        LockHeldError: another deployer is at work, and `wait` is false; with it, who it is is told.
    """
    with context.server.lock(doing, wait, waiting(context), lambda: context.note(_SETTLING)) as held:
        context.locked = time.monotonic()
        yield held


def waiting(context: Context) -> Callable[[LockHolder], None]:
    """Tells whom a lock is waited for."""

    def tell(holder: LockHolder) -> None:
        since = ago(holder.since, context.now())
        context.note(f"waiting for {holder.who.user}@{holder.who.host}: {holder.doing}, began {since}")

    return tell


def result(context: Context, outcome: str, release: Release | None) -> events.Result:
    """The last event of a run; `release` is None where it failed, or was about none."""
    recorded = {s.name: {"method": s.method, "reason": s.reason} for s in release.services} if release else {}
    return events.Result(
        outcome=outcome,
        release=release.id if release else context.release,
        seconds=round(time.monotonic() - context.began, 3),
        phases={name: round(seconds, 3) for name, seconds in context.phases.items()},
        wire_bytes=context.wire_bytes,
        services=context.services or recorded,  # what this run did comes before how the release once came to be
        url=context.project.target.url or "",
        proven=bool(release and release.proven),
        to_switch=None if context.to_switch is None else round(context.to_switch, 3),
        canary=release.canary if release else 0,
    )
