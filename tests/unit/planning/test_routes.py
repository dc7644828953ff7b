"""The routes of the plan: where each leads, what changes against the live release, and how a person reads it."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import pytest

from allfast.model.facts import Facts
from allfast.model.plan import Plan
from allfast.model.release import Strategy
from allfast.model.routing import Listen, Route, RouteSet
from allfast.plan_text import plan_lines
from tests.unit.planning.facts_factory import beside, edited, first_facts, live_facts, plan_of, release

BESIDE = Strategy.SIDE_BY_SIDE
WEB = Route("web", 3000, "", "/", Listen("", 80))
API = Route("api", 8000, "", "/api", Listen("", 80))
ADMIN = Route("web", 9000, "admin.test", "/", Listen("", 443, tls=True))
LOCAL = Route("web", 9000, "", "/", Listen("127.0.0.1", 9000))


def from_to(
    before: tuple[Route, ...], after: tuple[Route, ...], was: Strategy = BESIDE, be: Strategy = BESIDE
) -> Facts:
    """A changed web, and these routes in the live release and in the new one."""
    live = release(strategy=was, routes=RouteSet(before))
    return live_facts(edited("web", "page.tsx"), strategy=be, live=live, routes=RouteSet(after))


def told(plan: Plan) -> list[str]:
    """What the plan's text says of routes."""
    return [line.strip() for line in plan_lines(dataclasses.asdict(plan)) if line.startswith("  route")]


# the case, the facts, what each route becomes, the text
CASES: list[tuple[str, Facts, list[tuple[str, str]], list[str]]] = [
    ("all stay", from_to((WEB, API), (API, WEB)), [("http://*/", "kept"), ("http://*/api", "kept")], []),
    (
        "the first deploy",
        first_facts(strategy=BESIDE, routes=RouteSet((WEB,))),
        [("http://*/", "added")],
        ["route added: http://*/ -> web:3000"],
    ),
    (
        "another path",
        from_to((WEB,), (WEB, API)),
        [("http://*/", "kept"), ("http://*/api", "added")],
        ["route added: http://*/api -> api:8000", "routes that stay: 1"],
    ),
    (
        "one less",
        from_to((WEB, API), (WEB,)),
        [("http://*/", "kept"), ("http://*/api", "removed")],
        ["route removed: http://*/api -> api:8000", "routes that stay: 1"],
    ),
    (
        "another service",
        from_to((API,), (replace(API, service="web"),)),
        [("http://*/api", "moved")],
        ["route moved: http://*/api -> web:8000, before api:8000"],
    ),
    (
        "another port of the container",
        from_to((API,), (replace(API, port=8001),)),
        [("http://*/api", "moved")],
        ["route moved: http://*/api -> api:8001, before api:8000"],
    ),
    (
        "spoken to in another way",
        from_to((API,), (replace(API, h2c=True),)),
        [("http://*/api", "moved")],
        ["route moved: http://*/api -> api:8000 (HTTP/2), before api:8000"],
    ),
    ("the same path with a slash", from_to((API,), (replace(API, path="/api/"),)), [("http://*/api", "kept")], []),
    ("only its assets", from_to((WEB,), (replace(WEB, assets="/static"),)), [("http://*/", "kept")], []),
    (
        "another port of the server",
        from_to((WEB,), (replace(WEB, listen=Listen("", 8080)),)),
        [("http://*/", "removed"), ("http://*:8080/", "added")],
        ["route removed: http://*/ -> web:3000", "route added: http://*:8080/ -> web:3000"],
    ),
    (
        "HTTPS",
        from_to((WEB,), (ADMIN,)),
        [("http://*/", "removed"), ("https://admin.test/", "added")],
        ["route removed: http://*/ -> web:3000", "route added: https://admin.test/ -> web:9000"],
    ),
    (
        "another address of the server",
        from_to((LOCAL,), (replace(LOCAL, listen=Listen("", 9000)),)),
        [("http://*:9000/", "added"), ("http://*:9000/", "removed")],
        [
            "route added: http://*:9000/ -> web:9000",
            "route removed: http://*:9000/ at 127.0.0.1 -> web:9000",
        ],
    ),
    (
        "from containers that have the port themselves",
        from_to((WEB,), (WEB,), was=Strategy.RECREATE),
        [("http://*/", "added")],
        ["route added: http://*/ -> web:3000"],
    ),
    (
        "to containers that have the port themselves",
        from_to((WEB,), (WEB,), be=Strategy.RECREATE),
        [("http://*/", "removed")],
        ["route removed: http://*/ -> web:3000"],
    ),
    ("never through the proxy", from_to((WEB,), (API,), Strategy.RECREATE, Strategy.RECREATE), [], []),
]


@pytest.mark.parametrize(("facts", "changes", "text"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_where_requests_lead(facts: Facts, changes: list[tuple[str, str]], text: list[str]) -> None:
    plan = plan_of(facts)
    assert [(one.url, one.change) for one in plan.routes] == changes
    assert told(plan) == text


def test_the_document_has_all_of_a_route() -> None:
    (route,) = dataclasses.asdict(plan_of(from_to((API,), (replace(API, port=8001),))))["routes"]
    assert (route["before"]["port"], route["after"]["port"], route["after"]["listen"]["port"]) == (8000, 8001, 80)


def test_what_serves_on_as_it_is_keeps_its_routes() -> None:
    """Of services that were not asked for nothing is deployed: their routes neither."""
    live = release(strategy=BESIDE, routes=RouteSet((WEB,)))
    facts = live_facts(strategy=BESIDE, live=live, routes=RouteSet((API,)), containers=beside())
    plan = plan_of(facts, services=("worker",))
    assert plan.nothing_to_do
    assert [(one.url, one.change) for one in plan.routes] == [("http://*/", "kept")]


def test_a_build_has_no_routes() -> None:
    assert plan_of(from_to((WEB,), (API,)), build_only=True).routes == ()


def test_two_services_at_one_route_are_refused() -> None:
    """The proxy would ask the first one alone, and nobody would know."""
    facts = from_to((WEB,), (WEB, replace(API, path="/")))
    (finding,) = plan_of(facts).findings
    assert (finding.rule, finding.level, finding.forceable) == ("route", "refuse", False)
    assert finding.text == "api and web have the same route, http://*/"
    assert plan_of(replace(facts, strategy=Strategy.RECREATE)).findings == ()
    hosts = from_to((WEB,), (replace(WEB, host="a.test"), replace(API, path="/", host="b.test")))
    assert plan_of(hosts).findings == ()
