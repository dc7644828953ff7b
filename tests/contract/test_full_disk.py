"""Servers without room for an image: refused before, named after, and nothing is sent to them again."""

import random
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from allfast.agent.engine import Engine
from allfast.agent.layer_cache import LayerCache
from allfast.agent.layer_files import RESERVE
from allfast.errors import AllfastError, RefusedError, ShipError
from allfast.images.cargo import Cargo
from testbed.server import Server
from testbed.trouble import full_disk
from tests.contract.doors import Door, door, empty
from tests.contract.yard import Yard

Doors = Callable[[str], tuple[Server, Door]]
Yards = Callable[[str], Yard]


def test_no_room_is_refused_before_anything_is_sent(yards: Yards, doors: Doors) -> None:
    yard, (server, door) = yards("overlay2"), doors("overlay2")
    empty(server)
    with pytest.raises(RefusedError, match="not enough room") as caught:
        yard.ship(door, Cargo("web", yard.image("big")), free_bytes=300_000_000)
    assert "prune" in caught.value.hint
    assert server.docker("image", "ls", "--quiet", "--all").stdout == ""
    yard.ship(door, Cargo("web", yard.image("fits")), free_bytes=800_000_000)


def test_full_disk_is_named(yards: Yards) -> None:
    yard = yards("overlay2")
    server = Server(f"contract-small-{uuid.uuid4().hex[:6]}", disk="150m").start()
    try:
        with door(server) as small, pytest.raises(ShipError, match=r"web did not arrive: .*disk is full") as caught:
            yard.ship(small, Cargo("web", yard.image("full")))
        assert "no space left" in "\n".join(caught.value.evidence)
        assert "docker system df" in caught.value.hint
    finally:
        server.stop()


@pytest.mark.parametrize("there", ["overlay2", "containerd"])
def test_full_disk_sends_nothing_again(there: str, yards: Yards) -> None:
    """The base is there already: that the engine takes no more does not mean that it lacks that."""
    yard = yards("overlay2")
    server = Server(f"contract-small-{uuid.uuid4().hex[:6]}", store=there, disk="700m").start()
    try:
        with door(server) as small:
            yard.ship(small, Cargo("web", yard.image("fits")))
            image = yard.image("full", data=random.Random(3).randbytes(20_000_000))
            shipper = yard.shipper(small)
            with full_disk(server, left=10_000_000), pytest.raises(ShipError, match="disk is full") as caught:
                shipper.ship([Cargo("web", image)])
            assert "no space left" in "\n".join(caught.value.evidence)
            assert 20_000_000 < shipper.wire_bytes < 21_000_000
            yard.ship(small, Cargo("web", image))
            assert yard.shipped()[0].sent < 20_000, "it is in the layer cache"
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("free_here", "free_there", "error"),
    [(RESERVE + 50_000_000, 1 << 40, "not enough room"), (1 << 40, RESERVE - 1, "disk is full")],
)
def test_a_second_attempt_needs_room_for_all_layers(
    free_here: int, free_there: int, error: str, yards: Yards, doors: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what was free when the deploy began, and by what is free when the engine has refused."""
    yard, (server, door) = yards("overlay2"), doors("overlay2")
    empty(server)
    door.cache.clear()
    asked, stream = list[str](), Engine.stream

    def noted(engine: Engine, method: str, path: str, *args: Any, **words: Any) -> Any:
        asked.append(path)
        return stream(engine, method, path, *args, **words)

    monkeypatch.setattr(Engine, "stream", noted)
    monkeypatch.setattr(LayerCache, "free", lambda _: free_there if "/images/load" in asked else 1 << 40)
    monkeypatch.setattr(door, "claims", 2)
    shipper = yard.shipper(door, free_bytes=free_here)
    with pytest.raises(AllfastError, match=error) as caught:
        shipper.ship([Cargo("web", yard.image("claimed"))])
    assert caught.value.hint
    assert 0 < shipper.wire_bytes < 20_000, "the one layer that it is said to lack"
