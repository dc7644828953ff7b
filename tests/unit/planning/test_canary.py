"""When a canary may begin, what stands in the way while one runs, and what the plan says of it."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import Any

import pytest

from allfast.model.facts import Facts, Wishes
from allfast.model.plan import Plan
from allfast.model.release import Release, Strategy
from allfast.model.routing import NO_ROUTES, Listen, Route, RouteSet
from allfast.plan_text import plan_lines
from allfast.planning.plan import make_plan
from tests.unit.planning.facts_factory import COMMIT, edited, live_facts

WEB = Route("web", 3000, "", "/", Listen("", 80))
ROUTES = RouteSet((WEB,))
CANARY = Wishes(canary=10)


def beside(**changes: Any) -> Facts:
    """The live release and the next one are beside, behind the proxy; the web changes, and nobody dials the worker."""
    facts = live_facts()
    live = facts.server.live
    assert live is not None
    server = replace(facts.server, live=replace(live, strategy=Strategy.SIDE_BY_SIDE, routes=ROUTES))
    containers = tuple(
        replace(c, release=live.id if c.service not in ("redis", "db") else "") for c in server.containers
    )
    services = tuple(
        edited("web", "web/page.tsx")
        if item.service.name == "web"
        else replace(item, service=replace(item.service, dialled=item.service.name != "worker"))
        for item in facts.services
    )
    made = replace(
        facts,
        server=replace(server, containers=containers),
        strategy=Strategy.SIDE_BY_SIDE,
        routes=ROUTES,
        services=services,
    )
    return replace(made, **changes)


def with_live(facts: Facts, **changes: Any) -> Facts:
    assert facts.server.live is not None
    return replace(facts, server=replace(facts.server, live=replace(facts.server.live, **changes)))


def with_service(facts: Facts, name: str, **changes: Any) -> Facts:
    services = tuple(replace(s, **changes) if s.service.name == name else s for s in facts.services)
    return replace(facts, services=services)


def running(facts: Facts, share: int = 10, **changes: Any) -> Facts:
    """With a canary of the very commit and settings."""
    live = facts.server.live
    assert live is not None
    services = []
    for one in live.services:
        item = facts.get(one.name)
        assert item is not None
        services.append(replace(one, settings=item.service.settings, environment=item.service.environment))
    made = replace(live, id="C1", commit=COMMIT, services=tuple(services), canary=share)
    canary: Release = replace(made, **changes)
    return replace(facts, server=replace(facts.server, canary=canary))


def refusals(plan: Plan) -> list[str]:
    return [f.text for f in plan.findings if f.level == "refuse"]


def test_a_canary_is_a_deploy_whose_workers_wait() -> None:
    plan = make_plan(beside(), CANARY)
    assert refusals(plan) == []
    assert (plan.canary, plan.waits, plan.share_only) == (10, ("worker",), False)
    assert plan.one_shots == make_plan(beside(), Wishes()).one_shots


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (beside(strategy=Strategy.RECREATE), 'needs the strategy "side-by-side"'),
        (replace(beside(), server=replace(beside().server, live=None, containers=())), "nothing is live yet"),
        (with_live(beside(), strategy=Strategy.RECREATE), "is not behind the proxy"),
        (beside(routes=NO_ROUTES), "no route leads through the proxy"),
        (beside(routes=RouteSet((WEB, replace(WEB, listen=Listen("", 8443))))), "port 8443 would be new"),
        (beside(proxy_trouble="it does not run"), "proxy: it does not run"),
        (with_live(beside(), proven=False), "was never proven"),
        (with_service(beside(), "api", shared=False), "api cannot run beside its predecessor (shared = false)"),
    ],
)
def test_what_a_canary_needs(facts: Facts, words: str) -> None:
    plan = make_plan(facts, CANARY)
    (text,) = refusals(plan)
    assert words in text
    assert all(f.hint and not f.forceable for f in plan.findings if f.level == "refuse")
    assert not [text for text in refusals(make_plan(facts, Wishes())) if words in text], "a deploy needs it not"


def test_a_worker_that_cannot_run_twice_waits() -> None:
    plan = make_plan(with_service(beside(), "worker", shared=False), CANARY)
    assert (refusals(plan), plan.waits) == ([], ("worker",))


def test_two_hosts_are_two_cookies() -> None:
    hosts = RouteSet((replace(WEB, host="a.test"), replace(WEB, host="b.test")))
    warned = [f.text for f in make_plan(beside(routes=hosts), CANARY).findings if f.level == "warn"]
    assert any("keep the canary cookie per host" in text for text in warned)


def test_nothing_new_is_no_canary() -> None:
    facts = beside()
    same = replace(facts, services=tuple(replace(s) for s in live_facts().services))
    plan = make_plan(same, CANARY)
    assert (plan.nothing_to_do, plan.canary) == (True, 0)


def test_a_running_canary_stands_in_the_way_of_a_deploy() -> None:
    for facts, wishes in (
        (running(beside()), Wishes()),
        (running(beside(), commit=replace(COMMIT, sha="c" * 40)), CANARY),
        (with_service(running(beside()), "api", service=replace(beside().services[0].service, name="api")), CANARY),
    ):
        (text,) = refusals(make_plan(facts, wishes))
        assert "C1 (" in text and "10 % of the visitors get it" in text
    assert refusals(make_plan(running(beside()), Wishes(build_only=True))) == []


def test_another_share_of_the_same_release_is_all_that_changes() -> None:
    plan = make_plan(running(beside()), Wishes(canary=50))
    assert (plan.share_only, plan.nothing_to_do, plan.canary, plan.one_shots, plan.proxy) == (True, False, 50, (), ())
    assert refusals(plan) == []
    lines = plan_lines(dataclasses.asdict(plan))
    assert "  canary: 50 % of the visitors; it runs already, and nothing else changes" in lines
    assert make_plan(running(beside()), CANARY).nothing_to_do
