"""Whatever ships images is told of both disks of the server."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from allfast.images.local_engine import LocalEngine
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
        return SimpleNamespace(wire_bytes=0)

    monkeypatch.setattr(outgoing, "Shipper", note)
    monkeypatch.setattr(foreign_images, "ensure_data_image", note)
    return words


def test_of_what_is_built(context: Context, asked: dict[str, Any]) -> None:
    snapshot = SimpleNamespace(facts=SimpleNamespace(server=SERVER), local=None, sources=SimpleNamespace(images={}))
    plan = SimpleNamespace(services=())
    with outgoing.begun(context, cast("Snapshot", snapshot), cast("Any", plan), "R2"):
        assert (asked["free_bytes"], asked["state_free_bytes"]) == (5, 7)


def test_of_what_nobody_builds(context: Context, asked: dict[str, Any]) -> None:
    foreign_images.bring(context, "redis:7", "redis", cast("LocalEngine", None), SERVER)
    assert (asked["free_bytes"], asked["state_free_bytes"]) == (5, 7)
