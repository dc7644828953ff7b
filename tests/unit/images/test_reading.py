"""Layers that are read from the server's engine: where that fails, beside one another, and when the session ends."""

from __future__ import annotations

import errno
import io
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from allfast.agent import recipe, telling, warming
from allfast.agent.layer_cache import LayerCache
from allfast.agent.layer_files import RESERVE
from allfast.agent.protocol import AgentError, Kind
from allfast.agent.requests import Context
from allfast.agent.warming import ROOM, Warming
from allfast.events import Event, ServerWorks
from allfast.remote.hearing import Work
from allfast.remote.layers import Arrival
from allfast.transfer.bases import Bases
from allfast.transfer.encode import Encoder
from tests.unit.images.engines import NEW, OLD, SMALL, Engines
from tests.unit.images.harbour import Laptop, name_of, transfer
from tests.unit.transfer.recipes import known


@pytest.mark.parametrize("trouble", ["no room", "unreadable", "disk full"])
def test_a_layer_that_cannot_be_read_is_sent_on_from_its_beginning(
    trouble: str, laptop: Laptop, engine: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing but what was read of it is removed."""
    cache = laptop.harbour.cache
    cache.make()
    cache.part(name_of(OLD)).write_bytes(OLD[:1000])

    def full() -> None:
        raise OSError(errno.EFBIG, "File too large")

    if trouble == "no room":
        monkeypatch.setattr(Warming, "_has_room", lambda *_: False)
    elif trouble == "unreadable":
        engine.layers.clear()
    else:
        engine.meanwhile = full
    with pytest.raises(OSError if trouble == "disk full" else AgentError):
        laptop.harbour.receiver.warm(name_of(OLD))
    assert cache.begun(name_of(OLD)) == 1000
    assert cache.size() == cache.begun(name_of(OLD))
    assert laptop.harbour.stock([name_of(OLD)]).begun == {name_of(OLD): 1000}
    batches = [batch.data for batch in Encoder(Bases(), 1000, "zlib").batches(io.BytesIO(OLD).read)]
    laptop.harbour.receive(Arrival(name_of(OLD), len(OLD), 1000, "zlib"), batches, lambda _: None, lambda: None)
    assert laptop.harbour.stock([name_of(OLD)]).whole == {name_of(OLD)}


def test_what_is_being_read_is_no_beginning_and_counts(laptop: Laptop, engine: Engines) -> None:
    cache, seen = laptop.harbour.cache, list[tuple[int, int]]()
    engine.meanwhile = lambda: seen.append((cache.begun(name_of(OLD)), cache.size()))
    laptop.harbour.receiver.warm(name_of(OLD))
    assert seen == [(0, len(OLD))]
    cache.fetched(name_of(OLD)).write_bytes(OLD)  # of an agent that was killed
    cache.trim(0)
    assert cache.size() == 0


def test_it_is_told_how_far_a_layer_is_read(laptop: Laptop, engine: Engines, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that nothing is sent for, and one that a recipe names."""
    monkeypatch.setattr(telling, "EVERY", 0.001)
    heard = threading.Event()
    told: list[Work] = []

    def works(work: Work) -> None:
        told.append(work)
        if work.done:
            heard.set()

    def until_it_is_heard() -> None:
        assert heard.wait(20)

    laptop.works, engine.after = works, until_it_is_heard
    laptop.sender.prepare({name_of(OLD): len(OLD)}, works=works)
    assert (told[-1].name, told[-1].done, told[-1].total) == ("reading", len(OLD), len(OLD))
    told.clear()
    heard.clear()
    laptop.harbour.receiver._indexing.finish()
    laptop.harbour.cache.drop(name_of(OLD))
    laptop.send(NEW)
    assert (told[-1].name, told[-1].done, told[-1].total) == ("reading", len(OLD), len(OLD))
    assert engine.read == [name_of(OLD)] * 2


class Told(list[Event]):
    """Events; `read` is set when one tells of bytes that are read."""

    def __init__(self) -> None:
        super().__init__()
        self.read = threading.Event()

    def append(self, event: Event) -> None:
        """As a list does."""
        super().append(event)
        if isinstance(event, ServerWorks) and event.done:
            self.read.set()


def test_a_shipment_tells_of_it(laptop: Laptop, engine: Engines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "EVERY", 0.001)
    told = Told()
    engine.after = lambda: told.read.wait(20)
    transfer(laptop, NEW, told)
    works = [event for event in told if isinstance(event, ServerWorks)]
    assert {(event.service, event.work, event.total) for event in works if event.done} == {("web", "reading", len(OLD))}


def test_a_layer_that_is_read_has_its_beginning_no_more(laptop: Laptop) -> None:
    cache = laptop.harbour.cache
    cache.make()
    cache.part(name_of(OLD)).write_bytes(OLD[:1000])
    laptop.harbour.receiver.warm(name_of(OLD))
    assert cache.begun(name_of(OLD)) == 0


def test_the_cache_makes_room_for_what_is_read(laptop: Laptop, monkeypatch: pytest.MonkeyPatch) -> None:
    """If that can be enough; what is awaited stays."""
    laptop.send(SMALL)
    laptop.harbour.receiver._indexing.finish()
    cache = laptop.harbour.cache
    needed = int(ROOM * len(OLD)) + RESERVE
    room = needed - 1
    monkeypatch.setattr(LayerCache, "free", lambda cache: room - cache.size())
    with pytest.raises(AgentError, match="no room"):
        laptop.harbour.receiver.warm(name_of(OLD))
    assert cache.layers(), "in vain nothing is removed"
    room = needed + cache.size()
    monkeypatch.setattr(LayerCache, "free", lambda cache: room - 2 * cache.size())
    cold = laptop.harbour.receiver._warming
    cold._lost.clear()
    cold.open(name_of(OLD)[7:], lambda _: None)[1].close()
    assert [layer for layer, _ in cache.layers()] == [name_of(OLD)]


class Meeting:
    """Holds who comes to it until it is over; `came` is set when somebody has come."""

    def __init__(self) -> None:
        self.came, self.over = threading.Event(), threading.Event()

    def hold(self) -> None:
        """Come."""
        self.came.set()
        assert self.over.wait(30)


def test_a_base_that_is_there_does_not_wait_for_what_is_read(laptop: Laptop, engine: Engines) -> None:
    meeting = Meeting()
    laptop.send(SMALL)
    engine.meanwhile = meeting.hold
    receiver = laptop.harbour.receiver
    with ThreadPoolExecutor(2) as pool:
        reading = pool.submit(receiver.warm, name_of(OLD))
        assert meeting.came.wait(30)
        try:
            pool.submit(receiver.warm, name_of(SMALL)).result(5)
        finally:
            meeting.over.set()
        reading.result(30)


def receiving(laptop: Laptop, layer: bytes, base: bytes) -> Callable[[], object]:
    """Makes a layer of a base."""
    encoder = Encoder(Bases([known(base)]), 0, "zlib")
    batches = [batch.data for batch in encoder.batches(io.BytesIO(layer).read)]
    assert encoder.named
    return lambda: laptop.harbour.receive(
        Arrival(name_of(layer), len(layer), 0, "zlib"), batches, lambda _: None, lambda: None
    )


def before_bases(monkeypatch: pytest.MonkeyPatch, hook: Callable[[], object]) -> None:
    """Have a hook called when a layer is being made, before the first of its bases is looked for."""
    unpacked = recipe.Decoder.batch

    def batch(decoder: recipe.Decoder, control: bytes, data: bytes) -> None:
        hook()
        unpacked(decoder, control, data)

    monkeypatch.setattr(recipe.Decoder, "batch", batch)


def ends(work: list[Callable[[], object]]) -> list[object]:
    """What became of all of it, in threads that do not outlive a test that hangs."""
    found: list[object] = [None] * len(work)

    def run(number: int) -> None:
        try:
            found[number] = work[number]()
        except Exception as error:  # noqa: BLE001 - whatever it is
            found[number] = getattr(error, "kind", error)

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert not [thread for thread in threads if thread.is_alive()], "they wait for each other"
    return found


def test_who_waits_for_a_layer_keeps_nobody_from_its_base(
    laptop: Laptop, engine: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One thread wants to read what another one is just making, of a base that has to be read, too."""
    engine.loaded(OLD, SMALL, NEW)
    cache, began, waits = laptop.harbour.cache, threading.Event(), threading.Event()
    making = cache.making

    @contextmanager
    def watched(layer: str) -> Iterator[None]:
        if began.is_set():
            waits.set()
        with making(layer):
            yield

    monkeypatch.setattr(cache, "making", watched)

    def hook() -> None:
        began.set()
        assert waits.wait(10)

    def warm() -> None:
        assert began.wait(10)
        laptop.harbour.receiver.warm(name_of(NEW))

    before_bases(monkeypatch, hook)
    assert ends([receiving(laptop, NEW, OLD), warm]) == [(), None]
    assert engine.read == [name_of(OLD)]


def test_two_layers_that_are_made_of_each_other_do_not_wait(
    laptop: Laptop, engine: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.loaded(OLD, SMALL, NEW)
    before_bases(monkeypatch, threading.Barrier(2).wait)
    assert Kind.NOT_FOUND in ends([receiving(laptop, NEW, OLD), receiving(laptop, OLD, NEW)])


def test_the_end_of_the_connection_ends_what_is_read(laptop: Laptop, engine: Engines) -> None:
    """Its reader container would stay on the server."""
    meeting = Meeting()
    engine.meanwhile = meeting.hold
    receiver = laptop.harbour.receiver
    with ThreadPoolExecutor(2) as pool:
        reading = pool.submit(receiver.warm, name_of(OLD))
        assert meeting.came.wait(30)
        ending = pool.submit(receiver.end)
        assert receiver._warming._ending.wait(30)
        assert not ending.done()
        meeting.over.set()
        ending.result(30)
        with pytest.raises(AgentError, match="the connection ends"):
            reading.result(30)
    assert laptop.harbour.cache.size() == 0


def test_nothing_is_read_after_the_end(laptop: Laptop, engine: Engines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warming, "ENDING", 0.1)
    receiver, context = laptop.harbour.receiver, object.__new__(Context)
    context._receiver, context.unbroken = receiver, threading.Lock()
    context.rest()
    thread = threading.Thread(target=receiver.warm, args=(name_of(OLD),), daemon=True)
    thread.start()
    thread.join(0.2)
    assert engine.read == []
