"""Whatever ships images is told of both disks of the server."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from allfast.images import data_images, server_images
from allfast.images.local_engine import LocalEngine, LocalImage
from allfast.images.ship import Shipment
from allfast.pipeline import foreign_images, outgoing
from allfast.pipeline.context import Context
from allfast.pipeline.facts import Snapshot
from tests.unit.planning.facts_factory import server

SERVER = server(free_bytes=5, state_free_bytes=7)


@pytest.fixture
def context() -> Context:
    """As much of one as a shipment needs before anything is sent."""
    config = SimpleNamespace(toml=SimpleNamespace(layer_cache=1))
    project = SimpleNamespace(config=config, target=SimpleNamespace(pull_bases=False), deployment="chat")
    return cast("Context", SimpleNamespace(project=project, server=None, emit=None, wire_bytes=0))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a shipment is begun with."""
    words: dict[str, Any] = {}

    def note(*_: object, **more: Any) -> SimpleNamespace:
        words.update(more)
        return SimpleNamespace(wire_bytes=0, ship=lambda _: Shipment({}, 9))

    monkeypatch.setattr(outgoing, "Shipper", note)
    monkeypatch.setattr(data_images, "Shipper", note)
    return words


def test_of_what_is_built(context: Context, asked: dict[str, Any]) -> None:
    snapshot = SimpleNamespace(facts=SimpleNamespace(server=SERVER), local=None, sources=SimpleNamespace(images={}))
    plan = SimpleNamespace(services=())
    with outgoing.begun(context, cast("Snapshot", snapshot), cast("Any", plan), "R2"):
        assert (asked["free_bytes"], asked["state_free_bytes"]) == (5, 7)


def test_of_what_nobody_builds(context: Context, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """What was sent before it has taken room since the plan was made: the server is asked anew for each of them."""
    room = iter((server(free_bytes=5, state_free_bytes=7), server(free_bytes=3, state_free_bytes=4)))
    context.server = cast("Any", SimpleNamespace(engine=None, facts=lambda: next(room)))
    context.emit = lambda _: None
    local = SimpleNamespace(image=lambda _: LocalImage("sha256:1", SERVER.platform, ("a",), {}, (), 0.0, 1))
    monkeypatch.setattr(server_images, "inspect", lambda *_: None)
    monkeypatch.setattr(server_images, "pull", lambda *_: "no way to the registry")
    for name, free in (("nginx", (5, 7)), ("redis", (3, 4))):
        foreign_images.bring(context, f"{name}:7", name, cast("LocalEngine", local), SERVER.platform)
        assert (asked["free_bytes"], asked["state_free_bytes"]) == free
    assert context.wire_bytes == 18


def test_what_is_there_is_asked_no_room_for(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    context.server = cast("Any", SimpleNamespace(engine=None, facts=lambda: pytest.fail("it was asked")))
    there = {"Os": "linux", "Architecture": "amd64"}
    monkeypatch.setattr(server_images, "inspect", lambda *_: there)
    foreign_images.bring(context, "redis:7", "redis", cast("LocalEngine", None), SERVER.platform)
    assert context.wire_bytes == 0
