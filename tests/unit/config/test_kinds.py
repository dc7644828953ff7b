"""Kinds of services: who belongs to the release, and why."""

from __future__ import annotations

from typing import Any

import pytest

from allfast.config.kinds import Judged, kinds
from allfast.model.service import Kind

DONE = {"condition": "service_completed_successfully"}
API: dict[str, Any] = {"build": {"context": "."}, "image": "app"}


def judge(services: dict[str, dict[str, Any]], **said: Kind) -> dict[str, Judged]:
    return kinds(services, said=said, texts={})


@pytest.mark.parametrize(
    ("definition", "reason"),
    [
        ({"build": {"context": "."}}, "it is built"),
        ({"image": "app"}, "it runs the image that api builds"),
        ({"image": "app:latest"}, "it runs the image that api builds"),
        ({"image": "docker.io/library/app"}, "it runs the image that api builds"),
        ({"image": "x", "depends_on": {"api": {"condition": "service_started"}}}, "it dials api (depends_on)"),
        ({"image": "x", "links": ["api:backend"]}, "it dials api (links)"),
        ({"image": "x", "network_mode": "service:api"}, "it dials api (network_mode)"),
        ({"image": "x", "environment": {"UPSTREAM": "api:8000"}}, "it dials api (environment UPSTREAM)"),
        ({"image": "x", "environment": {"UPSTREAM": "http://api"}}, "it dials api (environment UPSTREAM)"),
        ({"image": "x", "environment": {"UPSTREAM": "amqp://me:pw@api/x"}}, "it dials api (environment UPSTREAM)"),
        ({"image": "x", "command": ["proxy", "--to", "tcp://api:1"]}, "it dials api (command)"),
    ],
)
def test_release(definition: dict[str, Any], reason: str) -> None:
    assert judge({"api": API, "other": definition})["other"] == Judged(Kind.RELEASE, reason)


@pytest.mark.parametrize(
    "definition",
    [
        {"image": "redis:8"},
        {"image": "app:1.0"},
        {"image": "x", "environment": {"NAME": "api"}},
        {"image": "x", "environment": {"UPSTREAM": "my-api:8000"}},
        {"image": "x", "environment": {"UPSTREAM": "http://api.example.com"}},
        {"image": "x", "environment": {"UPSTREAM": "https://example.com/api"}},
        {"image": "x", "command": ["run", "old.api:80"]},
        {"image": "x", "depends_on": {"db": {"condition": "service_started"}}},
    ],
)
def test_data(definition: dict[str, Any]) -> None:
    found = judge({"api": API, "db": {"image": "postgres"}, "other": definition})
    assert found["other"].kind is Kind.DATA


def test_dialling_spreads() -> None:
    services: dict[str, dict[str, Any]] = {
        "edge": {"image": "caddy", "command": ["to", "front:80"]},
        "front": {"image": "nginx", "environment": {"TO": "http://backend:80"}},
        "api": {**API, "networks": {"default": {"aliases": ["backend"]}}},
    }
    assert judge(services)["edge"] == Judged(Kind.RELEASE, "it dials front (command)")


@pytest.mark.parametrize("image", ["app", "migrate/migrate"])
def test_one_shots_run_for_the_release(image: str) -> None:
    found = judge({"api": {**API, "depends_on": {"migrate": DONE}}, "migrate": {"image": image}})
    assert found["migrate"] == Judged(Kind.ONE_SHOT, "api waits for its end")


def test_one_shots_of_one_shots() -> None:
    services: dict[str, dict[str, Any]] = {
        "api": {**API, "depends_on": {"seed": DONE}},
        "seed": {"image": "tool", "depends_on": {"schema": DONE}},
        "schema": {"image": "tool"},
    }
    assert {name: one.kind for name, one in judge(services).items()} == {
        "api": Kind.RELEASE,
        "seed": Kind.ONE_SHOT,
        "schema": Kind.ONE_SHOT,
    }


def test_what_prepares_a_database_is_data() -> None:
    found = judge({"api": API, "db": {"image": "x", "depends_on": {"chown": DONE}}, "chown": {"image": "busybox"}})
    assert found["chown"].kind is Kind.DATA


def test_allfast_toml_has_the_last_word() -> None:
    services = {"api": {**API, "depends_on": {"job": DONE}}, "job": {"image": "app"}, "tool": {"image": "app"}}
    found = judge(services, job=Kind.RELEASE, tool=Kind.DATA)
    assert found["job"] == Judged(Kind.RELEASE, "allfast.toml says so")
    assert found["tool"].kind is Kind.DATA


def test_what_dials_a_service_that_is_called_data_is_data() -> None:
    found = judge({"api": API, "front": {"image": "x", "command": ["api:80"]}}, api=Kind.DATA)
    assert found["front"].kind is Kind.DATA
