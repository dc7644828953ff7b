"""Send: have the layers of an image that the server's engine lacks in the server's layer cache.

Nothing else on the server changes. Each layer is checked there by its digest; a transfer that was cut off goes on where
it ended.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial

from allfast.agent.archive import chain_id
from allfast.agent.engine_store import Unreadable
from allfast.errors import ShipError
from allfast.events import Emit
from allfast.images.base_pull import BasePull
from allfast.images.cargo import DAMAGED_HINT, MISSING_HINT, UNREADABLE_HINT, Freight, layer_errors
from allfast.images.local_engine import LocalEngine
from allfast.images.pace import Pace
from allfast.images.progress import CacheAdvice, Tally, Watch, works_of
from allfast.images.race import Overtaken, Race
from allfast.images.sending import Fate, Sender
from allfast.images.stored import StoredImage, is_known
from allfast.model.release import Image
from allfast.remote.hearing import Work
from allfast.remote.layers import GoOn
from allfast.transfer.documents import Wanted
from allfast.transfer.errors import TransferError
from allfast.transfer.index import LayerIndex
from allfast.transfer.source import SavedImage

#: How often layers are sent that did not arrive: from the beginning, against the bases that are left, without any base.
ATTEMPTS = 4


@dataclass(frozen=True, slots=True)
class Sent:
    """An image whose missing layers are in the server's layer cache; `wire` bytes went for `layers` of them.

    `config` is its configuration, `sizes` are the bytes of the tars of all its layers, in order. Both are empty where
    the server's engine has the whole `image` already. The layers of `base` were not sent: the server pulls that.
    """

    config: bytes = b""
    sizes: tuple[int, ...] = ()
    wire: int = 0
    layers: int = 0
    seconds: float = 0.0
    image: Image | None = None
    base: BasePull | None = None

    def and_then(self, more: Sent) -> Sent:
        """Both together; of the second sending it is known what is in the cache now."""
        wire, layers = self.wire + more.wire, self.layers + more.layers
        return replace(more, wire=wire, layers=layers, seconds=self.seconds + more.seconds)


@dataclass(frozen=True, slots=True)
class Source:
    """Where layers are read from: the local engine, and what is known of its compressed layers."""

    local: LocalEngine
    index: LayerIndex

    def image(self, freight: Freight, *, by_store: bool) -> SavedImage | StoredImage:
        """One image's layers; out of the engine's store where `by_store` allows it, which is the shorter way."""
        name = freight.local.engine_id
        wanted = Wanted(freight.local.diff_ids, freight.local.platform, freight.config_digest)
        socket = self.local.socket() if by_store else ""
        if socket and is_known(socket):
            return StoredImage(socket, name, wanted, self.index)
        return SavedImage(lambda: self.local.saved(name), wanted, self.index)


class Stopped(Exception):  # noqa: N818 - it reads better where it is caught
    """Nothing more is to be sent: somebody else's failure, or an interrupt, has ended the shipment."""


class Transfer:
    """The layers of one shipment on their way to the server's layer cache, one image after the other.

    Args:
        stopped: once it is set, what is being sent ends with the batch under way, and nothing more begins.
        cache_limit: bytes that the server's layer cache has when all is done, at most.
    """

    def __init__(
        self,
        source: Source,
        sender: Sender,
        emit: Emit,
        tally: Tally,
        stopped: threading.Event,
        cache_limit: int,
    ) -> None:
        self._source, self._sender = source, sender
        self._advice = CacheAdvice(emit, cache_limit)
        self._emit, self._tally = emit, tally
        self._stopped = stopped
        self._mutex = threading.Lock()

    @property
    def wire(self) -> int:
        """Bytes that have gone onto the wire by now."""
        return self._sender.wire

    @property
    def pace(self) -> Pace:
        """How fast what is sent arrives, on the wire."""
        return self._sender.pace

    def send(self, freight: Freight, race: Race | None = None) -> Sent:
        """Send one image's missing layers; those that are in the cache are not sent again. From any thread.

        Raises:
            ShipError: a layer did not arrive as it is, or cannot be read here.
            Stopped: `stopped` was set.
            Overtaken: the pull that the layers are in a `race` with will be there sooner.
        """
        with self._mutex, layer_errors(freight.service):
            began, before = time.monotonic(), self._sender.wire
            try:
                image, layers = self._layers(freight, race)
                config = image.config()
            except TransferError as error:
                raise ShipError(f"{freight.service}: {error.message}", hint=error.hint or UNREADABLE_HINT) from error
            except Overtaken as error:
                error.wire = self._sender.wire - before
                raise
            sizes = tuple(image.sizes[layer] for layer in freight.local.diff_ids)
            return Sent(config, sizes, self._sender.wire - before, layers, time.monotonic() - began)

    def _layers(self, freight: Freight, race: Race | None) -> tuple[SavedImage | StoredImage, int]:
        """Have all missing layers in the server's cache; what they were read from, and how many were sent."""
        missing, by_store, sent = freight.missing, True, 0
        fates: dict[str, Fate] = {}
        go_on = partial(self._go_on, race)
        tell = works_of(freight.service, self._emit)

        def works(work: Work) -> None:
            tell(work)
            self._advice.hear(work)

        for _ in range(ATTEMPTS):
            stock = self._sender.prepare(missing, chain_id(freight.local.diff_ids), go_on, works)
            pending = missing.keys() - stock.whole
            estimates = {layer: missing[layer] for layer in pending}
            watch = Watch(freight, estimates, self._emit, self._tally, lambda: self._sender.wire, race)
            if race is not None:
                race.there(stock.whole)
            image = self._source.image(freight, by_store=by_store)
            try:
                with closing(image.layers(pending)) as layers:  # what reads them ends here, however this ends
                    for layer in layers:
                        whole = replace(layer, chunks=_until_stopped(layer.chunks, go_on))
                        begun = stock.begun.get(layer.diff_id, 0)
                        fate = self._sender.send(whole, begun, watch.of(layer, begun), go_on, works)
                        fates[layer.diff_id] = fate
                        if fate is Fate.ARRIVED:
                            pending = pending - {layer.diff_id}
                            sent += 1
            except Unreadable:
                by_store = False
                continue
            if not pending:
                watch.end()
                return image, sent
        raise _not_arrived(freight.service, min(pending), fates)

    def _go_on(self, race: Race | None) -> None:
        """Raises `Stopped` or `Overtaken` where nothing more is to be sent."""
        if self._stopped.is_set():
            raise Stopped
        if race is not None:
            race.go_on()


def _until_stopped(chunks: Iterable[bytes], go_on: GoOn) -> Iterator[bytes]:
    for chunk in chunks:
        go_on()
        yield chunk


def _not_arrived(service: str, layer: str, fates: Mapping[str, Fate]) -> ShipError:
    """Why a layer is not there after all attempts, as its last one ended."""
    if fates.get(layer) is Fate.LACKING:
        return ShipError(
            f"{service}: layers that {layer} is made from went missing on the server, in {ATTEMPTS} attempts",
            hint=MISSING_HINT,
        )
    return ShipError(
        f"{service}: layers arrived damaged {ATTEMPTS} times, the first {layer}",
        hint=DAMAGED_HINT,
    )
