"""What layers cost on the wire: bases that are there, damaged, wrong, unknown, too many, or gone."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pytest

from allfast.agent import index
from allfast.agent.archive import Layer
from allfast.agent.recipe import MOST_BASES
from allfast.events import Event, ShipProgress
from allfast.images import known_bases, progress
from allfast.images.sending import Fate
from allfast.remote.failures import AgentRefusal
from allfast.transfer.bases import Known
from allfast.transfer.known import KnownLayers
from tests.unit.images.harbour import Harbour, Laptop, name_of, transfer
from tests.unit.transfer.recipes import tree

APP = {f"app/{n}.js": random.Random(n).randbytes(3000) for n in range(200)}
LIB = {f"lib/{n}.js": random.Random(1000 + n).randbytes(3000) for n in range(200)}
OLD, NEW = tree(APP, 1), tree({**APP, "app/x": b"x"}, 2)
OLD_LIB, NEW_LIB = tree(LIB, 1), tree({**LIB, "lib/x": b"x"}, 2)
#: Bytes of a recipe where nothing but a file and the times are new.
LITTLE = 500


def short(layer: bytes) -> str:
    """The name by which a recipe and the server call a layer."""
    return name_of(layer)[7:19]


@pytest.fixture
def harbour(tmp_path: Path) -> Harbour:
    return Harbour(tmp_path / "server")


@pytest.fixture
def laptop(harbour: Harbour, tmp_path: Path) -> Laptop:
    return Laptop(harbour, tmp_path / "laptop")


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The layers that are read from the memory of a machine, as often as they are."""
    names: list[str] = []
    real = KnownLayers.find

    def find(self: KnownLayers, name: str) -> Known | None:
        names.append(name)
        return real(self, name)

    monkeypatch.setattr(KnownLayers, "find", find)
    return names


def test_a_damaged_beginning_is_made_anew_against_the_bases(harbour: Harbour, laptop: Laptop) -> None:
    """As a loss of power leaves it; nor do the layers after it lose their bases."""
    laptop.send(OLD)
    laptop.send(OLD_LIB)
    laptop.next_shipment()
    harbour.cache.part(name_of(NEW)).write_bytes(NEW[:6144] + bytes(5000))
    assert laptop.attempt(NEW) is Fate.DAMAGED
    assert laptop.send(NEW) < LITTLE
    assert laptop.send(NEW_LIB) < LITTLE


def test_what_is_known_wrong_costs_one_layer_and_is_forgotten(harbour: Harbour, laptop: Laptop) -> None:
    laptop.send(OLD)
    laptop.send(OLD_LIB)
    wrong = index.build(io.BytesIO(NEW).read)  # so all of the new layer seems to be there
    laptop.known.put(name_of(OLD), wrong, laptop.known.writer())
    laptop.next_shipment()
    assert [laptop.attempt(NEW), laptop.attempt(NEW)] == [Fate.DAMAGED, Fate.ARRIVED]
    assert laptop.sender.wire > len(NEW) // 2, "at last without any base"
    assert laptop.send(NEW_LIB) < LITTLE
    known = laptop.known.find(short(OLD))
    assert known is not None
    assert known.index.to_bytes() == index.build(io.BytesIO(OLD).read).to_bytes(), "as the server told it"
    assert harbour.asked == [short(OLD)]


def test_a_layer_that_never_arrives_is_an_error(laptop: Laptop) -> None:
    """Its bytes are not what its name says."""
    laptop.send(OLD)
    sender = laptop.sender
    other = Layer("sha256:" + "0" * 64, len(NEW), [NEW])
    sender.prepare({other.diff_id: other.size})
    assert sender.send(other, 0, lambda _: None) is Fate.DAMAGED
    sender.prepare({other.diff_id: other.size})
    with pytest.raises(AgentRefusal, match="did not arrive as it is"):
        sender.send(other, 0, lambda _: None)


@pytest.mark.parametrize("others", [3, MOST_BASES, MOST_BASES + 5])
def test_what_was_just_sent_is_a_base_whatever_else_is_in_the_cache(laptop: Laptop, others: int) -> None:
    for number in range(others):
        laptop.send(tree({f"v{number}": b"%d" % number}))
    laptop.next_shipment()
    body = random.Random(9).randbytes(200_000)
    assert laptop.send(tree({"app/x": body})) > len(body)
    assert laptop.send(tree({"srv/x": body, "y": b"1"})) < LITTLE


def test_older_layers_give_way_to_what_was_just_sent(laptop: Laptop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_bases, "ENTRIES", 2 * len(APP))
    laptop.send(OLD_LIB)
    laptop.next_shipment()
    laptop.send(OLD)
    assert laptop.send(NEW) < LITTLE
    assert laptop.send(NEW_LIB) > len(NEW_LIB) // 2, "there was no room for its older version"


def test_a_layer_of_more_parts_than_there_is_room_for_drives_nothing_out(
    laptop: Laptop, monkeypatch: pytest.MonkeyPatch, found: list[str]
) -> None:
    monkeypatch.setattr(known_bases, "ENTRIES", len(APP) + 50)
    laptop.send(OLD)
    laptop.send(tree({**APP, **LIB}))
    found.clear()
    assert laptop.send(NEW) < LITTLE
    assert short(OLD) not in found, "it did not have to be read anew"


def test_an_index_that_was_asked_for_is_remembered(harbour: Harbour, laptop: Laptop, tmp_path: Path) -> None:
    laptop.send(OLD)
    runner = Laptop(harbour, tmp_path / "runner")
    for number in range(3):  # images of one deploy
        runner.sender.prepare({f"sha256:{number:064x}": len(OLD)})
    assert harbour.asked == [short(OLD)]
    runner.next_shipment()
    assert runner.send(NEW) < LITTLE
    assert harbour.asked == [short(OLD)]


def test_an_index_that_is_too_large_is_not_asked_for(
    harbour: Harbour, laptop: Laptop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, where the server did not come to find out."""
    monkeypatch.setattr(index, "ENTRIES", len(APP) // 2)
    laptop.send(OLD)
    harbour.receiver._indexing.finish()
    harbour.cache.index_file(name_of(OLD)).unlink()
    other = Laptop(harbour, tmp_path / "other")
    for _ in range(2):
        other.next_shipment()
        other.sender.prepare({name_of(NEW): len(NEW)})
    assert harbour.asked == [short(OLD)]
    assert other.send(NEW) > len(NEW) // 2
    laptop.next_shipment()
    harbour.cache.drop(name_of(NEW))
    assert laptop.send(NEW) < LITTLE, "who sent it remembers it"


def test_an_index_of_another_version_is_asked_for_anew(harbour: Harbour, laptop: Laptop, tmp_path: Path) -> None:
    laptop.send(OLD)
    (path,) = (tmp_path / "laptop").glob("*.index")
    path.write_bytes(b"what an older allfast wrote")
    for _ in range(2):
        laptop.next_shipment()
        assert laptop.attempt(NEW) is Fate.ARRIVED
        harbour.cache.drop(name_of(NEW))
    assert laptop.sender.wire < LITTLE
    assert harbour.asked == [short(OLD)]


def test_known_layers_are_read_once_for_all_images(laptop: Laptop, found: list[str]) -> None:
    laptop.send(OLD)
    laptop.send(OLD_LIB)
    laptop.next_shipment()
    found.clear()
    assert laptop.send(NEW) < LITTLE
    assert laptop.send(NEW_LIB) < LITTLE
    assert sorted(found) == sorted([short(OLD), short(OLD_LIB)])


def test_for_a_small_layer_no_large_index_is_read(laptop: Laptop, found: list[str]) -> None:
    settings = tree({"settings": random.Random(1).randbytes(1500)}, 1)
    many = {f"modules/{n}-{random.Random(n).randbytes(12).hex()}.js": b"%d" % n for n in range(900)}
    laptop.send(tree(many, 1))
    laptop.send(settings)
    laptop.next_shipment()
    found.clear()
    assert laptop.send(tree({"settings": random.Random(1).randbytes(1500)}, 2)) < 100
    assert found == [short(settings)]
    assert laptop.send(tree(many, 2)) < LITTLE, "a larger one has it read"


def test_a_base_that_cannot_be_had_is_not_named_again(tmp_path: Path) -> None:
    images: dict[str, list[str]] = {}
    harbour = Harbour(tmp_path / "server", images)
    laptop = Laptop(harbour, tmp_path / "laptop")
    laptop.send(OLD)
    images["sha256:image"] = [name_of(OLD)]
    harbour.cache.drop(name_of(OLD))
    laptop.next_shipment()
    assert [laptop.attempt(NEW), laptop.attempt(NEW)] == [Fate.LACKING, Fate.ARRIVED]


def test_what_is_in_the_cache_is_not_read_from_the_engine(tmp_path: Path) -> None:
    """A body that both a cached layer and a cold one have; naming the cold one would fail here."""
    images: dict[str, list[str]] = {}
    harbour = Harbour(tmp_path / "server", images)
    laptop = Laptop(harbour, tmp_path / "laptop")
    laptop.send(OLD)
    images["sha256:image"] = [name_of(OLD)]
    laptop.send(tree({"copy": APP["app/0.js"]}))
    harbour.cache.drop(name_of(OLD))
    laptop.next_shipment()
    files = {"srv/0.js": APP["app/0.js"], "new": random.Random(5).randbytes(len(OLD))}
    assert laptop.attempt(tree(files)) is Fate.ARRIVED


def test_what_the_engine_alone_has_is_asked_for_by_another_machine(tmp_path: Path) -> None:
    """Where it may be an older version, and the server has kept its index."""
    small = tree({"app/x": b"x"})
    harbour = Harbour(tmp_path / "server", {"sha256:image": [name_of(OLD), name_of(OLD_LIB), name_of(small)]})
    for layer in (OLD, small):
        harbour.cache.make()
        harbour.cache.whole(name_of(layer)).write_bytes(layer)
        harbour.cache.make_index(name_of(layer), lambda: None)
        harbour.cache.whole(name_of(layer)).unlink()
    other = Laptop(harbour, tmp_path / "other")
    other.sender.prepare({name_of(NEW): len(NEW)})
    assert harbour.asked == [short(OLD)]
    assert [name.hex() for name in other.sender._known.bases.names] == [short(OLD)]


def test_chunks_count_where_there_is_room_for_so_many(laptop: Laptop, monkeypatch: pytest.MonkeyPatch) -> None:
    big = random.Random(8).randbytes(3_000_000)
    monkeypatch.setattr(known_bases, "ENTRIES", 50)
    laptop.send(tree({"big": big}))
    assert laptop.send(tree({"big": big, "more": b""})) > len(big), "its chunks are more than that"


def test_progress_tells_what_an_earlier_attempt_left(
    harbour: Harbour, laptop: Laptop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "PROGRESS_SECONDS", 0.0)
    laptop.send(OLD_LIB)
    harbour.cache.part(name_of(NEW)).write_bytes(NEW[:100_000])
    told: list[Event] = []
    transfer(laptop, NEW, told)
    shown = [event for event in told if isinstance(event, ShipProgress)]
    assert {event.found for event in shown} == {100_000}
    assert shown[-1].sent == len(NEW)
