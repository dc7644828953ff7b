"""Section "The containers" of the design: what is kept, what is replaced, and why."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from allfast.model.facts import Facts
from allfast.model.plan import EnvironmentChange, Step
from allfast.model.release import Release
from allfast.model.server import Container
from allfast.model.service import Kind, Method
from allfast.planning.containers import replicas
from tests.unit.planning.after_deploy import deployed
from tests.unit.planning.facts_factory import (
    containers,
    edited,
    first_facts,
    image,
    item,
    line,
    live_facts,
    plan_of,
    recorded,
    release,
    running,
    service,
)

KEEP, NEW, REMOVE = Step.KEEP, Step.NEW, Step.REMOVE
UNCHANGED = "image, environment, files and settings are unchanged"


def web(**changes: Any) -> tuple[Container, ...]:
    """The containers of R1, with another one for web."""
    return containers(running("web", **changes))


def twice(**changes: Any) -> tuple[Container, ...]:
    """Two containers of web, the second one changed."""
    second = {"id": "id-web-2", "name": "chat-web-2", **changes}
    return containers(running("web"), running("web", **second))


SCALED = item("web", definition={"deploy": {"replicas": 2}})


def live_with(count: int) -> Release:
    """The live release, with that many containers of web."""
    live = release()
    services = (replace(one, replicas=count) if one.name == "web" else one for one in live.services)
    return replace(live, services=tuple(services))


def two(**second: Any) -> Facts:
    """Two containers of web, as recorded but for what is said of the second."""
    return live_facts(SCALED, live=live_with(2), containers=twice(**second))


# the case, the facts, the step of web, what the reason says
ROWS: list[tuple[str, Facts, Step, str]] = [
    ("as it was", live_facts(), KEEP, UNCHANGED),
    ("first deploy", first_facts(), NEW, "first deploy"),
    ("not in the live release", live_facts(live=release(services=(recorded("api"),))), NEW, "not in the live release"),
    ("an image to build", live_facts(edited("web", "a.ts")), NEW, "its image changes"),
    (
        "an image at hand that is not the live one",
        live_facts(edited("web", "a"), images=(image("web", engine_id="sha256:web-2", inputs="inputs-web-2"),)),
        NEW,
        "its image changes",
    ),
    ("environment", live_facts(item("web", environment=(("MODE", "x"),))), NEW, "its environment changes: MODE"),
    ("settings or files", live_facts(item("web", settings="x")), NEW, "its Compose settings or files change"),
    (
        "image and files",
        live_facts(edited("web", "a.ts", settings="x")),
        NEW,
        "its image changes; its Compose settings or files change",
    ),
    (
        "image, environment and number",
        live_facts(edited("web", "a.ts", settings="x", environment=(("MODE", "x"),), definition={"scale": 2})),
        NEW,
        "its image changes; its environment changes: MODE; its containers: 1 -> 2",
    ),
    ("no container", live_facts(containers=containers(without=("web",))), NEW, "it has no container"),
    ("a one-off run only", live_facts(containers=web(one_off=True)), NEW, "it has no container"),
    ("another image runs", live_facts(containers=web(image="sha256:x")), NEW, "chat-web-1 runs another image"),
    (
        "made with other settings",
        live_facts(containers=web(settings="x")),
        NEW,
        "chat-web-1 was made with other settings",
    ),
    ("made by hand", live_facts(containers=web(settings="")), NEW, "chat-web-1 was made with other settings"),
    ("exited", live_facts(containers=web(state="exited", exit_code=3)), NEW, "chat-web-1 is exited (exit code 3)"),
    ("created", live_facts(containers=web(state="created")), NEW, "chat-web-1 is created"),
    ("paused", live_facts(containers=web(state="paused")), NEW, "chat-web-1 is paused"),
    ("restarting", live_facts(containers=web(state="restarting", exit_code=1)), NEW, "is restarting (exit code 1)"),
    ("unhealthy", live_facts(containers=web(health="unhealthy")), NEW, "chat-web-1 is unhealthy"),
    ("without a check", live_facts(containers=web(health="")), KEEP, UNCHANGED),
    ("not yet healthy: left alone", live_facts(containers=web(health="starting")), KEEP, UNCHANGED),
    ("scaled as wanted", two(), KEEP, UNCHANGED),
    (
        "scaled, the second one is sick",
        live_facts(SCALED, live=live_with(2), containers=twice(health="unhealthy")),
        NEW,
        "chat-web-2 is",
    ),
    (
        "scaled, the second one is old",
        live_facts(SCALED, live=live_with(2), containers=twice(image="x")),
        NEW,
        "chat-web-2 runs another",
    ),
    ("too few", live_facts(SCALED, live=live_with(2)), NEW, "it has 1 container instead of 2"),
    ("too many", live_facts(containers=twice()), NEW, "it has 2 containers instead of 1"),
    (
        "none wanted, none there",
        live_facts(item("web", definition={"scale": 0}), live=live_with(0), containers=containers(without=("web",))),
        KEEP,
        UNCHANGED,
    ),
]


@pytest.mark.parametrize(("facts", "step", "reason"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_step(facts: Facts, step: Step, reason: str) -> None:
    found = line(plan_of(facts), "web")
    assert found.step is step
    assert reason in found.step_reason


def test_a_container_without_exit_code_does_not_claim_one() -> None:
    assert line(plan_of(live_facts(containers=web(state="created"))), "web").step_reason == "chat-web-1 is created"


@pytest.mark.parametrize(
    ("definition", "count"),
    [
        ({}, 1),
        ({"scale": 3}, 3),
        ({"deploy": {"replicas": 2}}, 2),
        ({"deploy": {"resources": {}}}, 1),
        ({"scale": 0}, 0),
    ],
)
def test_replicas(definition: dict[str, Any], count: int) -> None:
    assert replicas(definition) == count


# --- services that share an image


def test_a_worker_follows_the_api_image() -> None:
    plan = plan_of(live_facts(edited("api", "main.py")))
    worker = line(plan, "worker")
    assert (worker.method, worker.step, worker.step_reason) == (Method.QUICK, NEW, "its image changes")
    assert worker.reason == "runs the image of api"
    assert line(plan, "web").step is KEEP


def test_a_worker_that_stayed_behind_catches_up() -> None:
    """After `deploy api` the worker still runs the image before; the next full deploy replaces it, and only it."""
    behind = recorded("worker", image=replace(recorded("worker").image, engine_id="sha256:api-0"))
    live = release(services=tuple(behind if s.name == "worker" else s for s in release().services))
    facts = live_facts(live=live, containers=containers(running("worker", image="sha256:api-0")))
    plan = plan_of(facts)
    assert {s.service for s in plan.services if s.step is NEW} == {"worker"}
    assert line(plan, "worker").image == "sha256:api-1"
    assert not plan.nothing_to_do


def test_two_builds_of_a_shared_image_become_one() -> None:
    """After `deploy worker --clean` the worker must not fall back to the build before."""
    facts = live_facts()
    after = deployed(facts, plan_of(facts, services=("worker",), method=Method.CLEAN))
    assert plan_of(after, services=("worker",)).nothing_to_do
    plan = plan_of(after)
    assert {s.service for s in plan.services if s.step is NEW} == {"api"}
    assert line(plan, "api").image == "sha256:api-new"


def test_an_image_that_is_not_built_is_used_as_it_is() -> None:
    nginx = line(plan_of(live_facts()), "nginx")
    assert (nginx.method, nginx.reason, nginx.step) == (None, "its image is used as it is", KEEP)


def test_a_running_service_whose_image_the_server_lost_is_built_again() -> None:
    """The container runs on, but a rollback to it, or a restart elsewhere, would find nothing."""
    plan = plan_of(live_facts(images=(image("api"),)))
    assert (line(plan, "web").method, line(plan, "web").step) == (Method.QUICK, NEW)


# --- containers that live inside another one

SIDECAR = [
    {"network_mode": "service:api"},
    {"ipc": "service:api"},
    {"pid": "service:api"},
    {"volumes_from": ["api:ro"]},
    {"depends_on": {"api": {"condition": "service_started", "restart": True}}},
]


@pytest.mark.parametrize("definition", SIDECAR, ids=lambda d: next(iter(d)))
def test_goes_with_the_container_that_it_lives_in(definition: dict[str, Any]) -> None:
    nginx = item("nginx", definition=definition)
    assert line(plan_of(live_facts(nginx)), "nginx").step is KEEP
    plan = plan_of(live_facts(nginx, edited("api", "main.py")))
    assert line(plan, "nginx").step is NEW
    assert line(plan, "nginx").step_reason == "it goes with api, which is replaced"


@pytest.mark.parametrize(
    "definition",
    [
        {"network_mode": "host"},
        {"network_mode": "container:api"},
        {"volumes_from": ["container:api"]},
        {"depends_on": {"api": {"condition": "service_healthy"}}},
    ],
    ids=["host", "a named container", "its volumes", "plain order"],
)
def test_stays_where_it_only_stands_beside(definition: dict[str, Any]) -> None:
    plan = plan_of(live_facts(item("nginx", definition=definition), edited("api", "main.py")))
    assert line(plan, "nginx").step is KEEP


def test_volumes_of_a_foreign_container_are_not_those_of_a_service_that_is_called_container() -> None:
    plan = plan_of(live_facts(item("nginx", definition={"volumes_from": ["container:x"]}), item("container")))
    assert (line(plan, "container").step, line(plan, "nginx").step) == (NEW, KEEP)


def test_its_own_reason_comes_first() -> None:
    own = item("nginx", definition={"network_mode": "service:api"}, settings="x")
    plan = plan_of(live_facts(own, edited("api", "main.py")))
    assert line(plan, "nginx").step_reason == "its Compose settings or files change"


def test_follows_through_a_chain_whatever_the_order() -> None:
    chain = (
        item("web", definition={"network_mode": "service:nginx"}),
        item("nginx", definition={"network_mode": "service:worker"}),
        item("worker", settings="x"),
    )
    plan = plan_of(live_facts(*chain))
    assert [line(plan, name).step for name in ("web", "nginx", "worker", "api")] == [NEW, NEW, NEW, KEEP]


def test_follows_a_data_service_only_when_that_is_recreated() -> None:
    facts = live_facts(
        item("api", definition={"depends_on": {"redis": {"condition": "service_healthy", "restart": True}}}),
        item("redis", settings="x"),
    )
    assert line(plan_of(facts), "api").step is KEEP
    assert line(plan_of(facts, data=True), "api").step is NEW


def test_release_services_are_kept_while_a_data_service_is_recreated() -> None:
    plan = plan_of(live_facts(item("redis", settings="x", image="redis:7.4")), data=True)
    assert {s.step for s in plan.services if s.kind is Kind.RELEASE} == {KEEP}
    assert not plan.nothing_to_do


# --- services that went


def test_a_service_that_the_compose_files_have_no_more_is_removed() -> None:
    plan = plan_of(live_facts(without=("nginx", "migrate")))
    nginx = line(plan, "nginx")
    assert (nginx.step, nginx.step_reason) == (REMOVE, "the Compose files have it no more")
    assert (nginx.kind_reason, nginx.method) == ("part of R1", None)
    assert "migrate" not in {s.service for s in plan.services}
    assert not plan.nothing_to_do


def test_data_that_the_compose_files_have_no_more_stays_and_is_told() -> None:
    plan = plan_of(live_facts(without=("redis",)))
    assert "redis" not in {s.service for s in plan.services} | {d.service for d in plan.data}
    (note,) = plan.notes
    assert note.startswith("redis is data and no longer in the Compose files")
    assert plan.nothing_to_do
    assert not plan_of(live_facts(without=("redis",), containers=containers(without=("redis",)))).notes


# --- environment


def test_environment_changes_are_told_by_key_and_source_never_by_value() -> None:
    changed = item(
        "web",
        environment=(("ADDED", "hash-1"), ("MODE", "hash-2")),
        sources=(("MODE", "envs/production.env"),),
    )
    before = recorded("web", environment=(("GONE", "hash-3"), ("MODE", "hash-of-mode")))
    live = release(services=tuple(before if s.name == "web" else s for s in release().services))
    plan = plan_of(live_facts(changed, live=live))
    assert plan.environment == (
        EnvironmentChange("web", "ADDED", "added"),
        EnvironmentChange("web", "GONE", "removed"),
        EnvironmentChange("web", "MODE", "changed", "envs/production.env"),
    )
    assert "hash-" not in repr(plan)


def test_environment_of_services_that_were_not_asked_for_is_not_told() -> None:
    facts = live_facts(item("api", environment=()))
    assert [c.service for c in plan_of(facts).environment] == ["api"]
    assert plan_of(facts, services=("web",)).environment == ()


def test_the_secret_parts_of_a_definition_do_not_reach_the_plan() -> None:
    secret = {"environment": {"PASSWORD": "hunter22"}, "command": ["serve", "--token", "hunter22"]}
    plan = plan_of(live_facts(replace(item("web"), service=service("web", definition=secret, settings="x"))))
    assert "hunter22" not in repr(plan)
