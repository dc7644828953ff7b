"""What happens to each service's container: the second table of the plan (`databases` has the data services)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from allfast.config.definition import ties
from allfast.config.project import why_alone
from allfast.model.facts import Facts, ServiceFacts
from allfast.model.plan import DataPlan, EnvironmentChange, ServicePlan, Step
from allfast.model.release import ReleaseService, Strategy
from allfast.model.routing import Route, RouteSet
from allfast.model.server import Container
from allfast.model.service import Kind, Service
from allfast.planning import recorded
from allfast.planning.methods import Choice, names

UNCHANGED = "image, environment, files and settings are unchanged"
_BESIDE = "unchanged; it starts with its release, beside the old one"


def step(facts: Facts, item: ServiceFacts, choice: Choice | None) -> tuple[Step, str]:
    """Keep the running container, or replace it, and why; `choice` is None for an image that is not built."""
    service = item.service
    live = facts.server.live.service(service.name) if facts.server.live else None
    if live is None:
        return Step.NEW, "not in the live release" if facts.server.live else "first deploy"
    if changes := _changes(service, live, choice):
        return Step.NEW, "; ".join(changes)
    if facts.server.live is not None and facts.server.live.strategy is not facts.strategy:
        return Step.NEW, f"from now on its strategy is {facts.strategy}"
    if trouble := not_as_recorded(facts, live):
        return Step.NEW, trouble
    return Step.KEEP, treated_otherwise(facts, item) or UNCHANGED


def _changes(service: Service, live: ReleaseService, choice: Choice | None) -> list[str]:
    """What differs from the live release's service, in words.

    Of the settings only a digest is kept, which covers the environment and the number of containers, too. So that other
    settings changed can be said only where neither of these did.
    """
    found, of_settings = [], []
    if choice is not None and (choice.image is None or choice.image.engine_id != live.image.engine_id):
        found.append("its image changes")
    if keys := tuple(c.key for c in environment_changes(service, live)):
        of_settings.append("its environment changes: " + names(keys))
    if service.settings != live.settings:
        if (wanted := replicas(service.definition)) != live.replicas:
            of_settings.append(f"its containers: {live.replicas} -> {wanted}")
        of_settings = of_settings or ["its Compose settings or files change"]
    return found + of_settings


def treated_otherwise(facts: Facts, item: ServiceFacts) -> str:
    """What allfast.toml says of a live service now and did not say then, in words; no container tells of it."""
    release = facts.server.live
    live = release.service(item.service.name) if release else None
    if release is None or live is None:
        return ""
    before, after = (_routes(facts, routes, live.name) for routes in (release.routes, facts.routes))
    both = bool(before and after)
    changed = [
        what
        for what, then, now in (
            ("routes", before, after),
            ("`trusted_proxies`", both and release.routes.trusted_proxies, both and facts.routes.trusted_proxies),
            ("assets", live.assets, item.assets),
            ("`shared`", live.shared, item.shared),
            ("version endpoint", (live.version, live.port), (item.version, item.asked_on)),
        )
        if then != now
    ]
    return f"allfast.toml has other {', '.join(changed)} for it" if changed else ""


def _routes(facts: Facts, routes: RouteSet, service: str) -> tuple[Route, ...]:
    """What the proxy passes to a service; nothing without one."""
    return routes.of(service) if facts.strategy is Strategy.SIDE_BY_SIDE else ()


def not_as_recorded(facts: Facts, live: ReleaseService) -> str:
    """Why a live service does not run as the ledger has it; empty where it does."""
    return recorded.deviation(of_live(facts), live)


def not_yet_healthy(facts: Facts, live: ReleaseService) -> str:
    """Which container of a live service nobody knows to be healthy yet (it is left alone, but waited for)."""
    young = next((c for c in containers_of(facts, live.name) if c.health == "starting"), None)
    return f"{young.name} has not passed its health check yet" if young else ""


def follow(services: tuple[ServicePlan, ...], data: tuple[DataPlan, ...], facts: Facts) -> tuple[ServicePlan, ...]:
    """Replace also the containers that live inside a replaced one, or ask to be restarted with it.

    A container keeps the network (or volumes) of the very container that it joined: when that goes, it is cut off.
    """
    moved = {line.service for line in data if line.action == "recreate"}
    for _ in services:  # a chain is at most this long
        moved |= {plan.service for plan in services if plan.step is Step.NEW}
        services = tuple(_followed(plan, moved, facts) for plan in services)
    return services


def _followed(plan: ServicePlan, moved: set[str], facts: Facts) -> ServicePlan:
    item = facts.get(plan.service)
    if plan.step is not Step.KEEP or item is None or item.service.kind is not Kind.RELEASE:
        return plan
    leader = min(_leaders(item.service) & moved, default="")
    return replace(plan, step=Step.NEW, step_reason=f"it goes with {leader}, which is replaced") if leader else plan


def _leaders(service: Service) -> set[str]:
    """The services with whose containers this one's have to be replaced."""
    waits = service.definition.get("depends_on") or {}
    return ties(service.definition) | {name for name, how in waits.items() if how.get("restart")}


def replicas(definition: dict[str, Any]) -> int:
    """How many containers a Compose service (as `docker compose config` renders it) wants."""
    deploy = definition.get("deploy") or {}
    return int(deploy.get("replicas", definition.get("scale", 1)) or 0)


def of_live(facts: Facts) -> tuple[Container, ...]:
    """The containers of the live release, and of the data services."""
    return recorded.of_release(facts.server.containers, facts.server.live)


def together(services: tuple[ServicePlan, ...], facts: Facts) -> tuple[ServicePlan, ...]:
    """Side by side, a release is a whole: when one of its services gets a new container, all of them do."""
    return tuple(_beside(plan, facts) for plan in services)


def _beside(plan: ServicePlan, facts: Facts) -> ServicePlan:
    if plan.step not in (Step.KEEP, Step.NEW):
        return plan
    reason = plan.step_reason
    if plan.step is Step.KEEP and (plan.from_live or reason == UNCHANGED):
        reason = _BESIDE
    item, live = facts.get(plan.service), facts.server.live
    why = why_alone(item.service.name, item.service.definition, facts.routes, shared=item.shared) if item else ""
    if why and live is not None and live.service(plan.service) is not None:
        reason = f"{reason.removesuffix(', beside the old one')}; the old one stops before: {why}"
    return replace(plan, step=Step.NEW, step_reason=reason)


def containers_of(facts: Facts, service: str) -> tuple[Container, ...]:
    """The service's own containers, without one-off runs."""
    return recorded.containers_of(of_live(facts), service)


def environment_changes(
    service: Service, live: ReleaseService, sources: dict[str, str] | None = None
) -> tuple[EnvironmentChange, ...]:
    """Keys whose value came, went or changed against the live release (compared by hash; never the values)."""
    old, new = dict(live.environment), dict(service.environment)
    changes = []
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) == new.get(key):
            continue
        change = "added" if key not in old else "removed" if key not in new else "changed"
        changes.append(EnvironmentChange(service.name, key, change, (sources or {}).get(key, "")))
    return tuple(changes)
