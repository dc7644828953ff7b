"""Where the routes of a release lead, against those of the live one (pure)."""

from __future__ import annotations

from collections import defaultdict

from allfast.model.facts import Facts
from allfast.model.plan import Finding, RoutePlan
from allfast.model.release import Release, Strategy
from allfast.model.routing import Route, RouteSet


def lines(facts: Facts, *, stays: bool) -> tuple[RoutePlan, ...]:
    """Each route of the live release and of the new one; with `stays` the live release goes on as it is."""
    live = facts.server.live
    before = _of_live(live) if live is not None else {}
    after = before if stays else _first(facts.routes) if facts.strategy is Strategy.SIDE_BY_SIDE else {}
    return tuple(_line(before.get(address), after.get(address)) for address in sorted(before.keys() | after.keys()))


def findings(facts: Facts) -> tuple[Finding, ...]:
    """Routes of which only the first would ever be asked."""
    if facts.strategy is not Strategy.SIDE_BY_SIDE:
        return ()
    found: dict[tuple[int, str, str], list[Route]] = defaultdict(list)
    for route in facts.routes.routes:
        found[route.claim].append(route)
    return tuple(_same(routes) for routes in found.values() if len(routes) > 1)


def _same(routes: list[Route]) -> Finding:
    names = " and ".join(sorted(route.service for route in routes))
    hint = f"give services.{routes[-1].service}.route another path, or a host of its own"
    return Finding("route", "refuse", f"{names} have the same route, {routes[0].url}", hint, forceable=False)


def _of_live(live: Release) -> dict[tuple[str, ...], Route]:
    """In place, the containers have the ports themselves."""
    return _first(live.routes) if live.strategy is Strategy.SIDE_BY_SIDE else {}


def _first(routes: RouteSet) -> dict[tuple[str, ...], Route]:
    """By address; of two at one the proxy asks the first."""
    return {(one.url, one.listen.host_ip): one for one in reversed(routes.routes)}


def _line(before: Route | None, after: Route | None) -> RoutePlan:
    if after is None:
        assert before is not None
        return RoutePlan(before.url, "removed", before, None)
    if before is None:
        return RoutePlan(after.url, "added", None, after)
    same = (before.service, before.port, before.h2c) == (after.service, after.port, after.h2c)
    return RoutePlan(after.url, "kept" if same else "moved", before, after)
