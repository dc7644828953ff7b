"""What a plan learns of the proxy from one look."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest

from allfast.model.release import Strategy
from allfast.model.routing import Listen, Route, RouteSet
from allfast.pipeline import edge_look
from allfast.pipeline.context import Context, Project
from allfast.proxy.edge import Edge
from allfast.redact import Redactor
from allfast.remote.proxy import ProxyContainer, ProxyState
from allfast.remote.server import Server

ROUTES = RouteSet((Route("web", 8080, "", "/", Listen("", 80)),))
RUNS = ProxyContainer("1", "allfast-proxy", True, 0, "caddy:2", (("", 80),), "/state")


@pytest.mark.parametrize(
    ("containers", "image"),
    [
        pytest.param((), "caddy:2", id="there is none: create"),
        pytest.param((replace(RUNS, ports=(("", 443),)),), "caddy:2", id="another port: recreate"),
        pytest.param((replace(RUNS, running=False),), "", id="it is stopped: start"),
        pytest.param((RUNS,), "", id="it serves as it is"),
    ],
)
def test_the_image_is_needed_where_a_container_is_made(
    containers: tuple[ProxyContainer, ...], image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = ProxyState("/state", None, False, True, containers, (), {}, {}, (), key="", running={"apps": {}})
    server = cast(Server, SimpleNamespace(releases=tuple, containers=tuple, proxy=SimpleNamespace(look=lambda: state)))
    toml = SimpleNamespace(proxy=SimpleNamespace(image="caddy:2"))
    project = cast(Project, SimpleNamespace(deployment="chat", config=SimpleNamespace(toml=toml)))
    monkeypatch.setattr(edge_look, "of", lambda _: Edge(server, "chat", "caddy:2"))
    context = Context(project, server, lambda _: None, Redactor())
    assert edge_look.survey(context, Strategy.SIDE_BY_SIDE, ROUTES, (), None).image == image
    assert edge_look.survey(context, Strategy.RECREATE, ROUTES, (), None).image == ""
