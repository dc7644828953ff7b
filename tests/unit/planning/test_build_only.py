"""The plan of `allfast build`: what is built, and what may stop that."""

from __future__ import annotations

from dataclasses import replace

import pytest

from allfast.errors import UsageError
from allfast.model.plan import Finding
from allfast.model.server import PortHolder
from allfast.model.service import Method
from allfast.pipeline.building import builds
from tests.unit.planning.facts_factory import edited, first_facts, item, live_facts, plan_of


@pytest.mark.parametrize(("asked", "built"), [("web", "web"), ("api", "api"), ("worker", "api")])
def test_one_service_before_the_first_deploy(asked: str, built: str) -> None:
    plan = plan_of(first_facts(), services=(asked,), build_only=True)
    assert builds(plan) == {built: Method.CLEAN}
    with pytest.raises(UsageError):
        plan_of(first_facts(), services=(asked,))


def test_one_service_beside_a_live_release() -> None:
    plan = plan_of(live_facts(edited("api", "main.py"), edited("web", "page.tsx")), services=("api",), build_only=True)
    assert builds(plan) == {"api": Method.QUICK}


def test_an_unknown_service() -> None:
    with pytest.raises(UsageError, match="wbe"):
        plan_of(first_facts(), services=("wbe",), build_only=True)


def test_a_deploy_builds_the_image_of_a_service_that_was_not_asked_for() -> None:
    assert builds(plan_of(live_facts(edited("api", "main.py")), services=("worker",))) == {"api": Method.QUICK}


def test_only_what_concerns_the_build_refuses_it() -> None:
    rules = ("dirty", "development", "build_secret", "branch", "unpushed")
    found = tuple(Finding(rule, "refuse", f"{rule} is wrong") for rule in rules)
    port = {"published": "80", "protocol": "tcp"}
    facts = first_facts(
        item("web", definition={"ports": [port]}), ports=(PortHolder("0.0.0.0", 80, "tcp", "other", "shop"),)
    )
    facts = replace(facts, findings=found)
    refused = {f.rule for f in plan_of(facts).findings if f.level == "refuse"}
    assert refused == {*rules, "port"}
    plan = plan_of(facts, build_only=True)
    assert {f.rule for f in plan.findings if f.level == "refuse"} == {"dirty", "development", "build_secret"}
    assert {f.rule for f in plan.findings} == refused, "the others are told"
    assert all(f.level == "warn" for f in plan_of(facts, build_only=True, force="why").findings)
