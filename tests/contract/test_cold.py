"""Layers that a server's cache has lost, read from its engine again: by which way, and with no room for them."""

import hashlib
import io
import random
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from allfast.agent import cold
from allfast.agent.engine import Engine
from allfast.agent.engine_store import NoRoom, Unreadable
from allfast.agent.warming import Warming
from allfast.images.cargo import Cargo
from allfast.transfer.known import KnownLayers
from testbed.server import Server
from tests.contract.doors import Door, compose_output
from tests.contract.looks import Look
from tests.contract.yard import Yard
from tests.limits import files_of_at_most
from tests.unit.transfer.recipes import tree

Doors = Callable[[str], tuple[Server, Door]]
Yards = Callable[[str], Yard]
DATA = random.Random(7).randbytes(400_000)


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("there", ["overlay2", "containerd", "bullseye"])
def test_an_emptied_cache_is_filled_from_the_engine(there: str, yards: Yards, doors: Doors) -> None:
    yard, (_, door) = yards("overlay2"), doors(there)
    data = random.Random(1).randbytes(2_000_000)
    yard.ship(door, Cargo("web", yard.image("one", data=data)))
    door.cache.clear()
    second = yard.ship(door, Cargo("web", yard.image("two", data=data)))
    assert yard.shipped()[0].layers_sent == 1
    assert second.wire_bytes < 20_000
    assert "two" in compose_output(door, second.images["web"].engine_id, "cat", f"/{yard.name}/text")


@pytest.mark.parametrize("there", ["overlay2", "containerd", "bullseye"])
def test_a_layer_on_another_base_is_read_from_the_engine_and_not_sent(there: str, yards: Yards, doors: Doors) -> None:
    """As after an upgrade of the base image, where the cache could not hold the layers above it."""
    yard, (_, door) = yards("overlay2"), doors(there)
    layer = tree({"model": random.Random(there).randbytes(800_000)})
    first, second = (yard.of_layers(tree({base: base.encode()}), layer) for base in ("before", "after"))
    yard.ship(door, Cargo("web", first))
    door.cache.clear()
    shipment = yard.ship(door, Cargo("web", second))
    assert shipment.wire_bytes < 2_000
    assert yard.shipped()[0].layers_sent == 1


@pytest.mark.parametrize("there", ["overlay2", "containerd"])
def test_what_the_engine_alone_has_is_a_base_for_another_machine_too(
    there: str, yards: Yards, doors: Doors, tmp_path: Path
) -> None:
    yard, (_, door) = yards("overlay2"), doors(there)
    data = random.Random(there).randbytes(2_000_000)
    yard.ship(door, Cargo("web", yard.image("old", data=data)))
    receiver = door.cache.receiver
    receiver._indexing.finish()
    for layer, _ in receiver.cache.layers():
        receiver.cache.whole(layer).unlink()
    image = yard.image("new", data=data[:1_000_000] + b"changed" + data[1_000_000:])
    second = yard.ship(door, Cargo("web", image), known=KnownLayers(tmp_path))
    assert yard.shipped()[0].layers_sent == 1
    assert second.wire_bytes < 200_000


@pytest.mark.parametrize("there", ["overlay2", "containerd", "bullseye"])
def test_a_server_reads_a_single_layer_by_its_store(there: str, yards: Yards, doors: Doors) -> None:
    yard, (server, door) = yards("overlay2"), doors(there)
    image = yard.ship(door, Cargo("web", yard.image("cold", base="scratch", data=DATA))).images["web"]
    look = Look(lambda *words: server.docker(*words).stdout, image.engine_id)
    (layer,) = image.diff_ids
    file = io.BytesIO()
    cold.fetch(door.engine, image.engine_id, [layer], layer, file, lambda size: size < 1_000_000)
    assert digest(file.getvalue()) == layer
    assert look.ways() == {"store"}


@pytest.mark.parametrize("there", ["overlay2", "containerd", "bullseye"])
def test_a_server_whose_store_is_not_known_saves_the_image(
    there: str, yards: Yards, doors: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the layer is found in the archive of each."""

    def unreadable(*_: object) -> None:
        raise Unreadable("another form")

    yard, (server, door) = yards("overlay2"), doors(there)
    image = yard.ship(door, Cargo("web", yard.image("saved", data=DATA))).images["web"]
    look = Look(lambda *words: server.docker(*words).stdout, image.engine_id)
    monkeypatch.setattr(cold, "_from_store", unreadable)
    layer, file = image.diff_ids[-1], io.BytesIO()
    cold.fetch(door.engine, image.engine_id, list(image.diff_ids), layer, file, lambda size: size < 1 << 30)
    assert digest(file.getvalue()) == layer
    assert look.ways() == {"save"}


@pytest.mark.parametrize("compression", ["gzip", "uncompressed", "zstd"])
def test_a_server_reads_what_was_built_on_it(compression: str, yards: Yards) -> None:
    """Its Python may have no zstd."""
    yard = yards("containerd")
    image = yard.image("there", base="scratch", data=DATA, compression=compression)
    found = yard.local.image(image)
    assert found is not None
    (layer,) = found.diff_ids
    look, file, rooms = Look(yard.local.run, image), io.BytesIO(), list[int]()

    def room(size: int) -> bool:
        rooms.append(size)
        return True

    with closing(Engine(yard.local.socket())) as engine:
        if compression == "zstd":
            with pytest.raises(Unreadable, match="not in the archive"):
                cold.fetch(engine, image, [layer], layer, file, room)
            return
        cold.fetch(engine, image, [layer], layer, file, room)
    assert digest(file.getvalue()) == layer
    assert rooms == [len(file.getvalue())]
    assert look.ways() == {"store"}


@pytest.mark.parametrize("there", ["overlay2", "containerd"])
def test_where_there_is_no_room_the_engine_is_not_asked_to_save(there: str, yards: Yards, doors: Doors) -> None:
    """That would write the whole image to the disk first."""
    yard, (server, door) = yards("overlay2"), doors(there)
    image = yard.ship(door, Cargo("web", yard.image("no room", base="scratch", data=DATA))).images["web"]
    look, file = Look(lambda *words: server.docker(*words).stdout, image.engine_id), io.BytesIO()
    with pytest.raises(NoRoom):
        cold.fetch(door.engine, image.engine_id, list(image.diff_ids), image.diff_ids[0], file, lambda _: False)
    assert "save" not in look.actions()
    assert file.getvalue() == b""


def test_without_room_for_its_base_a_layer_comes_without_it(
    yards: Yards, doors: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    yard, (_, door) = yards("overlay2"), doors("overlay2")
    yard.ship(door, Cargo("web", yard.image("one", data=DATA)))
    door.cache.clear()
    monkeypatch.setattr(Warming, "_has_room", lambda *_: False)
    second = yard.ship(door, Cargo("web", yard.image("two", data=DATA)))
    assert second.wire_bytes > len(DATA)
    assert len(door.cache.files()) == 1


def test_a_base_that_cannot_be_written_gets_its_space_back(yards: Yards, doors: Doors) -> None:
    """The disk was full before all of it was there."""
    yard, (_, door) = yards("overlay2"), doors("overlay2")
    yard.ship(door, Cargo("web", yard.image("one", data=DATA)))
    image = yard.image("two", data=DATA)
    door.cache.clear()
    with files_of_at_most(len(DATA) // 2), pytest.raises(OSError, match="File too large"):
        yard.ship(door, Cargo("web", image))
    assert door.cache.files() == set()
