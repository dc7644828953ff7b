"""Servers that have the base of an image already, as its registry gave it: compressed."""

import random
from collections.abc import Callable, Iterator

import pytest

from allfast.agent.image_store import open_image
from allfast.events import Note
from allfast.images.cargo import Cargo
from testbed.registry import Registry, reachable, registry
from testbed.server import Server
from tests.contract.doors import Door, compose_output
from tests.contract.yard import Yard

Doors = Callable[[str], tuple[Server, Door]]
Yards = Callable[[str], Yard]
BASE = "python:3.13-slim"
DATA = random.Random(8).randbytes(400_000)
#: Bytes: fewer than the base takes as a recipe.
WHOLE = 10_000_000


@pytest.fixture(scope="module")
def hub() -> Iterator[Registry]:
    """A registry with the base."""
    with registry() as running:
        yield running


def pulled(server: Server, door: Door, hub: Registry) -> str:
    """Have the server pull the base; its name there. What its engine keeps of it in a store of blobs is compressed."""
    reference = hub.push(BASE, "base:1")
    with reachable(server, hub.port, hub.port):
        server.docker("pull", "--quiet", reference)
    found = door.engine.get(f"/images/{reference}/json")
    if server.store == "containerd":
        layers = found["RootFS"]["Layers"]
        with open_image(door.engine, found["Id"], layers) as stored:
            assert {stored.size(number) for number in range(len(layers))} == {None}, "only unpacking it can tell"
    return reference


@pytest.mark.parametrize("there", ["overlay2", "containerd"])
def test_an_image_on_a_base_that_was_pulled(there: str, yards: Yards, doors: Doors, hub: Registry) -> None:
    """A graph driver has the base's layers. The containerd store has them compressed, so that no archive can refer to
    them, and in no image of the deployment's, from which alone a server reads layers: there they are sent, once."""
    yard, (server, door) = yards("overlay2"), doors(there)
    base = pulled(server, door, hub)

    def ship(text: str) -> int:
        shipment = yard.ship(door, Cargo("web", yard.image(text, base=BASE, data=DATA)))
        image = shipment.images["web"]
        assert not [event for event in yard.events if isinstance(event, Note)], "known at once, and not by a refusal"
        assert text in compose_output(door, image.engine_id, "cat", f"/{yard.name}/text")
        return shipment.wire_bytes

    first = ship("one")
    told = yard.shipped()[0]
    if there == "containerd":
        assert (told.layers_sent, told.layers) == (3, 3)
        assert first > WHOLE
    else:
        assert (told.layers_sent, told.layers) == (1, 3)
        assert first < 2 * len(DATA)
    assert ship("two") < 20_000
    server.docker("image", "rm", base)
    assert ship("three") < 20_000, "what was pulled is gone, and nobody needed it"
    door.cache.clear()
    assert ship("four") < 20_000
