"""Layers that the server's engine alone has: brought into its cache, in place of being sent or as bases."""

from __future__ import annotations

import io
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from allfast.agent import recipe
from allfast.agent.archive import Layer
from allfast.agent.layer_cache import LayerCache
from allfast.agent.protocol import AgentError, Kind
from allfast.images.sending import WORTH_ASKING, Fate, to_warm
from allfast.remote.layers import Arrival
from allfast.transfer.bases import Bases
from allfast.transfer.encode import Encoder
from tests.unit.images.engines import BASE, FILES, LITTLE, NEW, OLD, SMALL, Engines
from tests.unit.images.harbour import Laptop, name_of
from tests.unit.transfer.recipes import known, tree


def trim(laptop: Laptop) -> None:
    """As each load does, while the next image is sent."""
    laptop.harbour.receiver._trim(0)


def test_a_missing_layer_that_the_engine_has_is_not_sent(laptop: Laptop, engine: Engines) -> None:
    """As where a base image is new under a layer that is not, and that the cache could not hold."""
    stock = laptop.sender.prepare({name_of(OLD): len(OLD)}, "chain")
    assert stock.whole == {name_of(OLD)}
    trim(laptop)
    with laptop.harbour.cache.use(name_of(OLD)) as file:
        assert file.read() == OLD
    assert laptop.send(NEW) < LITTLE, "it is a base, too"
    assert engine.read == [name_of(OLD)]


def test_a_small_one_is_sent_sooner_than_it_is_read(laptop: Laptop, engine: Engines) -> None:
    assert laptop.attempt(SMALL) is Fate.ARRIVED
    assert laptop.sender.wire > len(SMALL) // 2
    assert engine.read == []


def test_no_layer_is_made_of_itself(laptop: Laptop, engine: Engines) -> None:
    """It is about as large as another one that is missing."""
    laptop.sender.prepare({name_of(SMALL): len(SMALL), name_of(NEW): len(NEW)})
    assert laptop.sender.send(Layer(name_of(SMALL), len(SMALL), [SMALL]), 0, lambda _: None) is Fate.ARRIVED
    assert name_of(SMALL) not in engine.read


def test_one_that_cannot_be_read_is_sent(laptop: Laptop, engine: Engines) -> None:
    engine.layers.clear()
    assert laptop.send(OLD) > len(OLD) // 2
    assert engine.read.count(name_of(OLD)) == 1, "once is enough"


def test_a_layer_whose_bases_are_all_lost_is_sent_without_any(laptop: Laptop, engine: Engines) -> None:
    """There are more of them than attempts: each release that is kept has one."""
    for number in range(6):
        older = tree({**FILES, "app/x": b"x" * number}, 10 + number)
        laptop.send(older)
        engine.images[f"sha256:{number}"] = [BASE, name_of(older)]
    laptop.harbour.receiver._indexing.finish()
    laptop.harbour.cache.trim(0)
    laptop.next_shipment()
    engine.read.clear()
    engine.layers.clear()
    assert [laptop.attempt(NEW) for _ in range(3)] == [Fate.LACKING, Fate.LACKING, Fate.ARRIVED]
    assert len(engine.read) == 2


def test_what_is_asked_for_is_told_however_many_there_are(laptop: Laptop, engine: Engines) -> None:
    engine.images["sha256:older"] = [f"sha256:{number:012x}{0:052x}" for number in range(300)]
    for number in (0, 150, 299):
        layer = engine.images["sha256:older"][number]
        assert to_warm({layer: WORTH_ASKING}, laptop.harbour.stock([layer])) == [layer]
    assert to_warm({layer: WORTH_ASKING - 1}, laptop.harbour.stock([layer])) == []


@pytest.mark.parametrize("there", [True, False])
def test_a_recipe_that_makes_a_layer_of_itself_is_refused(there: bool, laptop: Laptop, engine: Engines) -> None:
    """Whether the cache has the layer or the engine; then it is sent as if nothing was there."""
    if there:
        laptop.harbour.receiver.warm(name_of(OLD))
    encoder = Encoder(Bases([known(OLD)]), 0, "zlib")
    batches = [batch.data for batch in encoder.batches(io.BytesIO(OLD).read)]
    assert sum(map(len, batches)) < LITTLE
    with pytest.raises(Exception, match="made of itself") as caught:
        laptop.harbour.receive(Arrival(name_of(OLD), len(OLD), 0, "zlib"), batches, lambda _: None, lambda: None)
    assert getattr(caught.value, "kind", "") == Kind.BAD_DIGEST


def test_a_base_that_is_being_read_is_not_trimmed(laptop: Laptop, engine: Engines) -> None:
    engine.meanwhile = lambda: trim(laptop)
    assert laptop.attempt(NEW) is Fate.ARRIVED
    assert laptop.sender.wire < LITTLE


def test_a_base_that_was_read_just_now_is_not_trimmed(
    laptop: Laptop, engine: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its last byte and its first use."""
    finish = LayerCache.finish

    def finished(cache: LayerCache, layer: str, made: Path) -> None:
        finish(cache, layer, made)
        trim(laptop)

    monkeypatch.setattr(LayerCache, "finish", finished)
    assert laptop.attempt(NEW) is Fate.ARRIVED
    assert laptop.sender.wire < LITTLE
    assert engine.read == [name_of(OLD)]


@pytest.mark.parametrize("suffix", ["fetch", "tar"])
def test_a_base_that_goes_missing_while_it_is_read_is_done_without(
    suffix: str, laptop: Laptop, engine: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it is whole, and before it is used: something else removes files there."""
    cache, finish = laptop.harbour.cache, LayerCache.finish

    def finished(cache: LayerCache, layer: str, made: Path) -> None:
        if suffix == "fetch":
            cache.fetched(name_of(OLD)).unlink(missing_ok=True)
        finish(cache, layer, made)
        cache.whole(name_of(OLD)).unlink(missing_ok=True)

    monkeypatch.setattr(LayerCache, "finish", finished)
    assert [laptop.attempt(NEW), laptop.attempt(NEW)] == [Fate.LACKING, Fate.ARRIVED]
    assert laptop.sender.wire > len(NEW) // 2
    assert not cache.begun(name_of(OLD))


def test_a_layer_that_goes_missing_while_it_comes_is_sent_again(
    laptop: Laptop, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, flush = laptop.harbour.cache, recipe.Decoder.batch

    def batch(decoder: recipe.Decoder, control: bytes, data: bytes) -> None:
        flush(decoder, control, data)
        cache.part(name_of(NEW)).unlink()
        monkeypatch.undo()

    monkeypatch.setattr(recipe.Decoder, "batch", batch)
    assert [laptop.attempt(NEW), laptop.attempt(NEW)] == [Fate.LACKING, Fate.ARRIVED]


def test_a_layer_that_comes_and_that_nobody_awaits_is_not_trimmed(
    laptop: Laptop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor where another one has filled the disk."""
    unpacked = recipe.Decoder.batch

    def batch(decoder: recipe.Decoder, control: bytes, data: bytes) -> None:
        unpacked(decoder, control, data)
        trim(laptop)
        laptop.harbour.cache.trim(0)

    monkeypatch.setattr(recipe.Decoder, "batch", batch)
    assert laptop.attempt(NEW) is Fate.ARRIVED


def test_two_that_want_the_same_layer_read_it_once(laptop: Laptop, engine: Engines) -> None:
    """As after somebody who did not wait for it: it is told as there to be read, and not as begun."""
    begun, go_on = threading.Event(), threading.Event()

    def meanwhile() -> None:
        begun.set()
        assert go_on.wait(30)

    engine.meanwhile = meanwhile
    receiver = laptop.harbour.receiver
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(receiver.warm, name_of(OLD))
        assert begun.wait(30)
        assert to_warm({name_of(OLD): len(OLD)}, laptop.harbour.stock([name_of(OLD)])) == [name_of(OLD)]
        second = pool.submit(receiver.warm, name_of(OLD))
        go_on.set()
        first.result(30)
        second.result(30)
    assert engine.read == [name_of(OLD)]


def test_what_neither_has_is_named(laptop: Laptop) -> None:
    with pytest.raises(AgentError, match="neither in the layer cache nor in an image of the engine") as caught:
        laptop.harbour.receiver.warm("sha256:" + "0" * 64)
    assert caught.value.kind == Kind.NOT_FOUND
