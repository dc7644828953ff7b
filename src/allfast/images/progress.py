"""How far the layers of one shipment are on the server, in (uncompressed) bytes: of one image, and of all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from allfast.agent.archive import Layer
from allfast.events import Emit, Note, ServerWorks, ShipProgress
from allfast.images.cargo import Freight
from allfast.images.race import Race
from allfast.remote.hearing import Work, Works
from allfast.text import megabytes

PROGRESS_SECONDS = 0.2
#: Seconds of reading from the server's engine after which it is told how to do without.
LONG = 10.0
GIB = 1 << 30


def works_of(service: str, emit: Emit) -> Works:
    """What is told of the server's work on that service's image."""
    return lambda work: emit(ServerWorks(service, work.name, work.done, work.total, work.seconds, work.over))


class CacheAdvice:
    """Says, once, that reading layers out of the server's engine takes long because its layer cache cannot hold them.

    Args:
        cache_limit: bytes that it may have.
    """

    def __init__(self, emit: Emit, cache_limit: int) -> None:
        self._emit = emit
        self._limit = cache_limit
        self._bytes, self._seconds = 0, 0.0  # of what has been read
        self._said = False

    def hear(self, work: Work) -> None:
        """How far the server is with reading one; other work is of no interest."""
        if work.name != "reading":
            return
        size, seconds = self._bytes + work.total, self._seconds + work.seconds
        if work.over:
            self._bytes, self._seconds = size, seconds
        if size > self._limit and seconds >= LONG and not self._said:
            self._said = True
            self._emit(Note(self._advice(size)))

    def _advice(self, size: int) -> str:
        enough = size // GIB + 2  # others have to have room, too
        return (
            f"layers of {megabytes(size)} are read out of the server's engine, because its layer cache"
            f" ({megabytes(self._limit)}) has no room for them:"
            f' with layer_cache = "{enough}GiB" in allfast.toml they are at hand'
        )


class Tally:
    """Bytes of all images of a shipment, by the id of the image: expected, and there by now; for several threads."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._expected: dict[str, int] = {}
        self._there: dict[str, int] = {}

    def expect(self, image: str, size: int) -> None:
        """So many bytes of an image are to go, as long as nobody knows better."""
        with self._mutex:
            self._expected.setdefault(image, size)

    def told(self, image: str, event: ShipProgress) -> ShipProgress:
        """An image's progress, with that of all images in it."""
        with self._mutex:
            self._there[image], self._expected[image] = event.sent, event.total
            return replace(event, all_sent=sum(self._there.values()), all_total=sum(self._expected.values()))


class Watch:
    """Progress of one image; true sizes replace the estimates as they are known.

    Args:
        estimates: the layers that are to be sent, and about how many bytes they have.
        wire: how many bytes have gone onto the wire in all.
        race: what else might bring the layers; it is told of the progress, too. They count by themselves.
    """

    def __init__(
        self,
        freight: Freight,
        estimates: Mapping[str, int],
        emit: Emit,
        tally: Tally,
        wire: Callable[[], int],
        race: Race | None = None,
    ) -> None:
        self._freight, self._race = freight, race
        self._name = freight.local.engine_id if race is None else race.pull.base.reference
        self._estimates = estimates
        self._emit, self._tally, self._wire = emit, tally, wire
        self._wire_before = wire()
        self._total = sum(estimates.values())
        self._sent = self._found = 0
        self._began = self._told = time.monotonic()

    def of(self, layer: Layer, begun: int = 0) -> Callable[[int], None]:
        """What is told how far this layer is there; `begun` bytes of it are there already."""
        self._total += layer.size - self._estimates.get(layer.diff_id, 0)
        before = self._sent
        self._found += begun
        self._sent += begun

        def made(at: int) -> None:
            self._sent = before + at
            if self._race is not None:
                self._race.made(layer, at)
            if time.monotonic() - self._told >= PROGRESS_SECONDS:
                self._told = time.monotonic()
                self._emit(self._event())

        return made

    def end(self) -> None:
        """All of it is there. Said where something was said before: short ways need no progress."""
        event = self._event()  # which is counted in any case
        if self._told != self._began:
            self._emit(event)

    def _event(self) -> ShipProgress:
        return self._tally.told(
            self._name,
            ShipProgress(
                self._freight.service,
                self._sent,
                max(self._sent, self._total),
                time.monotonic() - self._began,
                wire=self._wire() - self._wire_before,
                found=self._found,
            ),
        )
