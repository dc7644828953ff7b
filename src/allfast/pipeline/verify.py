"""Verify: proof, not hope. Identity and health of each container, and the version that was compiled in, asked through
the server itself and through the target's URL."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from allfast import events
from allfast.checks import Finding, Verdict
from allfast.checks.health import judge, patience
from allfast.config.model import Via
from allfast.engines import ReleaseEngine
from allfast.errors import VerifyError
from allfast.model.release import Release, ReleaseService
from allfast.model.server import Container
from allfast.model.service import Kind
from allfast.pipeline import asking, edge
from allfast.pipeline.context import Context
from allfast.planning.recorded import containers_of

STALE = (
    "deploy again: this commit is built clean then; if it still reports another version, see that the Dockerfile "
    "declares ARG ALLFAST_COMMIT before the step that compiles it in"
)


@dataclass(frozen=True, slots=True)
class Proof:
    """All findings of a release."""

    findings: tuple[Finding, ...]

    @property
    def proven(self) -> bool:
        """Everything was asked, and is right."""
        return all(f.result == "right" for f in self.findings)

    @property
    def wrong(self) -> tuple[Finding, ...]:
        """What is wrong."""
        return tuple(f for f in self.findings if f.result == "wrong")

    @property
    def open(self) -> tuple[Finding, ...]:
        """What could not be asked."""
        return tuple(f for f in self.findings if f.result == "could-not-be-asked")

    @property
    def unasked(self) -> str:
        """What could not be asked, in words."""
        return "; ".join(": ".join(filter(None, (f.service, f.check, f.text))) for f in self.open)


def prove(context: Context, release: Release, services: Sequence[str] | None = None) -> Proof:
    """Run all checks on a release that visitors should get, or on some of its services, telling each result.

    Raises:
        VerifyError: something is wrong; the message names each wrong check.
    """
    names = [service.name for service in release.services] if services is None else services
    proof = _prove(context, release, names, context.project.target.via)
    for found in proof.findings:
        context.emit(events.Checked(found.check, found.service, found.result, found.text))
    _judge(proof)
    return proof


def prove_on_server(context: Context, release: Release, services: Sequence[str]) -> Proof:
    """Check some services of a release that visitors do not get yet; tells nothing, for `prove` follows.

    Raises:
        VerifyError: as `prove`.
    """
    proof = _prove(context, release, services, Via.SERVER)
    _judge(proof)
    return proof


def prove_as_visitor(context: Context, release: Release, services: Sequence[str]) -> Proof:
    """Check some services of a release that has a side of its own (edge.side) as its visitors will; tells nothing.

    The proxy is asked on the server, too, where it takes plain HTTP.

    Raises:
        VerifyError: as `prove`.
    """
    found = _prove(context, release, services, context.project.target.via).findings
    side = edge.side(context, release)
    proof = Proof((*found, *asking.versions_through_the_proxy(context, release, services, side)))
    _judge(proof)
    return proof


def _prove(context: Context, release: Release, names: Sequence[str], via: Via) -> Proof:
    engine = context.engine_of(release)
    containers = engine.containers()
    services = [s for s in release.services if s.kind is Kind.RELEASE and s.replicas and s.name in names]
    side = edge.side(context, release) if via is not Via.SERVER else {}
    with ThreadPoolExecutor(8) as pool:
        parts = list(pool.map(lambda s: _prove_service(context, engine, release, s, containers, via, side), services))
    findings = [found for part in parts for found in part]
    if all(found.result != "wrong" for found in findings):
        findings += asking.page(context, services, via, side)
        findings += _ended_since(engine, services, containers)
    return Proof(tuple(findings))


def _judge(proof: Proof) -> None:
    if proof.wrong:
        text = "".join(f"\n  {f.service}: {f.check}: {f.text}" for f in proof.wrong)
        evidence = tuple(line for f in proof.wrong for line in f.evidence)
        stale = tuple(dict.fromkeys(f.service for f in proof.wrong if f.stale))
        own = "; ".join(dict.fromkeys(f.hint for f in proof.wrong if f.hint))
        look = "correct the cause and deploy again; `allfast logs` shows what the service wrote"
        hint = STALE if stale else own or look
        what = f"the release runs, but is not what it should be:{text}"
        raise VerifyError(what, hint=hint, evidence=evidence, stale=stale)


def _prove_service(
    context: Context,
    engine: ReleaseEngine,
    release: Release,
    service: ReleaseService,
    containers: tuple[Container, ...],
    via: Via,
    side: Mapping[str, str],
) -> list[Finding]:
    mine = containers_of(containers, service.name)
    found = [_identity(service, mine), _health(context, engine, service, mine)]
    if any(f.result != "right" for f in found):
        return found
    if unreached := asking.unreached(context, release, service, mine):
        return [*found, unreached]
    return found + asking.versions(context, service, mine, via=via, side=side)


def _ended_since(
    engine: ReleaseEngine, services: Sequence[ReleaseService], before: tuple[Container, ...]
) -> Iterator[Finding]:
    """A container that was healthy and ended while it was being proven: its restart policy must not hide that."""
    known = {container.id: container for container in before}
    now = engine.containers()
    for service in services:
        for container in containers_of(now, service.name):
            earlier = known.get(container.id)
            if earlier is None or container.state != "running" or container.restarts > earlier.restarts:
                code = engine.last_exit(container.id)
                text = f"{container.name} was healthy, and ended then with exit code {code}"
                yield Finding("health", service.name, "wrong", text, engine.last_lines(container.id))


def _identity(service: ReleaseService, containers: tuple[Container, ...]) -> Finding:
    expected = service.image.engine_id
    others = [c for c in containers if c.image != expected]
    if not containers:
        return Finding("identity", service.name, "wrong", "it has no container")
    if others:
        text = f"{others[0].name} runs image {others[0].image[:19]} instead of {expected[:19]}"
        return Finding("identity", service.name, "wrong", text)
    return Finding("identity", service.name, "right", f"runs {expected[:19]}")


def _health(context: Context, engine: ReleaseEngine, service: ReleaseService, before: tuple[Container, ...]) -> Finding:
    """The health of a service's containers; one that still starts (somebody restarted it) is waited for."""
    restarts = {container.id: container.restarts for container in before}
    began = time.monotonic()
    wait = max((patience(container.check) for container in before), default=0.0)
    while True:
        found = _health_now(context, engine, service, restarts)
        if found.result != "could-not-be-asked":
            return found
        if time.monotonic() - began >= wait:
            return replace(found, result="wrong")
        time.sleep(asking.PAUSE_SECONDS)


def _health_now(
    context: Context, engine: ReleaseEngine, service: ReleaseService, restarts: Mapping[str, int]
) -> Finding:
    """One look; "could-not-be-asked" while a container starts."""
    text = "no container"
    for container in containers_of(engine.containers(), service.name):
        past = restarts.get(container.id, 0)
        health = judge(container, context.now(), asking.answers(context, service, container), past)
        text = health.text
        if health.state != "healthy":
            lines = engine.last_lines(container.id)
            result: Verdict = "wrong" if health.state == "failed" else "could-not-be-asked"
            return Finding("health", service.name, result, f"{container.name} {text}", lines)
    return Finding("health", service.name, "wrong" if text == "no container" else "right", text)
