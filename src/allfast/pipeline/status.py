"""Status: what runs on the server, against what the ledger has; and the served versions."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from allfast.checks import Finding
from allfast.errors import AllfastError
from allfast.model.release import Release, ReleaseState
from allfast.model.server import Container, LockHolder
from allfast.model.service import Kind
from allfast.pipeline import asking, edge, edge_look, masking
from allfast.pipeline.beside import is_beside
from allfast.pipeline.context import Context
from allfast.planning.recorded import LOST, data_trouble, deviation, of_release, unrecorded
from allfast.source import git
from allfast.text import ago, table, verdict


@dataclass(frozen=True, slots=True)
class Status:
    """All of it, as `--json` prints it.

    `drift` maps a service, or "proxy", to how it differs from the record. `serving` is the release that the
    proxy leads to, "" where it leads to none: a run that died may have left another one than the live one.
    """

    deployment: str
    target: str
    host: str
    url: str
    now: float
    live: Release | None
    canary: Release | None
    retired: tuple[str, ...]  # ids of releases that were live
    serving: str
    local_commit: str
    containers: tuple[Container, ...]
    drift: dict[str, str]
    versions: tuple[Finding, ...]
    lock: LockHolder | None
    unfinished: str
    closed: bool  # for maintenance
    unrecorded: tuple[str, ...]  # services that run though the ledger knows no release


def look(context: Context) -> Status:
    """Ask the server and the served application; changes nothing."""
    facts = context.server.facts()
    context.set_clock(facts.clock)
    releases = context.releases()
    masking.learn(
        context, facts.containers, [release for release, _ in releases]
    )  # health checks may have printed secrets
    services = [s for s in facts.live.services if s.kind is Kind.RELEASE] if facts.live else []
    serving = of_release(facts.containers, facts.live)
    drift = {s.name: deviation(serving, s) for s in services}
    drift |= data_trouble(facts.containers, facts.live.data if facts.live else ())
    proxy = edge_look.seen(context, facts.live, facts.canary)
    drift["proxy"] = proxy.trouble
    drift |= _canary_drift(facts.containers, facts.canary, proxy.canary)
    apart = facts.canary is not None or proxy.closed
    side = edge.side(context, facts.live) if facts.live is not None and apart else {}
    unfinished = facts.unfinished
    return Status(
        deployment=context.project.deployment,
        target=context.project.target_name,
        host=context.project.target.host,
        url=context.project.target.url or "",
        now=context.now(),
        live=facts.live,
        canary=facts.canary,
        retired=tuple(release.id for release, state in releases if state is ReleaseState.RETIRED),
        serving=proxy.serving,
        local_commit=_local_commit(context),
        containers=tuple(sorted(facts.containers, key=lambda c: (c.service, c.name))),
        drift={name: text for name, text in drift.items() if text},
        versions=tuple(
            f
            for s in services
            for f in asking.versions(context, s, serving, via=context.project.target.via, patience=0.0, side=side)
        ),
        lock=facts.lock,
        unfinished=f"{unfinished.kind} {unfinished.release}".strip() if unfinished else "",
        closed=proxy.closed,
        unrecorded=unrecorded(facts, {one.name for one in facts.data}),
    )


def _canary_drift(containers: tuple[Container, ...], canary: Release | None, share: str) -> dict[str, str]:
    """How the canary differs from its record; its workers wait for the promotion."""
    there = of_release(containers, canary) if canary is not None else ()
    needed = [s for s in canary.services if s.kind is Kind.RELEASE and not s.worker] if canary is not None else []
    found = {f"canary: {one.name}": deviation(there, one) for one in needed}
    return {**found, "canary": share}


def _local_commit(context: Context) -> str:
    try:
        return git.resolve(context.project.root)
    except AllfastError:
        return ""  # status is of use outside of a checkout, too


def document(status: Status) -> dict[str, Any]:
    """The status as JSON, without digests of settings and environments: who can guess a weak secret could prove it."""
    made = dataclasses.asdict(status)
    releases = [made["live"] or {}, made["canary"] or {}]
    parts = [one for release in releases for key in ("services", "data") for one in release.get(key, ())]
    for one in (*parts, *made["containers"]):
        one.pop("settings")
        one.pop("environment", None)
    return made


def status_lines(status: Status) -> list[str]:
    """The status as text."""
    lines = [
        f"{status.deployment} on {status.host} (target {status.target})" + (f"  {status.url}" if status.url else "")
    ]
    live = status.live
    if live is None:
        lines += _without_live(status)
    else:
        commit = f"{live.commit.short} {live.commit.subject}"
        lines.append(f"  live     {live.id}  {commit}" + ("" if live.proven else "  NOT PROVEN"))
        lines += _serving(status)
        lines += _canary(status)
        if status.local_commit:
            same = status.local_commit == live.commit.sha
            lines.append(f"  here     {status.local_commit[:7]}" + (" (the same commit)" if same else ""))
    lines += ["", *_containers(status)] if status.containers else []
    lines += _routes(live) if live else []
    lines += [f"  version  {f.service}: {f.text}: {verdict(f.result)}" for f in status.versions]
    lines += [f"  drift    {name}: {text}" for name, text in status.drift.items()]
    if status.closed:
        lines.append("  closed   for maintenance: visitors get the page; `allfast maintenance off` opens it again")
    if status.unfinished:
        lines.append(f"  never ended: {status.unfinished}; the next command that takes the lock puts it right")
    if status.lock:
        who, since = status.lock.who, ago(status.lock.since, status.now)
        lines.append(f"  locked by {who.user}@{who.host}: {status.lock.doing}, began {since}")
    return lines


def _without_live(status: Status) -> list[str]:
    if not status.unrecorded:
        return _serving(status) or ["  nothing is deployed here yet"]
    runs = f"the proxy leads to {status.serving}" if status.serving else f"{', '.join(status.unrecorded)} run"
    return [f"  the ledger knows no release, but {runs}", f"  {LOST}"]


def _serving(status: Status) -> list[str]:
    """The release that visitors get, where it is another one than the ledger has as live."""
    if not _unproven(status, status.serving):
        return []
    return [f"  serving  {status.serving}  NOT PROVEN: visitors get it, and its run has not come to the proof"]


def _unproven(status: Status, release: str) -> bool:
    """Whether this is a release that visitors get without that it was recorded as live."""
    live = status.live.id if status.live else ""
    return bool(release) and release == status.serving != live and not status.unrecorded


def _canary(status: Status) -> list[str]:
    one = status.canary
    if one is None:
        return []
    proven = "" if one.proven else "  NOT PROVEN"
    share = f"{one.canary} % of the visitors, set {ago(one.since, status.now)}"
    return [f"  canary   {one.id}  {one.commit.short} {one.commit.subject}: {share}{proven}"]


def _containers(status: Status) -> list[str]:
    live = status.live
    commits = {s.name: s.commit[:7] for s in live.services} if live else {}
    rows = [("service", "container", "state", "commit", "ports")]
    for one in status.containers:
        state = one.health or one.state if one.state == "running" else f"{one.state} ({one.exit_code})"
        standing = _standing(status, one) or commits.get(one.service, "")
        rows.append((one.service, one.name, state, standing, " ".join(one.ports)))
    return table(rows)


def _standing(status: Status, container: Container) -> str:
    """What a container is that is not of the live release, in a word."""
    if not container.release or (status.live and container.release == status.live.id):
        return ""
    if status.canary and container.release == status.canary.id:
        return "canary"
    if _unproven(status, container.release):
        return "gets the visitors"
    if container.release not in status.retired:
        return "unrecorded" if status.unrecorded else "left over"
    return "warm" if container.state == "running" else "retired"


def _routes(live: Release) -> list[str]:
    """Where the proxy listens, and who answers."""
    if not is_beside(live):
        return []
    return [
        f"  route    {route.listen.host_ip or '*'}:{route.listen.port} {route.host}{route.path} -> {route.service}"
        for route in live.routes.routes
    ]
