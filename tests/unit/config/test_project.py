"""A release's stored Compose file as a project of its own, and the routes that lead to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from allfast.config.model import AllfastToml, Config
from allfast.config.project import ReleaseProject, release_project
from allfast.config.routes import routes
from allfast.errors import ConfigError
from allfast.model.release import Commit, Image, Release, ReleaseService, Strategy
from allfast.model.routing import Listen, Route, RouteSet
from allfast.model.service import Kind, Method, Service

ID = "20261122-201500-abc1234"


def made(
    services: dict[str, dict[str, Any]],
    *,
    routed: tuple[tuple[str, int], ...] = (),
    shared: dict[str, bool] | None = None,
    **top: Any,
) -> ReleaseProject:
    """The project of a release with these services (`data` is a data service)."""
    image = Image("sha256:c", "sha256:e", ("sha256:d",), "linux/amd64")
    recorded = tuple(
        ReleaseService(
            *(name, Kind.RELEASE, "s", image, name, Method.QUICK, "", "f" * 40, "i"),
            shared=(shared or {}).get(name, True),
        )
        for name in services
        if name != "data"
    )
    release = Release(
        *(ID, Commit("f" * 40, "x", 0), recorded, ()),
        strategy=Strategy.SIDE_BY_SIDE,
        routes=RouteSet(tuple(Route(service, port, "", "/", Listen("", 80)) for service, port in routed)),
    )
    return release_project(release, json.dumps({"name": "chat", "services": services, **top}))


def document(project: ReleaseProject) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(project.document)
    return found


def test_names_are_the_releases_own() -> None:
    project = made({"web": {"image": "sha256:e", "container_name": "chat-web", "labels": {"a": "b"}}, "data": {}})
    assert (project.name, project.deployment) == (f"chat-{ID}", "chat")
    assert document(project)["name"] == f"chat-{ID}"
    assert set(document(project)["services"]) == {"web"}, "data services stay in the base project"
    web = document(project)["services"]["web"]
    assert "container_name" not in web
    assert project.container_names == (("web", "chat-web"),)
    assert web["labels"] == {"a": "b", "allfast.release": ID}


RESTARTS: list[tuple[dict[str, Any], str]] = [
    ({}, "no"),
    ({"restart": "unless-stopped"}, "unless-stopped"),
    ({"restart": "on-failure:3"}, "on-failure:3"),
    ({"deploy": {"restart_policy": {"condition": "any"}}}, "always"),
    ({"deploy": {"restart_policy": {"condition": "on-failure", "max_attempts": 2}}}, "on-failure:2"),
    ({"deploy": {"restart_policy": {"condition": "none"}}}, "no"),
]


@pytest.mark.parametrize(("definition", "policy"), RESTARTS)
def test_nothing_restarts_until_the_release_is_live(definition: dict[str, Any], policy: str) -> None:
    project = made({"web": {"image": "x", **definition}})
    web = document(project)["services"]["web"]
    assert web["restart"] == "no"
    assert "restart_policy" not in web.get("deploy", {})
    assert project.restart == (("web", policy),)


def test_networks() -> None:
    """Its own networks have its own aliases; the base project's are joined without any."""
    networks = {"front": {"name": "chat_front"}, "back": {"name": "chat_back", "internal": True}}
    services: dict[str, dict[str, Any]] = {
        "web": {"networks": {"front": {"aliases": ["www"]}}},
        "api": {"networks": {"front": None, "back": None}},
        "worker": {"networks": {"back": {"ipv4_address": "10.0.0.9"}}},
        "odd": {"network_mode": "none"},
    }
    project = made(services, networks=networks)
    own = document(project)
    assert own["networks"] == {"default": {}, "inside": {"internal": True}}
    assert own["services"]["web"]["networks"] == {"default": {"aliases": ["www"]}}
    assert set(own["services"]["api"]["networks"]) == {"default", "inside"}
    assert set(own["services"]["worker"]["networks"]) == {"inside"}, "what was kept inside stays inside"
    joins = {name: [join.network for join in found] for name, found in project.joins}
    assert joins == {"web": ["chat_front"], "api": ["chat_front", "chat_back"], "worker": ["chat_back"], "odd": []}
    assert dict(project.alone)["worker"] == "it has a fixed address on network back"


def test_a_service_without_networks_is_on_the_default_one() -> None:
    top: dict[str, Any] = {
        "networks": {"default": {"name": "chat_default", "driver_opts": {"mtu": "1400"}, "ipam": {"config": [1]}}}
    }
    project = made({"web": {}}, **top)
    assert document(project)["networks"] == {"default": {"driver_opts": {"mtu": "1400"}}}, "no address range twice"
    assert [join.network for join in dict(project.joins)["web"]] == ["chat_default"]


def test_volumes_are_those_of_the_base_project() -> None:
    mounts = [{"type": "volume", "source": "uploads", "target": "/u"}, {"type": "volume", "target": "/anonymous"}]
    far = {"type": "volume", "source": "far", "target": "/f"}
    top: dict[str, Any] = {
        "volumes": {"uploads": {"name": "chat_uploads", "driver": "local"}, "far": {"name": "far", "external": True}}
    }
    project = made({"web": {"volumes": [*mounts, far]}}, **top)
    assert document(project)["volumes"] == {
        "uploads": {"name": "chat_uploads", "external": True},
        "far": {"name": "far", "external": True},
    }
    assert [(one.key, one.name) for one in project.volumes] == [("uploads", "chat_uploads")], "the far one is not made"


PORT = {"target": 8080, "published": "80", "protocol": "tcp"}
SYSLOG = {"target": 514, "published": "514", "protocol": "udp"}
ALONE: list[tuple[str, dict[str, Any], str]] = [
    ("routed", {"ports": [PORT]}, ""),
    ("not http", {"ports": [PORT, SYSLOG]}, "it publishes 514/udp, which the proxy does not carry"),
    ("host network", {"network_mode": "host"}, "network_mode is host"),
    ("joined to a peer", {"network_mode": "service:api"}, ""),
    ("device", {"devices": [{"source": "/dev/x"}]}, "it uses a device"),
    ("fixed MAC", {"mac_address": "02:42:ac:11:65:43"}, "it has a fixed MAC address"),
]


@pytest.mark.parametrize(("definition", "why"), [row[1:] for row in ALONE], ids=[row[0] for row in ALONE])
def test_what_cannot_run_twice(definition: dict[str, Any], why: str) -> None:
    project = made({"web": definition, "api": {}}, routed=(("web", 8080),))
    assert dict(project.alone).get("web", "") == why
    left = [port for port in definition.get("ports", ()) if port is not PORT]
    assert document(project)["services"]["web"].get("ports", []) == left, "the proxy listens in place of a routed one"


def test_waves() -> None:
    """What cannot run beside its predecessor waits, and so does what needs it, however far."""
    services: dict[str, dict[str, Any]] = {
        "web": {"depends_on": {"api": {}}},
        "api": {"depends_on": {"queue": {}}},
        "queue": {},
        "docs": {},
    }
    assert made(services).waves() == (("web", "api", "queue", "docs"), ())
    assert made(services, shared={"queue": False}).waves() == (("docs",), ("web", "api", "queue"))


# --- routes


def service(name: str, *ports: dict[str, Any], port: int | None = None, kind: Kind = Kind.RELEASE) -> Service:
    return Service(name, kind, "", "s", {"ports": list(ports)}, port=port)


def found(*services: Service, url: str = "", strategy: str = "side-by-side", **settings: Any) -> tuple[Route, ...]:
    target = {"host": "h", "strategy": strategy, **({"url": url} if url else {})}
    toml = AllfastToml.model_validate({"app": "chat", "targets": {"p": target}, "services": settings})
    config = Config(file=Path("/x/allfast.toml"), folder=Path("/x"), root=Path("/x"), toml=toml)
    return routes(services, config).routes


def test_the_proxies_whose_headers_are_believed_belong_to_the_routes() -> None:
    sections = {"app": "chat", "targets": {"p": {"host": "h"}}, "proxy": {"trusted_proxies": ["10.0.0.0/8", "::1"]}}
    toml = AllfastToml.model_validate(sections)
    config = Config(file=Path("/x/allfast.toml"), folder=Path("/x"), root=Path("/x"), toml=toml)
    assert routes((service("web", PORT),), config).trusted_proxies == ("10.0.0.0/8", "::1/128")
    assert routes((), config).trusted_proxies == ()
    with pytest.raises(ValidationError, match="should be a network"):
        AllfastToml.model_validate({**sections, "proxy": {"trusted_proxies": ["10.0.0.1/8"]}})


def test_a_published_port_stays_where_it_is() -> None:
    wanted = service("web", {**PORT, "host_ip": "127.0.0.1"}, port=8080)
    assert found(wanted) == (Route("web", 8080, "", "/", Listen("127.0.0.1", 80)),)


def test_what_is_not_http_has_no_route() -> None:
    mail = {"target": 25, "published": "25", "protocol": "tcp"}
    ranged = {"target": 8080, "published": "8000-8010", "protocol": "tcp"}
    raw = {"target": 9000, "published": "9000", "protocol": "tcp", "app_protocol": "tcp"}
    assert found(service("web", SYSLOG, mail, ranged, raw)) == ()
    assert found(service("data", PORT, kind=Kind.DATA)) == ()


def test_grpc_is_spoken_without_tls() -> None:
    (route,) = found(service("api", {**PORT, "app_protocol": "grpc"}))
    assert route.h2c


URLS = [
    ("", "/", Listen("", 80), ""),
    ("http://203.0.113.9:8080", "/", Listen("", 8080), ""),
    ("https://chat.example.com", "/", Listen("", 443, tls=True), "chat.example.com"),
    ("https://chat.example.com", "api.example.com/v1", Listen("", 443, tls=True), "api.example.com"),
]


@pytest.mark.parametrize(("url", "route", "listen", "host"), URLS)
def test_a_configured_route_listens_where_the_url_says(url: str, route: str, listen: Listen, host: str) -> None:
    (made,) = found(service("web", PORT, port=8080), url=url, web={"route": route})
    assert made == Route("web", 8080, host, "/" + route.partition("/")[2], listen)


def test_a_route_needs_a_port_where_there_is_a_proxy() -> None:
    with pytest.raises(ConfigError, match=r"services\.web\.route: leads nowhere: no single port of web") as caught:
        found(service("web"), web={"route": "/"})
    assert "[services.web] port" in caught.value.hint
    assert found(service("web"), strategy="recreate", web={"route": "/"}) == ()
