"""Data services: they start where they are missing, change with consent only, and never go."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from allfast.model.facts import Facts
from allfast.model.plan import Finding
from allfast.model.release import DataService
from allfast.model.service import Build, Kind
from allfast.planning.databases import database, major
from tests.unit.planning.after_deploy import deployed
from tests.unit.planning.facts_factory import (
    containers,
    first_facts,
    item,
    live_facts,
    plan_of,
    running,
)

CHANGED = item("redis", settings="x", image="redis:7.4")
TUNED = item("redis", settings="x")


def stopped(**changes: Any) -> Any:
    return containers(running("redis", **{"state": "exited", "exit_code": 137, **changes}))


# the case, the facts, --data, the action, what its reason says
ROWS: list[tuple[str, Facts, bool, str, str]] = [
    ("as it was", live_facts(), False, "keep", "unchanged"),
    ("as it was, with --data", live_facts(), True, "keep", "unchanged"),
    ("first deploy", first_facts(), False, "start", "it has no container"),
    ("no container", live_facts(containers=containers(without=("redis",))), False, "start", "it has no container"),
    (
        "a one-off run only",
        live_facts(containers=containers(running("redis", one_off=True))),
        False,
        "start",
        "no container",
    ),
    ("exited", live_facts(containers=stopped()), False, "start", "chat-redis-1 is exited (exit code 137)"),
    ("created", live_facts(containers=stopped(state="created")), False, "start", "chat-redis-1 is created"),
    ("changed image", live_facts(CHANGED), False, "leave", "redis:7.2 -> redis:7.4: not without --data"),
    ("changed image, --data", live_facts(CHANGED), True, "recreate", "redis:7.2 -> redis:7.4"),
    ("changed settings", live_facts(TUNED), False, "leave", "its settings change: not without --data"),
    ("changed settings, --data", live_facts(TUNED), True, "recreate", "its settings change"),
    ("exited and changed", live_facts(CHANGED, containers=stopped()), False, "start", "redis:7.4: not without --data"),
    (
        "exited and changed, --data",
        live_facts(CHANGED, containers=stopped()),
        True,
        "recreate",
        "redis:7.2 -> redis:7.4",
    ),
    (
        "by other means",
        live_facts(CHANGED, containers=containers(running("redis", settings=""))),
        True,
        "keep",
        "by other",
    ),
    (
        "the second of two differs",
        live_facts(containers=containers(running("redis"), running("redis", name="chat-redis-2", settings="x"))),
        False,
        "leave",
        "its settings change",
    ),
    (
        "none wanted",
        live_facts(item("redis", definition={"scale": 0}), containers=containers(without=("redis",))),
        False,
        "keep",
        "it has no container, as wanted",
    ),
]


@pytest.mark.parametrize(("facts", "consent", "action", "reason"), [r[1:] for r in ROWS], ids=[r[0] for r in ROWS])
def test_action(facts: Facts, consent: bool, action: str, reason: str) -> None:
    plan = plan_of(facts, data=consent)
    (redis,) = [d for d in plan.data if d.service == "redis"]
    assert redis.action == action
    assert reason in redis.reason
    assert bool(redis.gap) == (action == "recreate")
    assert plan.nothing_to_do == (action in ("keep", "leave"))


def test_what_is_left_is_told_but_is_not_a_reason_to_deploy() -> None:
    plan = plan_of(live_facts(CHANGED))
    assert plan.nothing_to_do
    assert [d.action for d in plan.data if d.service == "redis"] == ["leave"]


# --- major versions


def of_database(plan_findings: tuple[Finding, ...]) -> list[Finding]:
    return [f for f in plan_findings if f.rule == "database"]


def upgraded(new: str, old: str = "postgres:16", **changes: Any) -> Facts:
    """R1 ran `old`; the Compose files now have `new`."""
    data = (DataService("redis", "settings-redis", "redis:7.2"), DataService("db", "settings-db", old))
    return live_facts(item("db", settings="x", image=new), data=data, image_refs=(), **changes)


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("postgres:16", "postgres:17", "another major version"),
        ("postgres:16.4-alpine", "registry.test:5000/library/postgres:17.1", "another major version"),
        ("postgres:17", "postgres:16", "another major version"),
        ("mysql:8.4", "mysql:v9.0", "another major version"),
        ("pgvector/pgvector:pg16", "pgvector/pgvector:0.8.0-pg17", "another major version"),
        ("timescale/timescaledb:2.14-pg15", "timescale/timescaledb:2.14-pg16", "another major version"),
        ("postgres", "postgres:17", "perhaps another major version"),
        ("postgres:16", "postgres:latest", "perhaps another major version"),
        ("postgres@sha256:aa", "postgres@sha256:bb", "perhaps another major version"),
        ("postgres:16", "mysql:16", "another database"),
        ("mongo:7", "busybox:7", "another database"),
    ],
)
def test_another_major_version_of_a_known_database_is_refused(old: str, new: str, what: str) -> None:
    (finding,) = of_database(plan_of(upgraded(new, old), data=True).findings)
    assert finding.level == "refuse"
    assert finding.text == f"db: {old} -> {new} is {what} on the same data folder"
    assert "--force" in finding.hint


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("postgres:16.3", "postgres:16.4-alpine"),
        ("postgres:16", "mirror.test/postgres:16"),
        ("timescale/timescaledb:2.13-pg15", "timescale/timescaledb:2.14-pg15"),
        ("postgres:latest", "postgres:latest"),
        ("redis:6", "redis:7"),
        ("example/app:1", "example/app:2"),
    ],
)
def test_the_same_major_version_or_no_known_database_is_not(old: str, new: str) -> None:
    assert not of_database(plan_of(upgraded(new, old), data=True).findings)


def test_a_major_version_is_refused_only_where_it_would_happen() -> None:
    assert not of_database(plan_of(upgraded("postgres:17")).findings), "left as it is"
    down = containers(running("db", state="exited"))
    assert not of_database(plan_of(upgraded("postgres:17", containers=down)).findings), "started as it is"
    gone = containers(without=("db",))
    assert of_database(plan_of(upgraded("postgres:17", containers=gone)).findings), "would start on the old volume"


def test_force_turns_the_refusal_into_a_warning() -> None:
    (finding,) = of_database(plan_of(upgraded("postgres:17"), data=True, force="dumped and restored").findings)
    assert finding.level == "warn"


RUNS_16 = (("postgres:16", "sha256:db-1"), ("postgres:17", "sha256:other"), ("redis:7.2", "sha256:redis-1"))


def test_the_engine_tells_the_old_version_where_the_ledger_does_not() -> None:
    """A first deploy that failed has left a running database, and no live release."""
    seventeen = item("db", settings="x", image="postgres:17")
    facts = first_facts(seventeen, containers=containers(), image_refs=RUNS_16)
    (finding,) = of_database(plan_of(facts, data=True).findings)
    assert finding.text.startswith("db: postgres:16 -> postgres:17")


def test_the_engine_is_believed_before_the_ledger() -> None:
    """Somebody has put the old database back by hand."""
    facts = upgraded("postgres:17", old="postgres:17")
    facts = replace(facts, server=replace(facts.server, image_refs=RUNS_16))
    (finding,) = of_database(plan_of(facts, data=True).findings)
    assert finding.text.startswith("db: postgres:16 -> postgres:17")


def test_of_several_names_of_the_old_image_the_wanted_one_counts() -> None:
    names = (*RUNS_16, ("aaa:1", "sha256:db-1"))
    facts = first_facts(item("db", settings="x", image="postgres:16"), containers=containers(), image_refs=names)
    assert not of_database(plan_of(facts, data=True).findings)


@pytest.mark.parametrize(
    ("image", "name", "number"),
    [
        ("postgres:17.2-alpine", "postgres", "17"),
        ("localhost:5000/postgres", "postgres", ""),
        ("bitnami/postgresql:15", "postgresql", "15"),
        ("example/postgres-backup:3", "", "3"),
        ("mongo:v7@sha256:ab", "mongo", "7"),
    ],
)
def test_reads_references(image: str, name: str, number: str) -> None:
    assert (database(image), major(image)) == (name, number)


# --- what else can go wrong


def test_a_data_service_is_not_silently_left_unbuilt() -> None:
    own = item("db", build=Build("db", "db/Dockerfile"), image="chat-db")
    (finding,) = plan_of(live_facts(own), force="now").findings
    assert (finding.rule, finding.level) == ("kind", "refuse")
    assert "db is a data service, and its image would have to be built" in finding.text


@pytest.mark.parametrize("kind", [Kind.RELEASE, Kind.ONE_SHOT])
def test_data_that_becomes_part_of_the_release_is_refused(kind: Kind) -> None:
    """A `depends_on` that came in may change a kind; release services get fresh anonymous volumes."""
    facts = live_facts(item("redis", kind=kind, kind_reason="it depends on api"))
    (finding,) = plan_of(facts).findings
    assert (finding.rule, finding.level) == ("kind", "refuse")
    assert "redis was a data service and is now part of the release (it depends on api)" in finding.text
    forced = plan_of(facts, force="it is only a cache")
    assert [f.level for f in forced.findings] == ["warn"]
    assert not plan_of(deployed(facts, forced)).findings, "said once"


def test_an_unhealthy_data_service_is_not_hidden() -> None:
    (finding,) = plan_of(live_facts(containers=containers(running("redis", health="unhealthy")))).findings
    assert (finding.level, finding.text) == ("warn", "redis: chat-redis-1 is unhealthy")
