"""Rollback: the whole of an earlier release again (images, environment, files, settings), by the way of a deploy.

It never touches data services and never runs one-shots.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from allfast import events
from allfast.agent.prune import KEEP_RUNS
from allfast.config.compose_cli import require_compose
from allfast.errors import RefusedError, UsageError
from allfast.images import server_images
from allfast.model.release import Release, ReleaseState, Run
from allfast.model.server import ServerFacts
from allfast.model.service import Kind
from allfast.pipeline import canary, canary_share, one_shots, recover, rollout, run, switch
from allfast.pipeline.context import Context
from allfast.pipeline.deploy import finish
from allfast.pipeline.history import past
from allfast.pipeline.rollout import Prepared
from allfast.planning.recorded import NO_CONTAINER, data_trouble, deviation, of_release


def rollback(context: Context, wanted: str | None, *, yes: bool, wait: bool) -> events.Result:
    """Make an earlier release live.

    Args:
        wanted: a release id, or its beginning; None: the release that was live before this one.
        yes: do not ask.
        wait: wait for another deployer to end.

    Raises:
        UsageError: there is no such release, or no Compose on this machine.
        RefusedError: its images are gone, a data service has no container, or another release went live meanwhile;
            nothing was touched.
    """
    require_compose()
    facts = context.server.facts()
    context.set_clock(facts.clock)
    releases = context.releases()
    if facts.canary is not None and (wanted is None or choose(releases, wanted) == facts.live):
        return _end_canary(context, facts.canary, yes=yes, wait=wait)
    dead = facts.unfinished
    if wanted is None and dead is not None and dead.kind == "canary":
        return _end_dead_canary(context, wait=wait)
    to = before_the_live_one(releases, past(context, KEEP_RUNS)) if wanted is None else choose(releases, wanted)
    if facts.unfinished is None and _is_live(to, facts):
        return run.result(context, "nothing-to-do", facts.live)
    runs = past(context, KEEP_RUNS)
    _tell(context, to, facts.live, ran_since(releases, to, lambda release: _begun(context, runs, release)))
    require_images(to, facts, context)
    require_data(to, facts)
    context.consent(f"Roll back to {to.id}?", yes)
    with run.locked(context, f"rollback to {to.id}", wait) as held:
        recover.settle(context, held.unfinished)
        before, facts = facts, context.server.facts()
        if _is_live(to, facts):
            return run.result(context, "nothing-to-do", facts.live)
        if wanted is None and facts.canary is not None:
            text = f"{facts.canary.id} has become a canary in the meantime; nothing was touched"
            raise RefusedError(text, hint="run `allfast rollback` again if it is to be ended")
        if wanted is None and facts.live != before.live:
            _require_still(context, to, facts)
        require_images(to, facts, context)  # whom we waited for may have removed them
        require_data(to, facts)
        return _locked(context, to, facts)


def _end_canary(context: Context, running: Release, *, yes: bool, wait: bool) -> events.Result:
    """The live release served all the time: nothing else changes."""
    context.consent(f"Take its {running.canary} % of the visitors from the canary {running.id}?", yes)
    with run.locked(context, f"end the canary {running.id}", wait) as held:
        recover.settle(context, held.unfinished)
        facts = context.server.facts()
        if facts.canary is None or facts.canary.id != running.id:
            text = f"{running.id} is no canary any more"
            raise RefusedError(text, hint="look at `allfast status`, then say which release is meant")
        return canary.end(context, facts)


def _end_dead_canary(context: Context, *, wait: bool) -> events.Result:
    """A canary whose run died is what is meant, and is no canary: what is live stays so."""
    with run.locked(context, "end a canary", wait) as held:
        recover.settle(context, held.unfinished)
        facts = context.server.facts()
        if facts.canary is not None:
            return canary.end(context, facts)
        return run.result(context, "done", facts.live)


def choose(releases: tuple[tuple[Release, ReleaseState], ...], wanted: str) -> Release:
    """The release that is meant; `releases` are those of the ledger, the newest first.

    Raises:
        UsageError: none, or more than one.
    """
    served = [release for release, state in releases if state in (ReleaseState.LIVE, ReleaseState.RETIRED)]
    found = [release for release in served if release.id == wanted] or [r for r in served if r.id.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    known = ", ".join(release.id for release in served) or "none yet"
    what = "no release that was live is called" if not found else "more than one release begins with"
    raise UsageError(f'{what} "{wanted}"', hint=f"there are: {known}")


def before_the_live_one(releases: tuple[tuple[Release, ReleaseState], ...], runs: Sequence[Run]) -> Release:
    """The release that was live before this one; what was rolled back from does not count, for it was not wanted.

    Args:
        runs: the ledger's, the newest first.

    Raises:
        UsageError: there is none.
    """
    line: list[str] = []
    for run_ in reversed(
        [one for one in runs if one.outcome == "done" and one.kind in ("deploy", "promote", "rollback")]
    ):
        known = line.index(run_.release) if run_.release in line else len(line)
        line = [*line[:known], run_.release] if run_.kind == "rollback" else [*line, run_.release]
    live = next((release.id for release, state in releases if state is ReleaseState.LIVE), "")
    earlier = line[: line.index(live)] if live in line else line
    there = {release.id: release for release, state in releases if state is ReleaseState.RETIRED}
    found = [there[name] for name in earlier if name in there]
    if not live or not found:
        raise UsageError("there is no earlier release to go back to", hint="`allfast history` shows what was deployed")
    return found[-1]


def _require_still(context: Context, to: Release, facts: ServerFacts) -> None:
    """Raises RefusedError where a release went live while this waited, and another one is before that."""
    if before_the_live_one(context.releases(), past(context, KEEP_RUNS)).id != to.id:
        what = f"{facts.live.id if facts.live else 'another release'} went live in the meantime; nothing was touched"
        raise RefusedError(
            what, hint="`allfast history` shows what was deployed; run `allfast rollback` again if wanted"
        )


def require_images(to: Release, facts: ServerFacts, context: Context) -> None:
    """Raises RefusedError where an image of the release is no longer on the server."""
    needed = [service for service in to.services if service.kind is Kind.RELEASE]
    gone = [s.name for s in needed if server_images.inspect(context.server.engine, s.image.engine_id) is None]
    if gone:
        hint = f"deploy its commit again: allfast deploy --commit {to.commit.short}"
        raise RefusedError(f"the images of {', '.join(gone)} of {to.id} are no longer on {facts.hostname}", hint=hint)


def require_data(to: Release, facts: ServerFacts) -> None:
    """Raises RefusedError where a data service that the release had is not there: a rollback starts none."""
    gone = sorted(name for name, text in data_trouble(facts.containers, to.data).items() if text == NO_CONTAINER)
    if gone:
        text = f"{', '.join(gone)} of {to.id} {'has' if len(gone) == 1 else 'have'} no container on {facts.hostname}"
        raise RefusedError(text, hint="`allfast recover` starts what the live release has of them; then roll back")


def _locked(context: Context, to: Release, facts: ServerFacts) -> events.Result:
    stored = context.stored(to.id)
    strategy, live = context.project.target.strategy, facts.live
    # how a release comes up is today's choice: its stored file serves for both ways
    to = dataclasses.replace(stored.release, strategy=strategy)
    back = rollout.stored(context, live.id) if live is not None else None
    names = {service.name for service in to.services}
    gone = tuple(s.name for s in live.services if s.kind is Kind.RELEASE and s.name not in names) if live else ()
    new = switch.changed(to, live, _troubled(facts))
    change = switch.Switch(to=Prepared(to, stored.compose), back=back, new=new, gone=gone)
    services = tuple((s.name, "reuse", f"as in {to.id}") for s in to.services)
    with run.recorded(context, "rollback", {"to": to.id, "from": live.id if live else "", "new": new}, to.id, services):
        if to != stored.release:
            with context.step("prepare release", release=to.id):
                context.server.put_release(to)
        if (running := context.canary()) is not None:  # a share of what is live no more means nothing
            canary_share.end(context, running)
            context.note(f"the canary {running.id} is ended")
        proof = switch.carry_out(context, change)
        with context.stage("record") as words:
            words.append(f"{to.id} is live")
    return finish(context, dataclasses.replace(to, proven=proof.proven), proof)


def ran_since(
    releases: tuple[tuple[Release, ReleaseState], ...], to: Release, begun: Callable[[Release], int]
) -> tuple[str, ...]:
    """The one-shots that ran for releases which were made after `to`, the oldest first.

    Args:
        releases: as the ledger has them.
        begun: how many one-shots of a release that was never live had begun; also one that failed may have done much.
    """
    found: list[str] = []
    for release, state in releases:
        if release.id == to.id:
            break
        served = state in (ReleaseState.LIVE, ReleaseState.RETIRED)
        ran = release.one_shots if served or not release.one_shots else release.one_shots[: begun(release)]
        found[:0] = [f"{shot} (for {release.id})" for shot in ran]
    return tuple(found)


def _begun(context: Context, runs: Sequence[Run], release: Release) -> int:
    """By the journal, the one-shots that had begun for a release; they begin in its order."""
    mine = [run_.id for run_ in runs if run_.kind in ("deploy", "canary") and run_.release == release.id]
    return sum(step.step == one_shots.STEP for number in mine for step in context.server.run(number).journal)


def _tell(context: Context, to: Release, live: Release | None, since: tuple[str, ...]) -> None:
    context.note(f"going back to {to.id} ({to.commit.short} {to.commit.subject}) from {live.id if live else 'nothing'}")
    if since:
        context.warn("what ran once since then is not undone: " + ", ".join(since))


def _is_live(to: Release, facts: ServerFacts) -> bool:
    """Whether the release is live, proven, and runs as recorded."""
    return facts.live is not None and to.id == facts.live.id and facts.live.proven and not _troubled(facts)


def _troubled(facts: ServerFacts) -> tuple[str, ...]:
    """Services of the live release that do not run as recorded."""
    services = facts.live.services if facts.live else ()
    there = of_release(facts.containers, facts.live)
    return tuple(s.name for s in services if s.kind is Kind.RELEASE and deviation(there, s))
