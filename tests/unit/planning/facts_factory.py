"""Facts for tests of the plan, tersely: an app `chat` whose release `R1` is live, healthy and proven.

    web      built                    api      built, `before` migrates
    worker   runs the api's image     nginx    runs nginx:1.27, belongs to the release
    migrate  one-shot, api's image    redis    data, redis:7.2      db  data, postgres:16

`live_facts()` is an unchanged repeat: nothing to do. Each test changes one thing of it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from allfast.model.facts import Changes, Facts, ServiceFacts, Wishes
from allfast.model.plan import Plan, ServicePlan
from allfast.model.release import Commit, DataService, Image, Release, ReleaseService, Who
from allfast.model.server import Container, ImageAtHand, ServerFacts
from allfast.model.service import Build, BuildInputs, Kind, Method, Service
from allfast.planning.plan import make_plan

AMD = "linux/amd64"
ARM = "linux/arm64"
NOW = 1_800_000_000.0
DAY = 86400.0
COMMIT = Commit("b" * 40, "Greet", 1_799_999_000, "main", pushed=True)
OLD_COMMIT = Commit("a" * 40, "Begin", 1_799_000_000, "main", pushed=True)
WHO = Who("ann", "laptop")
IMAGES = {"nginx": "nginx:1.27", "redis": "redis:7.2", "db": "postgres:16"}
OWNERS = {"worker": "api", "migrate": "api"}
KINDS = {"redis": Kind.DATA, "db": Kind.DATA, "migrate": Kind.ONE_SHOT}
NAMES = ("web", "api", "worker", "nginx", "migrate", "redis", "db")

DATA = tuple(DataService(n, f"settings-{n}", IMAGES[n]) for n in NAMES if KINDS.get(n) is Kind.DATA)


def service(name: str, /, **changes: Any) -> Service:
    """The service as the Compose files have it; unchanged against `R1` unless told otherwise."""
    built = name in ("web", "api")
    made = Service(
        name=name,
        kind=KINDS.get(name, Kind.RELEASE),
        kind_reason="a test says so",
        settings=f"settings-{name}",
        definition={},
        build=Build(name, f"{name}/Dockerfile") if built else None,
        image=IMAGES.get(name, ""),
        built_by=OWNERS.get(name, name if built else None),
        environment=(("MODE", "hash-of-mode"),),
    )
    return replace(made, **changes)


def inputs(name: str, /, **changes: Any) -> BuildInputs:
    """What the service's image is built from; the digest is the live image's unless told otherwise."""
    made = BuildInputs(f"inputs-{name}", AMD, "", (), "d", "", (), ())
    return replace(made, **changes)


def item(name: str, /, **changes: Any) -> ServiceFacts:
    """A service with its facts; `changes` may name fields of Service, of its inputs or of ServiceFacts."""
    of_facts = {k: changes.pop(k) for k in tuple(changes) if k in ServiceFacts.__dataclass_fields__}
    of_inputs = {k: changes.pop(k) for k in ("digest", "platform", "unhashable") if k in changes}
    made = service(name, **changes)
    built = made.build is not None and made.kind is not Kind.DATA
    defaults: dict[str, Any] = {"inputs": inputs(name, **of_inputs), "changes": Changes()} if built else {}
    return ServiceFacts(made, **{**defaults, **of_facts})


def edited(name: str, /, *files: str, **changes: Any) -> ServiceFacts:
    """A built service with another inputs digest and these changes against the live release."""
    of_changes = {k: changes.pop(k) for k in tuple(changes) if k in Changes.__dataclass_fields__}
    made = Changes(files=tuple(files), **{"share": 0.01, **of_changes})
    return item(name, digest=f"inputs-{name}-2", changes=made, **changes)


def image(name: str, /, **changes: Any) -> ImageAtHand:
    """The live image of the service on the server, unless told otherwise."""
    made = ImageAtHand(
        engine_id=f"sha256:{name}-1",
        service=name,
        commit=OLD_COMMIT.sha,
        inputs=f"inputs-{name}",
        method=Method.CLEAN,
        platform=AMD,
        diff_ids=(f"layer-{name}-1",),
        created=NOW - DAY,
    )
    return replace(made, **changes)


def running(name: str, /, **changes: Any) -> Container:
    """A container as `R1` started it."""
    made = Container(
        id=f"id-{name}",
        name=f"chat-{name}-1",
        service=name,
        image=f"sha256:{OWNERS.get(name, name)}-1",
        state="running",
        health="healthy",
        settings=f"settings-{name}",
    )
    return replace(made, **changes)


def recorded(name: str, /, **changes: Any) -> ReleaseService:
    """The service as the ledger has it for `R1`."""
    owner = OWNERS.get(name, name)
    built = owner in ("web", "api")
    made = ReleaseService(
        name=name,
        kind=KINDS.get(name, Kind.RELEASE),
        settings=f"settings-{name}",
        image=Image(f"sha256:{owner}-1", f"sha256:{owner}-1", (f"layer-{owner}-1",), AMD),
        built_by=owner,
        method=Method.CLEAN,
        reason="first deploy",
        commit=OLD_COMMIT.sha,
        inputs=f"inputs-{owner}" if built else "",
        environment=(("MODE", "hash-of-mode"),),
    )
    return replace(made, **changes)


def release(**changes: Any) -> Release:
    """`R1`, live and proven."""
    made = Release(
        id="R1",
        commit=OLD_COMMIT,
        services=tuple(recorded(n) for n in NAMES if KINDS.get(n) is not Kind.DATA),
        data=DATA,
        proven=True,
    )
    return replace(made, **changes)


def server(**changes: Any) -> ServerFacts:
    """A server on which `R1` runs as recorded."""
    made = ServerFacts(
        hostname="srv",
        platform=AMD,
        engine="26.1.5",
        store="overlay2",
        clock=NOW,
        free_bytes=10**10,
        live=release(),
        containers=tuple(running(n) for n in NAMES if n != "migrate"),
        images=(image("web"), image("api")),
        data=DATA,
        image_refs=tuple((IMAGES[n], f"sha256:{n}-1") for n in IMAGES),
    )
    return replace(made, **changes)


def live_facts(*items: ServiceFacts, without: tuple[str, ...] = (), **changes: Any) -> Facts:
    """An unchanged repeat of `R1`, except for these services and these fields of Facts or ServerFacts."""
    given = {i.service.name: i for i in items}
    mine = [given.pop(n) if n in given else item(n) for n in NAMES if n not in without]
    of_facts = {k: changes.pop(k) for k in tuple(changes) if k in Facts.__dataclass_fields__}
    return Facts("chat", "production", COMMIT, (*mine, *given.values()), server(**changes), **of_facts)


def first_facts(*items: ServiceFacts, **changes: Any) -> Facts:
    """A server on which nothing was ever deployed."""
    empty = {"live": None, "containers": (), "images": (), "data": (), "image_refs": ()}
    facts = live_facts(*items, **{**empty, **changes})
    return replace(facts, services=tuple(replace(i, changes=None) for i in facts.services))


def containers(*changed: Container, without: tuple[str, ...] = ()) -> tuple[Container, ...]:
    """The containers of `R1`, those of the services in `changed` replaced by these."""
    gone = {*without, *(c.service for c in changed), "migrate"}
    return (*(running(n) for n in NAMES if n not in gone), *changed)


def beside(*changed: Container, without: tuple[str, ...] = ()) -> tuple[Container, ...]:
    """The containers of `R1` in a project of its own; data services stay in the base project."""
    data = ("redis", "db")
    return tuple(
        one if one.service in data else replace(one, release="R1", name=f"chat-R1-{one.service}-1")
        for one in containers(*changed, without=without)
    )


def plan_of(facts: Facts, **wishes: Any) -> Plan:
    """The plan for these facts."""
    return make_plan(facts, Wishes(**wishes))


def line(plan: Plan, name: str) -> ServicePlan:
    """The plan of one release service."""
    (found,) = [s for s in plan.services if s.service == name]
    return found
