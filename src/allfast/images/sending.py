"""Layers on their way to a server's layer cache, as recipes against what that has (transfer/, agent/receive.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Protocol

from allfast.agent.archive import Layer
from allfast.agent.index import BadIndex
from allfast.agent.protocol import Kind
from allfast.agent.receive import short
from allfast.images.known_bases import KnownBases
from allfast.images.pace import Pace
from allfast.remote.failures import AgentRefusal
from allfast.remote.hearing import Works, unheard
from allfast.remote.layers import Arrival, Found, GoOn, Loaded, Stock
from allfast.transfer.bases import Bases
from allfast.transfer.encode import Chunks, Encoder
from allfast.transfer.errors import TransferError
from allfast.transfer.known import KnownLayers
from allfast.transfer.pack import choose

#: A layer of at least that many bytes is worth having the server look for older versions: read them from its engine, or
#: tell their indexes.
WORTH_ASKING = 1 << 18
#: How many indexes are asked for, at most, and how much larger or smaller than a layer its older version may be.
ASKED, SIMILAR = 8, 4


class Cache(Protocol):
    """What sending needs of a server's layer cache (remote.layers.LayerRequests).

    `go_on` is asked now and then while the server is waited for, and may raise. `works` hears what it is at.
    """

    def expect(self, diff_ids: Sequence[str], chain: str) -> None:
        """What is there of these layers stays until the image whose layers are that `chain` is loaded."""

    def stock(self, diff_ids: Sequence[str], chain: str = "") -> Stock:
        """What the cache has. They stay there until the image whose layers are that `chain` is loaded."""

    def index(self, name: str, go_on: GoOn) -> bytes:
        """The packed index of a cached layer."""

    def warm(self, layer: str, go_on: GoOn, works: Works) -> None:
        """Have the server read a layer from its engine into its cache."""

    def receive(
        self, arrival: Arrival, batches: Iterable[bytes], made: Callable[[int], None], go_on: GoOn, works: Works
    ) -> tuple[str, ...]:
        """Send a layer's recipe; the bases that proved damaged."""

    def load(self, config: bytes, sizes: Sequence[int], layers: Sequence[int], limit: int, works: Works) -> Loaded:
        """Load an image with those layers."""

    def find(self, ids: Sequence[str], diff_ids: Sequence[str]) -> Found | None:
        """The image under one of these ids, if it has these layers."""

    def name(self, names: Mapping[str, str]) -> None:
        """Give images of the engine their names: reference -> engine id."""


def to_warm(missing: Mapping[str, int], stock: Stock) -> list[str]:
    """The missing layers (diff id -> about how many bytes) that the server is to read from its engine: none is sent."""
    cold = {name for name, _ in stock.cold}
    return [layer for layer, size in missing.items() if size >= WORTH_ASKING and short(layer) in cold]


class Fate(Enum):
    """What became of a layer that was sent; where it did not arrive it has to be sent once more."""

    ARRIVED = "arrived"
    DAMAGED = "damaged"  # it, its beginning, or a base of it
    LACKING = "lacking"  # a base that the server was said to have was not there


class Sender:
    """Sends the layers of one shipment, one image after the other. What was sent is a base for what comes after it."""

    def __init__(self, cache: Cache, known: KnownLayers) -> None:
        self._cache = cache
        self._memory = known
        self._known = KnownBases(known)
        self._cached: list[str] = []
        self._plain: set[str] = set()  # layers that go without bases
        self._lacking: set[str] = set()  # layers that a base was not there of
        self._codec = choose(())
        self.wire = 0
        self.pace = Pace()

    def prepare(
        self, missing: Mapping[str, int], chain: str = "", go_on: GoOn = lambda: None, works: Works = unheard
    ) -> Stock:
        """Learn what the server has, when it has brought into its cache what its engine has of the missing layers.

        `missing`: the layers to be sent, and about how many bytes they have; `chain`: all layers of the image that they
        are to be loaded for. `go_on` is asked now and then while the server works, and may raise; `works` hears what it
        is at.
        """
        stock = self._cache.stock(list(missing), chain)
        cold_ones = to_warm(missing, stock)
        for layer in cold_ones:
            self._warm(layer, go_on, works)
        if cold_ones:
            stock = self._cache.stock(list(missing), chain)
        self._codec = choose(stock.codecs)
        self._cached = [name for name, _ in stock.cached]
        own = {short(layer) for layer in missing}  # no layer is made of itself
        cold = [one for one in stock.cold if one[0] not in own]
        self._known.keep({*self._cached, *(name for name, _ in cold)})
        wanted = [size for layer, size in missing.items() if layer not in stock.whole and size >= WORTH_ASKING]

        def suits(size: int) -> bool:
            return _similar(size, wanted)

        used = [name for name in self._cached if self._known.read(name, sum(wanted))]
        used += [name for name, _ in cold if wanted and self._known.read(name, sum(wanted), suits)]
        told = [name for name, size in (*stock.cached, *cold) if size and suits(size)]
        unknown = [name for name in told if not self._known.has(name)]
        used += [name for name in unknown[:ASKED] if self._ask(name, go_on)]
        self._known.use(used)
        return stock

    def send(
        self,
        layer: Layer,
        begun: int,
        made: Callable[[int], None],
        go_on: GoOn = lambda: None,
        works: Works = unheard,
    ) -> Fate:
        """Send one layer, of which `begun` bytes are there.

        `made` is told how many of its bytes are there; `go_on` is asked now and then while the server is waited for,
        and may raise; `works` hears what that is at. Raises `AgentRefusal` where it cannot arrive.
        """
        begun = min(begun, layer.size - 1)  # what is whole was not checked there yet: one byte comes again
        bodies = self._memory.writer()
        encoder = Encoder(self._bases(layer), begun, self._codec, bodies.keep)
        arrival = Arrival(layer.diff_id, layer.size, begun, self._codec)

        def arrived(at: int) -> None:
            self.pace.arrives()
            made(at)

        try:
            with self.pace.running():
                if self._cache.receive(arrival, self._batches(encoder, layer), arrived, go_on, works):
                    return Fate.DAMAGED
            self._known.add_sent(self._memory.put(layer.diff_id, encoder.index, bodies))
        except AgentRefusal as error:
            return self._refused(layer, begun, encoder, error)
        finally:
            bodies.close()
        return Fate.ARRIVED

    def _bases(self, layer: Layer) -> Bases:
        """What a layer's recipe may refer to."""
        if layer.diff_id in self._plain:
            return Bases()
        for name in self._cached:
            if self._known.read(name, layer.size):  # what is smaller than an index is sent sooner than that is read
                self._known.refer_to(name)
        return self._known.bases

    def _refused(self, layer: Layer, begun: int, encoder: Encoder, error: AgentRefusal) -> Fate:
        """A layer did not arrive, though the bases that are there are right; the server has dropped its beginning."""
        plain = layer.diff_id in self._plain
        if error.kind == Kind.NOT_FOUND and not plain:
            if layer.diff_id in self._lacking:  # a server that has no room for one base has none for the others
                self._plain.add(layer.diff_id)
            self._lacking.add(layer.diff_id)
            return Fate.LACKING
        if error.kind != Kind.BAD_DIGEST or (plain and not begun):
            raise error
        if not begun:  # then what is known here of the bases is wrong
            self._plain.add(layer.diff_id)
            self._known.forget(name.hex() for name in encoder.named)
        return Fate.DAMAGED

    def _batches(self, encoder: Encoder, layer: Layer) -> Iterator[bytes]:
        """A layer's recipe, counted."""
        for batch in encoder.batches(Chunks(layer.chunks).read):
            self.wire += len(batch.data)
            self.pace.leaves(len(batch.data))
            yield batch.data
        if encoder.index.size != layer.size:  # the server would wait for the rest
            raise TransferError(f"layer {layer.diff_id} has {encoder.index.size} bytes, and not {layer.size}")

    def _warm(self, layer: str, go_on: GoOn, works: Works) -> None:
        """Have the server read a layer from its engine, if it can."""
        try:
            self._cache.warm(layer, go_on, works)
        except AgentRefusal as error:
            if error.kind != Kind.NOT_FOUND:
                raise

    def _ask(self, name: str, go_on: GoOn) -> bool:
        """Ask for the index of a layer that another machine sent, and remember it; whether it can be used."""
        try:
            return self._known.add(self._memory.learn(name, self._cache.index(name, go_on)))
        except (AgentRefusal, BadIndex):
            return False


def _similar(size: int, others: Iterable[int]) -> bool:
    """Whether a layer may be an older version of one of the others, as far as its bytes tell."""
    return any(size <= other * SIMILAR and other <= size * SIMILAR for other in others)
