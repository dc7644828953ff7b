"""Preflight: what stops a deploy before anything is touched."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from allfast.config.sources import Conflict
from allfast.model.facts import Facts
from allfast.model.release import Run, Who
from allfast.model.server import LockHolder, NamedContainer, PortHolder
from allfast.model.service import Build, Kind
from allfast.planning import preflight
from tests.unit.planning.facts_factory import COMMIT, containers, item, live_facts, plan_of, running, service

RULES = dict.fromkeys(("dirty", "unpushed", "branch", "development"), "refuse")

# --- the tree


def test_a_clean_and_pushed_commit_passes() -> None:
    assert preflight.tree(replace(COMMIT, pushed=True), RULES) == ()


def test_without_a_remote_it_is_a_warning() -> None:
    """There is nowhere to push to: the rule cannot be kept, and the commit has no second copy."""
    (finding,) = preflight.tree(replace(COMMIT, pushed=None), RULES)
    assert (finding.rule, finding.level) == ("unpushed", "warn")
    assert finding.text == "this repository has no remote: bbbbbbb is on this machine alone"
    assert "git remote add" in finding.hint
    assert preflight.tree(replace(COMMIT, pushed=None), {**RULES, "unpushed": "off"}) == ()


def test_uncommitted_changes_are_named() -> None:
    (finding,) = preflight.tree(replace(COMMIT, dirty=("a.py", "b.py")), RULES)
    assert (finding.rule, finding.level) == ("dirty", "refuse")
    assert finding.text.endswith("would not be deployed: a.py, b.py")


def test_many_uncommitted_changes_are_cut_short() -> None:
    (finding,) = preflight.tree(replace(COMMIT, dirty=tuple("abcdefgh")), RULES)
    assert finding.text.endswith("a, b, c, d, e ...")


@pytest.mark.parametrize(("remote", "where"), [("origin/main", " to origin/main"), ("", "")])
def test_an_unpushed_commit_is_named(remote: str, where: str) -> None:
    (finding,) = preflight.tree(replace(COMMIT, pushed=False, remote=remote), RULES)
    assert (finding.rule, finding.text) == ("unpushed", f"bbbbbbb is not pushed{where}")
    assert finding.hint == "git push"


@pytest.mark.parametrize(("level", "count"), [("refuse", 2), ("warn", 2), ("off", 0)])
def test_each_rule_has_its_level(level: str, count: int) -> None:
    found = preflight.tree(replace(COMMIT, dirty=("a",), pushed=False), dict.fromkeys(RULES, level))
    assert [f.level for f in found] == [level] * count


# --- the branch


@pytest.mark.parametrize(
    ("wanted", "on_branch", "level", "count"),
    [
        ("", False, "refuse", 0),
        ("main", True, "refuse", 0),
        ("main", False, "refuse", 1),
        ("main", False, "warn", 1),
        ("main", False, "off", 0),
    ],
)
def test_branch(wanted: str, on_branch: bool, level: str, count: int) -> None:
    found = preflight.branch(replace(COMMIT, branch="topic"), wanted, on_branch, {"branch": level})
    assert [(f.rule, f.level) for f in found] == [("branch", level)] * count


def test_a_detached_checkout_of_a_commit_of_the_branch_is_fine() -> None:
    """CI checks out commits, not branches: `on_branch` is about the commit."""
    assert preflight.branch(replace(COMMIT, branch=""), "main", True, RULES) == ()


@pytest.mark.parametrize(("name", "where"), [("topic", "is on branch topic"), ("", "is not on that branch")])
def test_the_other_branch_is_named(name: str, where: str) -> None:
    (finding,) = preflight.branch(replace(COMMIT, branch=name), "main", False, RULES)
    assert finding.text == f"this target is deployed from branch main, and bbbbbbb {where}"


# --- development builds


def built(target: str = "", **args: str) -> Build:
    return Build("web", "web/Dockerfile", target=target, args=tuple(args.items()))


@pytest.mark.parametrize(
    ("changes", "sign"),
    [
        ({"build": built("dev")}, "build target `dev`"),
        ({"build": built("Development")}, "build target `Development`"),
        ({"build": built(NODE_ENV="development")}, "build argument NODE_ENV is `development`"),
        ({"definition": {"command": ["uvicorn", "app:app", "--reload"]}}, "command has `--reload`"),
        ({"definition": {"command": "npm run dev"}}, "command has `npm run dev`"),
        ({"definition": {"command": ["pnpm", "dev"]}}, "command has `pnpm dev`"),
        ({"definition": {"command": ["sh", "-c", "cd web && next dev -p 3000"]}}, "command has `next dev`"),
        ({"definition": {"entrypoint": ["nodemon", "server.js"]}}, "command has `nodemon`"),
        ({"definition": {"command": ["python", "manage.py", "runserver"]}}, "command has `runserver`"),
        ({"definition": {"environment": {"NODE_ENV": "development"}}}, "NODE_ENV is `development`"),
        ({"definition": {"environment": {"APP_ENV": "dev"}}}, "APP_ENV is `dev`"),
    ],
)
def test_each_sign_of_a_development_build_is_named(changes: dict[str, Any], sign: str) -> None:
    (finding,) = preflight.development((service("web", **changes),), RULES)
    assert (finding.rule, finding.level) == ("development", "refuse")
    assert finding.text == f"web: {sign}: this looks like a development build"


def test_all_signs_are_named() -> None:
    bad = {"command": "next dev", "environment": {"NODE_ENV": "development"}}
    assert len(preflight.development((service("web", build=built("dev"), definition=bad),), RULES)) == 3


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"build": built("runner", NODE_ENV="production")},
        {"definition": {"command": ["gunicorn", "--reload-engine", "auto"], "environment": {"NODE_ENV": None}}},
        {"definition": {"command": None, "entrypoint": None, "environment": {"NODE_ENV": "production"}}},
        {"definition": {"command": ["node", "server.js", "--out", "next devices"]}},
        {"kind": Kind.DATA, "definition": {"environment": {"APP_ENV": "dev"}}},
    ],
    ids=["plain", "production", "another option", "unset", "another word", "data"],
)
def test_a_production_build_passes(changes: dict[str, Any]) -> None:
    assert preflight.development((service("web", **changes),), RULES) == ()


def test_development_has_its_level() -> None:
    bad = (service("web", build=built("dev")),)
    assert preflight.development(bad, {"development": "off"}) == ()
    assert [f.level for f in preflight.development(bad, {"development": "warn"})] == ["warn"]


@pytest.mark.parametrize(("level", "count"), [("refuse", 1), ("warn", 1), ("off", 0)])
def test_folders_of_the_commit_that_are_mounted_writable_look_like_development(level: str, count: int) -> None:
    found = preflight.source_mounts((("web", "web/src"),), {"development": level})
    assert [(f.rule, f.level) for f in found] == [("development", level)] * count
    assert [f.text for f in found] == ["web: it mounts web/src of the commit writable"] * count
    assert preflight.source_mounts((), {"development": level}) == ()


# --- secrets and environment


@pytest.mark.parametrize(("level", "count"), [("refuse", 1), ("warn", 1), ("off", 0)])
def test_build_arguments_that_look_secret(level: str, count: int) -> None:
    found = preflight.build_secrets((("web", "NPM_TOKEN"),), {"build_secret": level})
    assert [(f.rule, f.level) for f in found] == [("build_secret", level)] * count
    assert [f.text for f in found] == ["web: build argument NPM_TOKEN looks secret"] * count


def test_a_key_that_two_env_files_set_differently_is_told() -> None:
    (finding,) = preflight.conflicts((Conflict("api", "MONGO_URL", ("base.env", "production.env")),))
    assert finding.level == "warn"
    assert finding.text == "api: MONGO_URL is set differently by base.env and production.env"


# --- ports


def wants(published: str | None = "8080", host_ip: str | None = None, protocol: str = "tcp") -> Any:
    port = {"mode": "ingress", "target": 80, "published": published, "protocol": protocol, "host_ip": host_ip}
    return item("web", definition={"ports": [{k: v for k, v in port.items() if v is not None}]})


def holder(host_ip: str = "0.0.0.0", port: int = 8080, protocol: str = "tcp", project: str = "other") -> PortHolder:
    return PortHolder(host_ip, port, protocol, "shop-1", project)


@pytest.mark.parametrize(
    ("wanted", "held", "collides"),
    [
        (wants(), holder(), True),
        (wants(), holder("::"), True),
        (wants(), holder("127.0.0.1"), True),
        (wants(), holder(project=""), True),
        (wants(host_ip="127.0.0.1"), holder("127.0.0.1"), True),
        (wants(host_ip="127.0.0.1"), holder(), True),
        (wants(host_ip="127.0.0.1"), holder("10.0.0.1"), False),
        (wants(), holder(project="chat"), False),
        (wants(), holder(port=8081), False),
        (wants(), holder(protocol="udp"), False),
        (wants(protocol="udp"), holder(protocol="udp"), True),
        (wants(None), holder(), False),
        (wants("8080-8090"), holder(), False),
    ],
    ids=[
        *("same", "IPv6 wildcard", "wildcard over one address", "a container of no project", "same address"),
        *("address under wildcard", "another address", "our own", "another port", "another protocol", "udp"),
        *("no host port", "a range: the engine takes a free one"),
    ],
)
def test_a_port_that_a_foreign_container_holds_is_refused(wanted: Any, held: PortHolder, collides: bool) -> None:
    found = plan_of(live_facts(wanted, ports=(held,)), force="I want it").findings
    assert [(f.rule, f.level) for f in found] == [("port", "refuse")] * collides


def test_the_holder_of_the_port_is_named() -> None:
    (finding,) = preflight.ports(live_facts(wants(), ports=(holder(), holder("::"))))
    assert finding.text == "web wants port 8080, which container shop-1 (project other) holds"
    assert "docker stop shop-1" in finding.hint


def test_a_process_that_is_in_no_container_holds_the_port() -> None:
    """Nothing can be said of who it is, so a person may know better."""
    held = replace(holder(project=""), container="")
    (finding,) = preflight.ports(live_facts(wants(), ports=(held, replace(held, host_ip="::"))))
    assert "port 8080, on which a process" in finding.text
    assert "ss -ltnp 'sport = :8080'" in finding.hint
    assert finding.forceable


def test_a_port_that_somebody_who_deploys_now_may_just_have_taken() -> None:
    """A container that is being started listens before it is listed: it is looked again under the lock."""
    held = replace(holder(project=""), container="")
    facts = live_facts(wants(), ports=(held,), lock=LockHolder(Who("ops", "ci"), 0.0, "deploy 1234567"))
    assert preflight.ports(facts) == ()


@pytest.mark.parametrize(("name", "project", "count"), [("shop", "", 1), ("shop", "chat", 0), ("other", "", 0)])
def test_a_fixed_name_that_a_foreign_container_has(name: str, project: str, count: int) -> None:
    named = item("web", definition={"container_name": "shop"})
    facts = live_facts(named, names=(NamedContainer(name, project),))
    assert [f.rule for f in plan_of(facts, force="x").findings if f.level == "refuse"] == ["name"] * count
    ours = live_facts(named, names=(NamedContainer(name, project),), containers=containers(running("web", name="shop")))
    assert preflight.names(ours) == ()


def test_nobody_is_told_to_stop_a_container_of_another_deployment() -> None:
    (finding,) = preflight.ports(live_facts(wants(), ports=(replace(holder(), deployment="tiny"),)))
    assert finding.hint == "choose another port; it is of the allfast deployment tiny"


# --- the port on which a version is asked


def test_a_version_that_has_no_port_to_be_asked_on() -> None:
    """Said before the deploy; not where Compose names a port, or the running container has exactly one."""
    asked = live_facts(asked=frozenset({"web"}))
    (finding,) = preflight.version_ports(asked)
    assert finding.level == "warn"
    assert "[services.web] port" in finding.hint
    assert preflight.version_ports(live_facts(item("web", port=3000), asked=frozenset({"web"}))) == ()
    exposing = containers(running("web", exposed=(3000,)))
    assert preflight.version_ports(live_facts(asked=frozenset({"web"}), containers=exposing)) == ()
    assert preflight.version_ports(live_facts()) == ()


# --- a ledger that was lost


def test_what_runs_without_a_live_release_is_not_taken_for_nothing() -> None:
    lost = live_facts(live=None, data=())
    (finding,) = preflight.unrecorded(lost)
    assert (finding.rule, finding.level, finding.forceable) == ("ledger", "refuse", True)
    assert finding.text == "the ledger knows no release, but containers of api, nginx, web, worker run on srv"
    assert finding in plan_of(lost).findings
    assert [f.level for f in plan_of(lost, force="it is gone").findings if f.rule == "ledger"] == ["warn"]


@pytest.mark.parametrize(
    "facts",
    [
        live_facts(),
        live_facts(live=None, containers=tuple(running(name) for name in ("redis", "db"))),
        live_facts(live=None, containers=(running("web", settings=""), running("api", state="exited"))),
        live_facts(live=None, lock=LockHolder(Who("ann", "laptop"), 0.0, "deploy")),
        live_facts(live=None, unfinished=Run(1, "deploy", Who("ann", "laptop"), 0.0, None, "", "R1")),
    ],
    ids=["the live one", "data", "a stranger's, and what has ended", "a run under way", "a run that died"],
)
def test_what_else_runs_is_no_sign_of_a_loss(facts: Facts) -> None:
    assert preflight.unrecorded(facts) == ()


def test_a_run_that_died_excuses_its_own_release_alone() -> None:
    dead = Run(1, "deploy", Who("ann", "laptop"), 0.0, None, "", "R2")
    mine, other = running("web", release="R2"), running("api", release="R1")
    (finding,) = preflight.unrecorded(live_facts(live=None, unfinished=dead, containers=(mine, other)))
    assert "containers of api run" in finding.text
