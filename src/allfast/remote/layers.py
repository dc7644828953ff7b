"""Layers and images on their way to a server, as requests to its agent (agent/receive.py)."""

from __future__ import annotations

import base64
import contextlib
import itertools
import queue
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Any

from allfast.agent.receive import WINDOW, text
from allfast.errors import AllfastError
from allfast.remote.channel import Channel
from allfast.remote.hearing import Hearing, Works, unheard

#: Seconds that a server gets to be done with a layer that is given up. It may just be reading a base from its engine;
#: what it makes after that lies in its cache, and nowhere else.
GRACE = 10.0
#: Seconds after which somebody who waits for the server looks whether that is still wanted, and can still come.
LOOK = 0.2

#: Asked now and then by who waits for the server; it raises where that is not wanted any more.
GoOn = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Stock:
    """What a server's layer cache has.

    `whole` and `begun` (diff id -> bytes that are there) are of the layers that were asked for. `cached` names all
    whole layers by the beginning of their diff id (hex) and tells their bytes, the one used last first; `cold` names
    layers that the server would have to read from its engine. Either tells 0 bytes of a layer of which no index is to
    be had. `codecs`: how recipes may be compressed, the best first. `free`: bytes on the disk of the cache.
    """

    whole: frozenset[str]
    begun: Mapping[str, int]
    cached: tuple[tuple[str, int], ...]
    cold: tuple[tuple[str, int], ...] = ()
    codecs: tuple[str, ...] = ()
    free: int = 0

    def there(self, layers: Mapping[str, int]) -> int:
        """How many bytes of these layers (diff id -> about how many bytes), which were asked for, are there."""
        return sum(size if one in self.whole else min(size, self.begun.get(one, 0)) for one, size in layers.items())


@dataclass(frozen=True, slots=True)
class Arrival:
    """A layer to be received: its diff id, its bytes, how many are there already, how its recipe is compressed."""

    layer: str
    size: int
    begin: int
    codec: str


@dataclass(frozen=True, slots=True)
class Found:
    """An image in the server's engine: its id there, and its platform."""

    engine_id: str
    platform: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """What became of an image that was loaded: why the engine refused it ("" if it did not), and the image."""

    refused: str
    image: Found | None


class LayerRequests:
    """The layer cache of a deployment, seen from here."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._streams = itertools.count(1)

    def expect(self, diff_ids: Sequence[str], chain: str) -> None:
        """Have what is there of these layers stay until the image whose layers are that `chain` is loaded.

        Told: the next call raises the error.
        """
        self._channel.tell("expect_layers", {"diff_ids": list(diff_ids), "chain": chain})

    def stock(self, diff_ids: Sequence[str], chain: str = "") -> Stock:
        """What the cache has. They stay there until the image whose layers are that `chain` is loaded."""
        answer = self._channel.call("layer_stock", {"diff_ids": list(diff_ids), "chain": chain})
        cached, cold = (tuple((name, size) for name, size in answer[kind]) for kind in ("cached", "cold"))
        whole, codecs = frozenset(answer["whole"]), tuple(answer["codecs"])
        return Stock(whole, answer["begun"], cached, cold, codecs, answer["free"])

    def index(self, name: str, go_on: GoOn) -> bytes:
        """The packed index of a layer of the cache, named as `Stock` does; the server may have to make it."""
        return base64.b64decode(
            _awaited(lambda: self._channel.call("layer_index", {"layer": name}), go_on, Hearing(unheard))
        )

    def warm(self, layer: str, go_on: GoOn, works: Works = unheard) -> None:
        """Have the server read a layer from its engine into its cache.

        Raises `AgentRefusal` not-found where it cannot.
        """
        heard = Hearing(works)
        _awaited(lambda: self._channel.call("warm_layer", {"layer": layer}, note=heard.note), go_on, heard)

    def receive(
        self,
        arrival: Arrival,
        batches: Iterable[bytes],
        made: Callable[[int], None],
        go_on: GoOn,
        works: Works = unheard,
    ) -> tuple[str, ...]:
        """Send a layer's recipe; `made` is told how far the layer is there.

        Returns the bases that proved damaged: with any, the layer has to be sent anew, without them.
        Raises `AgentRefusal` where the layer did not arrive as it is, and what `batches` and `go_on` raise: then the
        server is seen done with the layer, if that takes no longer than `GRACE`.
        """
        heard = Hearing(works)
        under_way = _Receiving(self._channel, next(self._streams), arrival, made, go_on, heard)
        try:
            for batch in batches:
                if not under_way.send(batch):
                    break
            return under_way.result()
        except BaseException:
            under_way.give_up()
            raise
        finally:
            heard.over()

    def load(
        self, config: bytes, sizes: Sequence[int], layers: Sequence[int], limit: int, works: Works = unheard
    ) -> Loaded:
        """Load an image of that configuration with some layers of the cache (their numbers); `sizes` of all layers."""
        args = {"config": text(config), "sizes": list(sizes), "layers": list(layers), "limit": limit}
        heard = Hearing(works)
        answer = _awaited(lambda: self._channel.call("load_image", args, note=heard.note), lambda: None, heard)
        return Loaded(answer["refused"], _found(answer["image"]))

    def find(self, ids: Sequence[str], diff_ids: Sequence[str]) -> Found | None:
        """The image that the engine has under one of these ids, if it is whole and has exactly these layers."""
        return _found(self._channel.call("find_image", {"ids": list(ids), "diff_ids": list(diff_ids)}))

    def name(self, names: Mapping[str, str]) -> None:
        """Give images of the engine their names: reference -> engine id. Raises `AgentRefusal` (kind engine)."""
        self._channel.call("name_images", {"names": dict(names)})


def _awaited(request: Callable[[], Any], go_on: GoOn, heard: Hearing) -> Any:
    """The result of a request that a server may work on for long; what is `heard` of that is told meanwhile."""
    answer: Future[Any] = Future()

    def call() -> None:
        try:
            answer.set_result(request())
        except BaseException as error:  # noqa: BLE001 - whoever waits is to hear of it
            answer.set_exception(error)

    threading.Thread(target=call, daemon=True).start()
    try:
        while not wait([answer], LOOK).done:
            heard.look()
            go_on()
        return answer.result()
    finally:
        heard.over()


def _found(value: dict[str, Any] | None) -> Found | None:
    return None if value is None else Found(value["id"], "/".join(value["platform"]).rstrip("/"))


class _Receiving:
    """A layer under way. Its batches leave in a thread: an interrupt must not stop one of them in the middle."""

    def __init__(
        self,
        channel: Channel,
        stream: int,
        arrival: Arrival,
        made: Callable[[int], None],
        go_on: GoOn,
        heard: Hearing,
    ) -> None:
        self._channel = channel
        self._stream = stream
        self._made = made
        self._go_on = go_on
        self._heard = heard
        self._room = threading.Semaphore(WINDOW)
        self._batches: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._done = threading.Event()
        self._answer: Any = None
        self._error: BaseException | None = None
        args = {
            "stream": stream,
            "layer": arrival.layer,
            "size": arrival.size,
            "begin": arrival.begin,
            "codec": arrival.codec,
        }
        threading.Thread(target=self._call, args=(args,), daemon=True).start()
        threading.Thread(target=self._post, daemon=True).start()

    def send(self, batch: bytes) -> bool:
        """Have a batch sent when there is room for it; whether it may be."""
        while not self._room.acquire(timeout=LOOK):
            self._look()
        if self._done.is_set():
            return False
        self._batches.put(batch)
        return True

    def give_up(self) -> None:
        """Send nothing after the batch under way, and see the server done with this layer."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._batches.get_nowait()
        self._batches.put(b"")
        self._done.wait(GRACE)

    def result(self) -> tuple[str, ...]:
        """The answer, when it is there."""
        while not self._done.wait(LOOK):
            self._look()
        if self._error is not None:
            raise self._error
        return tuple(self._answer["damaged"])

    def _look(self) -> None:
        """A batch that was refused is never carried out: who waits for that hears of it here."""
        self._channel.check()
        self._heard.look()
        self._go_on()

    def _call(self, args: dict[str, Any]) -> None:
        try:
            self._answer = self._channel.call("receive_layer", args, note=self._note)
        except BaseException as error:  # noqa: BLE001 - whoever waits is to hear of it
            self._error = error
        finally:
            self._done.set()
            self._batches.put(b"")
            self._room.release(WINDOW)

    def _post(self) -> None:
        with contextlib.suppress(AllfastError):  # the connection is lost: the call hears of it, too
            while batch := self._batches.get():
                self._channel.post("layer_batch", {"stream": self._stream}, batch)
            if not self._done.is_set():
                self._channel.post("layer_batch", {"stream": self._stream}, b"")

    def _note(self, note: dict[str, Any]) -> None:
        if "at" not in note:
            self._heard.note(note)
            return
        self._heard.clear()
        self._room.release()
        self._made(note["at"])
