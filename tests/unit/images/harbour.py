"""A server's layer cache in this process, as a laptop sees it: the agent's own receiver, without the line between."""

from __future__ import annotations

import base64
import hashlib
import io
import itertools
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

from allfast.agent import cold
from allfast.agent.archive import Layer
from allfast.agent.engine import Engine
from allfast.agent.layer_cache import LayerCache
from allfast.agent.protocol import AgentError
from allfast.agent.receive import Receiver
from allfast.agent.warming import Fetch
from allfast.events import Event
from allfast.images.cargo import Freight
from allfast.images.local_engine import LocalEngine, LocalImage
from allfast.images.progress import Tally
from allfast.images.sending import Fate, Sender
from allfast.images.ship import CACHE_LIMIT
from allfast.images.to_cache import Source, Transfer
from allfast.remote.failures import from_agent
from allfast.remote.hearing import Work, Works, unheard
from allfast.remote.layers import Arrival, Found, GoOn, Loaded, Stock
from allfast.transfer.documents import Wanted
from allfast.transfer.index import LayerIndex
from allfast.transfer.known import KnownLayers
from allfast.transfer.source import SavedImage
from tests.unit.transfer.streams import Stream, config_of, layout


def name_of(layer: bytes) -> str:
    """A layer's diff id."""
    return "sha256:" + hashlib.sha256(layer).hexdigest()


class Harbour:
    """The layer cache in one folder; `asked` are the layers whose index was asked for, by the names that it gave them.

    Its engine does not answer, though it is said to have these `images` (id -> diff ids); layers of them are had by
    `fetch`.
    """

    def __init__(self, folder: Path, images: Mapping[str, list[str]] | None = None, fetch: Fetch = cold.fetch) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.receiver = Receiver(Engine("/nowhere"), folder, lambda: dict(images or {}), fetch)
        self._streams = itertools.count(1)
        self.asked: list[str] = []

    @property
    def cache(self) -> LayerCache:
        """The files."""
        return self.receiver.cache

    def expect(self, diff_ids: Sequence[str], chain: str) -> None:
        """As `LayerRequests` has it."""
        self.receiver.expect(list(diff_ids), chain)

    def stock(self, diff_ids: Sequence[str], chain: str = "") -> Stock:
        """As `LayerRequests` has it."""
        told = self.receiver.stock(list(diff_ids), chain)
        cached, cold = (tuple((name, size) for name, size in told[kind]) for kind in ("cached", "cold"))
        return Stock(frozenset(told["whole"]), told["begun"], cached, cold, tuple(told["codecs"]), told["free"])

    def index(self, name: str, go_on: GoOn) -> bytes:
        """As `LayerRequests` has it."""
        self.asked.append(name)
        try:
            return base64.b64decode(self.receiver.index(name))
        except AgentError as error:
            raise from_agent("harbour", error.to_json()) from error

    def warm(self, layer: str, go_on: GoOn, works: Works = unheard) -> None:
        """As `LayerRequests` has it; it never has to wait."""
        try:
            self.receiver.warm(layer, as_note(works))
        except AgentError as error:
            raise from_agent("harbour", error.to_json()) from error

    def receive(
        self,
        arrival: Arrival,
        batches: Iterable[bytes],
        made: Callable[[int], None],
        go_on: GoOn,
        works: Works = unheard,
    ) -> tuple[str, ...]:
        """As `LayerRequests` has it; one batch at a time is under way."""
        stream, to_come = next(self._streams), iter(batches)

        def come() -> None:
            self.receiver.batch(stream, io.BytesIO(next(to_come, b"")))

        def note(told: dict[str, Any]) -> None:
            if "at" in told:
                made(told["at"])
                come()
            else:
                as_note(works)(told)

        with ThreadPoolExecutor(1) as pool:
            pool.submit(come).result()
            about = (arrival.layer, arrival.size, arrival.begin, arrival.codec)
            try:
                return tuple(self.receiver.receive(stream, *about, note)["damaged"])
            except AgentError as error:
                raise from_agent("harbour", error.to_json()) from error

    def load(self, config: bytes, sizes: Sequence[int], layers: Sequence[int], limit: int, works: Works) -> Loaded:
        """There is no engine."""
        raise NotImplementedError

    def find(self, ids: Sequence[str], diff_ids: Sequence[str]) -> Found | None:
        """There is no engine, so no image."""
        return None

    def name(self, names: Mapping[str, str]) -> None:
        """There is no engine."""
        raise NotImplementedError


def as_note(works: Works) -> Callable[[dict[str, Any]], None]:
    """Hears what a receiver notes of its work, at once."""
    return lambda note: works(Work(note["work"], note["done"], note["total"], note["seconds"]))


class Laptop:
    """A machine that sends to a harbour; each `Sender` of it is one shipment."""

    def __init__(self, harbour: Harbour, folder: Path) -> None:
        self.harbour, self.known = harbour, KnownLayers(folder)
        self.sender = Sender(harbour, self.known)
        self.works: Works = unheard

    def next_shipment(self) -> None:
        """What the last one had in memory is gone."""
        self.sender = Sender(self.harbour, self.known)

    def attempt(self, layer: bytes) -> Fate:
        """Send a layer once, as an image of its own."""
        stock = self.sender.prepare({name_of(layer): len(layer)}, works=self.works)
        begun = stock.begun.get(name_of(layer), 0)
        return self.sender.send(Layer(name_of(layer), len(layer), [layer]), begun, lambda _: None, works=self.works)

    def send(self, layer: bytes) -> int:
        """Send a layer until it is there; how many bytes went for it."""
        before = self.sender.wire
        while self.attempt(layer) is not Fate.ARRIVED:
            pass
        return self.sender.wire - before


class Saved(Source):
    """An image of these layers, as `docker save` gives it; there is no engine."""

    def __init__(self, *layers: bytes) -> None:
        super().__init__(cast("LocalEngine", None), LayerIndex())
        object.__setattr__(self, "stream", layout(list(layers), config_of(list(layers))))

    __slots__ = ("stream",)
    stream: Stream

    def image(self, freight: Freight, *, by_store: bool) -> SavedImage:
        """The image, whatever is asked for."""
        return SavedImage(self.stream.opener(), Wanted(freight.local.diff_ids, freight.local.platform), self.index)


def transfer(laptop: Laptop, layer: bytes, told: list[Event]) -> None:
    """Send an image that has one layer."""
    work = Transfer(Saved(layer), laptop.sender, told.append, Tally(), threading.Event(), CACHE_LIMIT)
    work.send(freight(layer))


def freight(layer: bytes) -> Freight:
    """An image that has one layer."""
    local = LocalImage("sha256:web", "linux/amd64", (name_of(layer),), {}, (), 0.0, len(layer))
    return Freight("web", local, "", (len(layer),), 0)
