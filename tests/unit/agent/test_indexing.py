"""The indexes that an agent keeps of its layers: made once, checked, bounded, gone with the layer."""

import base64
import io
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import pytest

from allfast.agent import gentle, index, outlines
from allfast.agent.engine import Engine
from allfast.agent.protocol import AgentError, Kind
from allfast.agent.receive import Receiver
from allfast.transfer.bases import Known
from tests.unit.agent.test_receive import NEW, OLD, Dock, name_of
from tests.unit.transfer.recipes import encoded, tree


class Yard(Dock):
    """A receiver whose engine has `images`: id -> diff ids."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.images: dict[str, list[str]] = {}
        self.receiver = Receiver(Engine("/nowhere"), folder, lambda: self.images)

    def indexed(self) -> set[str]:
        """The layers whose indexes are there when all are made that are to be."""
        self.receiver._indexing.finish()
        return {f"sha256:{path.stem}" for path in self.folder.glob("*.index")}


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    return Yard(tmp_path)


def test_an_index_is_the_same_on_both_ends(yard: Yard) -> None:
    yard.send(OLD)
    packed = base64.b64decode(yard.receiver.index(name_of(OLD)[7:19]))
    assert packed == index.build(io.BytesIO(OLD).read).to_bytes()
    recipe, _, _ = encoded(
        NEW, [Known(bytes.fromhex(name_of(OLD)[7:19]), index.Index.from_bytes(packed), lambda part: None)]
    )
    assert sum(map(len, recipe)) < 5000


def test_an_index_is_kept_and_serves_where_the_layer_is_needed_no_more(yard: Yard) -> None:
    """Another machine asks for it: it is not made anew, not even when the engine alone has the layer."""
    yard.send(OLD)
    assert yard.indexed() == {name_of(OLD)}
    packed = yard.receiver.index(name_of(OLD)[7:19])
    path = yard.receiver.cache.whole(name_of(OLD))
    path.write_bytes(bytes(len(OLD)))  # as nobody looks at it, nobody notices
    assert yard.receiver.index(name_of(OLD)[7:19]) == packed
    yard.receiver.trim(len(base64.b64decode(packed)))
    assert not path.exists()
    assert yard.receiver.index(name_of(OLD)[7:19]) == packed
    yard.images["image"] = [name_of(OLD)]
    assert yard.receiver.stock([])["cold"] == [[name_of(OLD)[7:19], len(OLD)]]


def test_an_index_goes_when_the_engine_has_the_layer_no_more(yard: Yard) -> None:
    yard.images["image"] = [name_of(OLD)]
    for layer in (OLD, NEW):
        yard.send(layer)
    assert yard.indexed() == {name_of(OLD), name_of(NEW)}
    yard.receiver.trim(sum(path.stat().st_size for path in yard.folder.glob("*.index")))
    assert yard.receiver.cache.layers() == []
    yard.receiver.forget()
    assert yard.indexed() == {name_of(OLD)}
    yard.images.clear()
    yard.receiver.forget()
    assert yard.indexed() == set()


def test_indexes_count_in_the_bound_of_the_cache(yard: Yard) -> None:
    yard.send(OLD)
    assert yard.indexed()
    yard.receiver.trim(0)
    assert list(yard.folder.iterdir()) == []


@pytest.mark.parametrize("harm", [lambda data: data[:-1], lambda data: data[:50] + b"?" + data[51:], lambda _: b""])
def test_an_index_that_is_damaged_is_made_anew(yard: Yard, harm: Callable[[bytes], bytes]) -> None:
    yard.send(OLD)
    yard.indexed()
    path = yard.receiver.cache.index_file(name_of(OLD))
    packed = path.read_bytes()
    path.write_bytes(harm(packed))
    assert yard.send(NEW, OLD) < 5000
    assert base64.b64decode(yard.receiver.index(name_of(OLD)[7:19])) == packed
    assert path.read_bytes() == packed


def test_an_index_of_another_layer_is_found_out(yard: Yard) -> None:
    """It would make another layer, and no attempt would be better."""
    yard.send(OLD)
    yard.indexed()
    other = tree({"first": b""}) + OLD
    path = yard.receiver.cache.index_file(name_of(OLD))
    path.write_bytes(index.build(io.BytesIO(other).read).to_bytes())
    yard.send(NEW, OLD)
    assert yard.damaged == []


def test_an_index_that_is_wrong_does_no_harm_twice(yard: Yard) -> None:
    """Whatever made it: a layer that does not come out right is the end of the indexes of its bases."""
    yard.send(OLD)
    yard.indexed()
    made = index.build(io.BytesIO(OLD).read)
    made.starts[5] += 512
    yard.receiver.cache.index_file(name_of(OLD)).write_bytes(made.to_bytes())
    with pytest.raises(AgentError) as caught:
        yard.send(NEW, OLD)
    assert caught.value.kind == Kind.BAD_DIGEST
    yard.send(NEW, OLD)
    assert yard.receiver.stock([name_of(NEW)])["whole"] == [name_of(NEW)]


def test_a_base_is_taken_apart_once(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    yard.send(OLD)
    yard.indexed()
    yard.receiver.cache.index_file(name_of(OLD)).unlink()
    taken, outline_of = [], outlines.outline_of

    def counted(file: IO[bytes]) -> outlines.Outline:
        taken.append(file.name)
        return outline_of(file)

    monkeypatch.setattr(outlines, "outline_of", counted)
    for version in range(3):
        yard.send(tree({"more": bytes([version])}) + OLD, OLD)
    assert taken == [str(yard.receiver.cache.whole(name_of(OLD)))]


@pytest.mark.parametrize("limit", ["ENTRIES", "PACKED"])
def test_an_index_that_is_too_large_is_neither_kept_nor_told(
    limit: str, yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No laptop could use it, or it would be no message; the layer is a base all the same, for who remembers it."""
    monkeypatch.setattr(index, limit, 150)
    yard.send(OLD)
    assert yard.indexed() == {name_of(OLD)}
    path = yard.receiver.cache.index_file(name_of(OLD))
    assert path.read_bytes() == index.NONE
    assert yard.receiver.stock([])["cached"] == [[name_of(OLD)[7:19], 0]]
    with pytest.raises(index.BadIndex):
        index.Index.from_bytes(base64.b64decode(yard.receiver.index(name_of(OLD)[7:19])))
    assert yard.send(NEW, OLD) < 5000
    assert path.read_bytes() == index.NONE, "nor is it made again"
    yard.images["image"] = [name_of(OLD)]
    yard.receiver.cache.whole(name_of(OLD)).unlink()
    assert yard.receiver.stock([])["cold"] == [[name_of(OLD)[7:19], 0]]


def test_a_layer_is_read_no_further_than_its_index_may_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "ENTRIES", 150)
    file = io.BytesIO(OLD)
    assert index.packed(file.read, lambda: None) == index.NONE
    assert file.tell() < len(OLD) * 0.6


def test_one_that_was_kept_before_and_is_too_large_is_not_told(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    yard.send(OLD)
    yard.indexed()
    monkeypatch.setattr(index, "PACKED", 150)
    assert base64.b64decode(yard.receiver.index(name_of(OLD)[7:19])) == index.NONE


def test_no_index_is_made_while_a_layer_is_coming(yard: Yard) -> None:
    yard.send(OLD)
    yard.indexed()
    yard.receiver.cache.index_file(name_of(OLD)).unlink()
    begun, make = threading.Event(), yard.receiver.cache.make_index

    def watched(layer: str, pause: Callable[[], None]) -> bytes:
        def begins() -> None:
            begun.set()
            pause()

        return make(layer, begins)

    yard.receiver.cache.make_index = watched  # type: ignore[method-assign]
    with yard.receiver._indexing.waits():
        yard.receiver._indexing.want(name_of(OLD))
        assert begun.wait(30)
        thread = yard.receiver._indexing._thread
        assert thread is not None
        thread.join(0.2)  # it would be done by then
        assert thread.is_alive()
    assert yard.indexed() == {name_of(OLD)}


def test_an_index_that_nobody_can_wait_for_is_given_up(yard: Yard) -> None:
    yard.send(OLD)
    yard.indexed()
    yard.receiver.cache.index_file(name_of(OLD)).unlink()
    with yard.receiver._indexing.waits():
        yard.receiver._indexing.want(name_of(OLD))
        yard.receiver.trim(1 << 30)  # the end of a deploy: nothing may grow after it
    assert yard.indexed() == set()


def test_an_index_of_a_layer_that_proves_damaged_meanwhile_is_not_kept(yard: Yard) -> None:
    yard.send(OLD)
    yard.indexed()
    cache = yard.receiver.cache
    cache.index_file(name_of(OLD)).unlink()
    cache.make_index(name_of(OLD), lambda: cache.drop(name_of(OLD)))
    assert yard.indexed() == set()
    yard.send(OLD)
    assert yard.indexed() == {name_of(OLD)}


def test_making_an_index_gives_way_to_others(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for or not."""
    nice = os.getpriority(os.PRIO_PROCESS, 0) + 1
    monkeypatch.setattr(gentle, "NICE", nice)
    yard.send(OLD)
    yard.indexed()
    yard.receiver.cache.index_file(name_of(OLD)).unlink()
    niceness: list[int] = []
    make = yard.receiver.cache.make_index

    def watched(layer: str, pause: Callable[[], None]) -> bytes:
        niceness.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        return make(layer, pause)

    yard.receiver.cache.make_index = watched  # type: ignore[method-assign]
    with ThreadPoolExecutor(1) as pool:  # a thread keeps its priority
        pool.submit(yard.receiver.index, name_of(OLD)[7:19]).result()
    yard.receiver._indexing.want(name_of(OLD))
    yard.indexed()
    assert niceness == [nice, nice]
