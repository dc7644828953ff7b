"""Ship: bring a release's images to the server, only the layers that it lacks, and check by digest that they are there.

In two: an image is *sent* when the layers that the server's engine lacks are in the server's layer cache (to_cache.py),
and *loaded* when the engine has it and it has its name (to_engine.py).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from allfast.agent.archive import chain_id
from allfast.events import Emit, Note, Shipped
from allfast.images import to_engine
from allfast.images.base_layers import Bases
from allfast.images.cargo import LOST, Cargo, Destination, Freight, engine_errors, layer_errors, look
from allfast.images.local_engine import LocalEngine
from allfast.images.progress import Tally, works_of
from allfast.images.pulls import Pulls
from allfast.images.room import Room
from allfast.images.sending import Sender
from allfast.images.to_cache import Sent, Source, Transfer
from allfast.model.release import Image
from allfast.remote.failures import AgentRefusal
from allfast.transfer.index import LayerIndex, user_cache
from allfast.transfer.known import KnownLayers

#: Bytes of the server's layer cache.
CACHE_LIMIT = 2 << 30


@dataclass(frozen=True, slots=True)
class Shipment:
    """The images as they are on the server, by service, and the bytes that went there."""

    images: Mapping[str, Image]
    wire_bytes: int


class Shipper:
    """One shipment to one server. Images are prepared from any thread, and one may be sent while another is loaded.

    Args:
        platform: the server's, as `linux/amd64`; an image of another one is never sent.
        tag: service -> the name for people that its image gets on the server, as `chat/web:20260101-120000-abcdef0`.
        free_bytes: on the server's disk of images; None: not asked for.
        state_free_bytes: on its disk of allfast's state; None: that is the same one.
        cache_limit: bytes that the server's layer cache has afterwards, at most.
        index: what is known of compressed layers, and `known` of layers that were sent; by default from the user's
            cache folder.
        stopped: once it is set, nothing more is sent (to_cache.Stopped).
        pulls: what has base images pulled by the server; None: all layers are sent.

    Attributes:
        sent: bytes that went for the image of each service, of those that were loaded.
    """

    def __init__(
        self,
        server: Destination,
        local: LocalEngine,
        emit: Emit,
        *,
        platform: str,
        tag: Callable[[str], str],
        free_bytes: int | None = None,
        state_free_bytes: int | None = None,
        cache_limit: int = CACHE_LIMIT,
        index: LayerIndex | None = None,
        known: KnownLayers | None = None,
        stopped: threading.Event | None = None,
        pulls: Pulls | None = None,
    ) -> None:
        self._server = server
        self._local = local
        self._emit = emit
        self._platform = platform
        self._tag = tag
        self._room = Room(free_bytes, state_free_bytes, server.cache.stock)
        self._cache_limit = cache_limit
        self._tally = Tally()
        source = Source(local, index or LayerIndex(user_cache()))
        sender = Sender(server.cache, known or KnownLayers())
        self._transfer = Transfer(source, sender, emit, self._tally, stopped or threading.Event(), cache_limit)
        self._pulls = pulls
        self._bases = None if pulls is None else Bases(pulls, self._transfer, server)
        self._configs = 0  # bytes
        self._images: dict[str, Image] = {}  # that were loaded, by their local id
        self.sent: dict[str, int] = {}

    @property
    def wire_bytes(self) -> int:
        """The bytes that have gone to the server by now."""
        return self._transfer.wire + self._configs

    def ship(self, cargoes: Sequence[Cargo]) -> Shipment:
        """Bring images to the server, one after the other; services that share an image send it once.

        Raises:
            RefusedError: another platform, or not enough room on the server; nothing was sent.
            ShipError: the server's engine refused an image, or does not have it afterwards as it was built.
        """
        freights = [self.prepare(cargo) for cargo in cargoes]
        images: dict[str, Image] = {}
        for freight in freights:
            images[freight.service] = self.shared(freight) or self._bring(freight)
        return Shipment(images, self.wire_bytes)

    def prepare(self, cargo: Cargo) -> Freight:
        """Look what of an image has to go, and see to it that there is room for it besides those before it.

        Raises:
            RefusedError: another platform, or not enough room on the server; nothing of it was sent.
            ShipError: it is not in the local engine any more.
        """
        with engine_errors(cargo.service):
            freight = look(cargo, self._server, self._local, self._platform)
        if not freight.complete:  # what an earlier attempt has sent of it waits with it, also where there is no room
            self._server.cache.expect(list(freight.missing), chain_id(freight.local.diff_ids))
        self._tally.expect(freight.local.engine_id, self._room.promise(freight.missing))
        if self._pulls is not None:
            self._pulls.begin(freight, self._platform, self._room)
        return freight

    def send(self, freight: Freight) -> Sent:
        """Have the missing layers of an image in the server's layer cache, but for those of a base that it pulls.

        Raises:
            ShipError: they do not arrive.
            Stopped: nothing more is to be sent.
        """
        with engine_errors(freight.service):
            there = to_engine.find(freight, self._server)
            if there is not None:
                return Sent(image=there)
            return self._transfer.send(freight) if self._bases is None else self._bases.send(freight)

    def load(self, freight: Freight, sent: Sent) -> Image:
        """Give an image that was sent to the engine, check it and name it; once more with all layers if need be.

        Raises:
            RefusedError: not enough room on the server for all layers.
            ShipError: the engine refused it, or does not have it afterwards as it was built.
        """
        return self._load(self._by_now(freight), sent)

    def shared(self, freight: Freight) -> Image | None:
        """The image where another service of the same image has brought it; it gets this one's name, too."""
        image = self._images.get(freight.local.engine_id)
        if image is not None:
            self._server.cache.name({self._tag(freight.service): image.engine_id})
            self._emit(Shipped(freight.service, 0, 0, len(freight.local.diff_ids), 0.0))
        return image

    def _bring(self, freight: Freight) -> Image:
        freight = self._by_now(freight)
        return self._load(freight, self.send(freight))

    def _by_now(self, freight: Freight) -> Freight:
        """The images that were loaded before it may have brought layers that it shares."""
        if not self._images:
            return freight
        with engine_errors(freight.service):
            return replace(freight, have=self._server.layers(freight.local.diff_ids))

    def _load(self, freight: Freight, sent: Sent) -> Image:
        began, spent = time.monotonic(), sent.seconds
        with engine_errors(freight.service):
            if self._bases is not None:
                freight, sent = self._bases.settled(freight, sent)
            image = sent.image
            if image is None:
                image, sent = self._loaded(freight, sent)
            self._server.cache.name({self._tag(freight.service): image.engine_id})
        self._images[freight.local.engine_id] = image
        self.sent[freight.service] = sent.wire
        seconds = spent + time.monotonic() - began
        self._emit(Shipped(freight.service, sent.wire, sent.layers, len(freight.local.diff_ids), seconds))
        return image

    def _loaded(self, freight: Freight, sent: Sent) -> tuple[Image, Sent]:
        """The image in the engine, and what was sent for it in all."""
        partial = ""
        while True:
            refused, image, sent = self._attempt(freight, sent)
            if image is not None:
                return image, sent
            if freight.have == 0:
                raise to_engine.not_arrived(freight, sent, refused, partial)
            partial, freight = refused, replace(freight, have=0)
            self._room.promise(freight.missing)
            text = f"the server lacks layers that it was said to have: all layers of {freight.service} are sent"
            self._emit(Note(text, "warning", freight.service))
            sent = sent.and_then(self._transfer.send(freight))

    def _attempt(self, freight: Freight, sent: Sent) -> tuple[str, Image | None, Sent]:
        """One load (to_engine.load). What the server's cache has lost since it was sent is sent again, once."""
        works = works_of(freight.service, self._emit)
        try:
            refused, image = to_engine.load(freight, sent, self._server, self._cache_limit, works)
        except AgentRefusal as error:
            if error.kind not in LOST:
                raise
            sent = sent.and_then(self._transfer.send(freight))
            with layer_errors(freight.service):
                refused, image = to_engine.load(freight, sent, self._server, self._cache_limit, works)
        self._configs += len(sent.config)
        return refused, image, replace(sent, wire=sent.wire + len(sent.config))
