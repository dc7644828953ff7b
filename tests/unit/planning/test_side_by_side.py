"""The plan of a release beside the live one: all or nothing starts, and what stands in its way is said before."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from allfast.model.facts import Facts, ServiceFacts
from allfast.model.plan import Step
from allfast.model.release import Assets, Strategy, Where
from allfast.model.routing import PROXY, Listen, Route, RouteSet
from allfast.model.server import PortHolder, Resource
from allfast.model.service import Kind, Method
from allfast.planning import preflight, recorded, side_by_side
from tests.unit.planning.facts_factory import (
    beside,
    containers,
    edited,
    image,
    item,
    line,
    live_facts,
    plan_of,
    release,
    running,
)

BESIDE = Strategy.SIDE_BY_SIDE
LIVE = release(strategy=BESIDE)


def facts(*items: ServiceFacts, **changes: Any) -> Facts:
    given = {"strategy": BESIDE, "live": LIVE, "containers": beside(), **changes}
    return live_facts(*items, **given)


def test_unchanged_is_nothing_to_do() -> None:
    plan = plan_of(facts())
    assert plan.nothing_to_do
    assert not plan.proof_only


def test_one_change_starts_all_of_the_release() -> None:
    plan = plan_of(facts(edited("web", "page.tsx")))
    assert line(plan, "web").method is Method.QUICK
    assert {s.service for s in plan.services if s.step is Step.NEW} == {"web", "api", "worker", "nginx"}
    assert line(plan, "api").method is Method.REUSE
    assert line(plan, "api").step_reason == "unchanged; it starts with its release, beside the old one"
    assert line(plan, "migrate").step is Step.RUN
    assert plan.one_shots == ("migrate",)


def test_a_named_service_takes_the_others_from_the_live_release() -> None:
    plan = plan_of(facts(edited("web", "page.tsx"), edited("api", "app.py")), services=("web",))
    assert line(plan, "api").from_live
    assert line(plan, "api").step is Step.NEW


def test_a_container_that_does_not_run_is_mended_by_a_whole_release() -> None:
    plan = plan_of(facts(containers=beside(running("api", state="exited"))))
    assert plan.mends == ("api: chat-R1-api-1 is exited",) or plan.mends[0].startswith("api: chat-R1-api-1 is exited")
    assert all(s.step is Step.NEW for s in plan.services if s.kind is Kind.RELEASE)


@pytest.mark.parametrize("what", ["never proven", "not yet healthy"])
def test_what_only_lacks_its_proof_is_proven_as_it_is(what: str) -> None:
    """A new release would run migrations again, and leave an unproven one behind."""
    young = beside(running("web", health="starting"))
    plan = plan_of(facts(live=replace(LIVE, proven=False)) if what == "never proven" else facts(containers=young))
    assert plan.proof_only
    assert not plan.nothing_to_do
    assert plan.one_shots == ()
    assert not plan_of(
        replace(facts(live=release(proven=False), containers=containers()), strategy=Strategy.RECREATE)
    ).proof_only


def test_containers_of_another_release_count_for_nothing() -> None:
    """A warm release runs, and is not what visitors get."""
    warm = tuple(replace(running(n, image="sha256:old"), release="R0") for n in ("web", "api"))
    assert plan_of(facts(containers=(*beside(), *warm))).nothing_to_do
    assert not plan_of(facts(containers=(*beside(without=("web",)), *warm))).nothing_to_do


ROUTES = RouteSet((Route("web", 3000, "", "/", Listen("", 80)),))
AS_IT_IS = {"live": replace(LIVE, routes=ROUTES), "routes": ROUTES}
OTHERWISE: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("routes", {"routes": RouteSet((Route("web", 3000, "", "/", Listen("", 8080)),))}, {}),
    ("`trusted_proxies`", {"routes": replace(ROUTES, trusted_proxies=("10.0.0.0/8",))}, {}),
    ("assets", {}, {"assets": Assets("/app/static", "/static")}),
    ("`shared`", {}, {"shared": False}),
    ("version endpoint", {}, {"version": Where("/version", "commit", "")}),
    ("version endpoint", {}, {"asked_on": 3001}),
]


@pytest.mark.parametrize(("what", "release_wide", "of_web"), OTHERWISE)
def test_what_allfast_toml_alone_says_is_deployed(
    what: str, release_wide: dict[str, Any], of_web: dict[str, Any]
) -> None:
    """No container and no image tells of it; a release remembers it all the same."""
    assert plan_of(facts(**AS_IT_IS)).nothing_to_do
    plan = plan_of(facts(item("web", **of_web), **{**AS_IT_IS, **release_wide}))
    assert not plan.nothing_to_do
    assert line(plan, "web").step is Step.NEW
    assert line(plan, "web").step_reason.startswith(f"allfast.toml has other {what} for it")
    unproven = {**AS_IT_IS, "live": replace(LIVE, routes=ROUTES, proven=False)}
    assert not plan_of(facts(item("web", **of_web), **{**unproven, **release_wide})).proof_only


def test_a_service_that_cannot_run_twice_says_why() -> None:
    udp = item("api", definition={"ports": [{"target": 53, "published": "53", "protocol": "udp"}]})
    plan = plan_of(facts(edited("web", "page.tsx"), udp))
    assert line(plan, "api").step_reason == (
        "unchanged; it starts with its release; the old one stops before: "
        "it publishes 53/udp, which the proxy does not carry"
    )
    assert "stops before" not in line(plan, "worker").step_reason
    first = plan_of(facts(udp, live=None, containers=()))
    assert line(first, "api").step_reason == "first deploy", "there is no old one"


def test_another_strategy_is_a_reason_to_deploy() -> None:
    plan = plan_of(live_facts(strategy=BESIDE))
    assert line(plan, "web").step_reason == "from now on its strategy is side-by-side"
    back = plan_of(facts(strategy=Strategy.RECREATE))
    assert line(back, "web").step_reason == "from now on its strategy is recreate"


def test_what_becomes_of_the_proxy_is_told_where_something_starts() -> None:
    words = ("proxy: recreate (port 9000 is to be published)",)
    assert plan_of(facts(edited("web", "page.tsx"), proxy=words)).proxy == words
    assert plan_of(facts(proxy=words)).proxy == ()


def test_a_proxy_that_leads_astray_is_mended_and_nothing_starts() -> None:
    plan = plan_of(facts(proxy_trouble="it leads to R0"))
    assert plan.mends == ("proxy: it leads to R0",)
    assert plan.proof_only


def test_of_release() -> None:
    mine = recorded.of_release((*beside(), replace(running("web"), release="R0")), LIVE)
    assert {(one.service, one.release) for one in mine} >= {("web", "R1"), ("redis", "")}
    assert ("web", "R0") not in {(one.service, one.release) for one in mine}


# --- what stands in the way


def wants(published: str) -> ServiceFacts:
    return item("web", definition={"ports": [{"target": 80, "published": published, "protocol": "tcp"}]})


def test_the_proxy_and_our_own_containers_hold_ports_for_us() -> None:
    ours = PortHolder("0.0.0.0", 80, "tcp", "chat-R1-web-1", "chat-R1")
    proxy = PortHolder("0.0.0.0", 80, "tcp", PROXY, "")
    foreign = PortHolder("0.0.0.0", 80, "tcp", "shop-1", "shop")
    assert preflight.ports(facts(wants("80"), ports=(ours, proxy))) == ()
    assert len(preflight.ports(facts(wants("80"), ports=(foreign,)))) == 1
    assert preflight.ports(facts(wants("80"), ports=(proxy,), strategy=Strategy.RECREATE)) == (), "we leave it"
    assert len(preflight.ports(live_facts(wants("80"), ports=(proxy,)))) == 1, "that is another application's"


MEMORY = [(500, 100, True), (100, 500, False), (500, 0, False)]  # of ours, free, whether it is told


@pytest.mark.parametrize(("used", "free", "told"), MEMORY)
def test_too_little_memory_is_told_with_the_way_out(used: int, free: int, told: bool) -> None:
    found = side_by_side.memory(facts(memory=used * 10**6, free_memory=free * 10**6))
    assert bool(found) == told
    if told:
        assert found[0].level == "warn", "it is never chosen silently"
        assert "100.0 MB of memory are free" in found[0].text
        assert 'strategy = "recreate"' in found[0].hint
    assert side_by_side.memory(facts(memory=used * 10**6, free_memory=free * 10**6, strategy=Strategy.RECREATE)) == ()


def test_the_very_container_of_a_data_service_cannot_be_shared() -> None:
    tied = item("worker", definition={"network_mode": "service:redis"})
    (found,) = side_by_side.alone(facts(tied))
    assert (found.level, found.forceable) == ("refuse", False)
    assert "worker shares the container of redis" in found.text
    assert side_by_side.alone(facts(item("worker", definition={"network_mode": "service:api"}))) == ()
    assert side_by_side.alone(facts(tied, strategy=Strategy.RECREATE)) == ()


ROUTES = RouteSet((Route("web", 9999, "", "/", Listen("", 80)), Route("api", 8000, "", "/", Listen("", 8000))))


@pytest.mark.parametrize("mode", ["host", "none", "service:api", "container:other"])
def test_a_service_that_the_proxy_cannot_reach_has_no_routes(mode: str) -> None:
    found = side_by_side.out_of_reach(facts(item("web", definition={"network_mode": mode}), routes=ROUTES))
    assert [(one.level, one.forceable) for one in found] == [("refuse", False)]
    assert f"services.web.network_mode is {mode}" in found[0].text
    assert "take network_mode out" in found[0].hint
    assert side_by_side.out_of_reach(facts(item("worker", definition={"network_mode": mode}), routes=ROUTES)) == ()
    assert side_by_side.out_of_reach(facts(item("web", definition={"network_mode": "bridge"}), routes=ROUTES)) == ()
    recreate = facts(item("web", definition={"network_mode": mode}), routes=ROUTES, strategy=Strategy.RECREATE)
    assert side_by_side.out_of_reach(recreate) == ()


def test_a_port_that_a_service_publishes_itself_cannot_be_the_proxy_s() -> None:
    published = {"ports": [{"target": 8080, "published": "80", "protocol": "tcp"}]}
    (found,) = side_by_side.own_ports(facts(item("web", definition=published), routes=ROUTES))
    assert (found.rule, found.level, found.forceable) == ("port", "refuse", False)
    assert "web publishes port 80 itself, and the proxy needs it" in found.text
    assert "[services.web] port" in found.hint
    carried = {"ports": [{"target": 9999, "published": "80", "protocol": "tcp"}]}
    assert side_by_side.own_ports(facts(item("web", definition=carried), routes=ROUTES)) == ()
    other = {"ports": [{"target": 8080, "published": "81", "protocol": "tcp"}]}
    assert side_by_side.own_ports(facts(item("web", definition=other), routes=ROUTES)) == ()
    alone = facts(item("web", definition=published), routes=ROUTES, strategy=Strategy.RECREATE)
    assert side_by_side.own_ports(alone) == ()


def test_images_at_hand_are_used_as_ever() -> None:
    plan = plan_of(facts(images=(image("web"), image("api", stale=True))))
    assert line(plan, "web").method is Method.REUSE
    assert line(plan, "api").method is Method.CLEAN


def test_a_fixed_address_on_a_network_that_only_release_services_use() -> None:
    """It would be lost without a word: a release's own network has no fixed addresses."""
    fixed = item("api", definition={"networks": {"lan": {"ipv4_address": "172.30.9.10"}}})
    lan = Resource("network", "chat_lan", "bridge", (), False, ("172.30.9.0/24",))
    (finding,) = side_by_side.fixed_addresses(facts(fixed, resources=(lan,)))
    assert "api has a fixed address on network lan" in finding.text
    assert not finding.forceable
    assert side_by_side.fixed_addresses(facts(fixed, resources=(lan,), strategy=Strategy.RECREATE)) == ()
    assert side_by_side.fixed_addresses(facts(fixed)) == (), "an external network"
    shared = item("redis", definition={"networks": {"lan": None}})
    assert side_by_side.fixed_addresses(facts(fixed, shared, resources=(lan,))) == ()
    there = replace(facts(fixed, resources=(lan,)))
    there = replace(there, server=replace(there.server, resources=(lan,)))
    assert side_by_side.fixed_addresses(there) == ()
