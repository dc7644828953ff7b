"""Layers that are not in the cache, brought there from the engine: bases, and what would be sent otherwise."""

from __future__ import annotations

import os
import threading
from typing import IO, AbstractSet, Any, Callable, Dict, List, NamedTuple, Set, Tuple

from allfast.agent.engine import Engine
from allfast.agent.engine_store import NoRoom, Unreadable
from allfast.agent.layer_cache import LayerCache
from allfast.agent.protocol import AgentError, Kind
from allfast.agent.telling import Note, Tell, Telling

#: What is written for each byte of a layer that comes: see images/room.py; and its older version before it.
ROOM = 4.1

#: Seconds that what is being read from the engine has to end in when this process ends.
ENDING = 5.0

#: As `cold.fetch`.
Fetch = Callable[[Engine, str, List[str], str, Any, Callable[[int], bool], Tell], None]


class Held(NamedTuple):
    """Where the engine has a layer: in an image with these layers."""

    image: str
    diff_ids: List[str]


class Warming:
    """Brings layers into a cache; for several threads, one of which reads from the engine at a time.

    Who holds `_fetching` waits for nothing but the engine: it is taken after `making`, never before it.
    """

    def __init__(
        self,
        engine: Engine,
        cache: LayerCache,
        images: Callable[[], Dict[str, List[str]]],
        fetch: Fetch,
        spared: Callable[[], AbstractSet[str]],
    ) -> None:
        """`images` tells those of the engine that are read from, the newest first: id -> diff ids.

        `spared` are the layers that do not make room for others.
        """
        self._engine = engine
        self._cache = cache
        self._images = images
        self._fetch = fetch
        self._spared = spared
        self._fetching = threading.Lock()
        self._ending = threading.Event()
        self._lost: Set[str] = set()  # cannot be had from the engine

    def cold(self) -> Dict[str, Held]:
        """What might be had from the engine, by diff id; of each image the last layer first."""
        images = self._images().items()
        found = {layer: Held(image, diff_ids) for image, diff_ids in images for layer in reversed(diff_ids)}
        return {layer: held for layer, held in found.items() if layer not in self._lost}

    def open(self, name: str, note: Note, receiving: AbstractSet[str] = frozenset()) -> Tuple[str, IO[bytes]]:
        """The layer whose diff id begins with `name` (hex), and its file: it is in the cache, or is brought there.

        Who makes a layer that is among those that are `receiving` does not wait for another one of them, which may wait
        for the first. It is noted how far it is read (telling.py). Raises `AgentError` not-found there, and where it is
        not to be had: then it is not told as cold any more.
        """
        there = self._cache.named(name)
        if there is not None:
            return there, self._cache.use(there)
        found = [(layer, held) for layer, held in self.cold().items() if layer[7:].startswith(name)]
        if len(found) != 1:
            raise AgentError(Kind.NOT_FOUND, f"{name} is neither in the layer cache nor in an image of the engine")
        ((layer, held),) = found
        if layer in receiving:
            raise AgentError(Kind.NOT_FOUND, f"{layer} is only just being made in the layer cache")
        with self._cache.making(layer):
            if self._cache.whole(layer).exists():  # by now
                return layer, self._cache.use(layer)
            with self._fetching:
                return layer, self._brought(layer, held, note)

    def end(self) -> None:
        """Give up what is being read, and wait, but not for ever, until it has ended; none begins then."""
        self._ending.set()
        self._fetching.acquire(timeout=ENDING)

    def _brought(self, layer: str, held: Held, note: Note) -> IO[bytes]:
        """Read a layer into a file of its own: the beginning of it that is there may be needed yet."""
        path = self._cache.fetched(layer)
        try:
            self._go_on()
            self._cache.make()
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
            with os.fdopen(os.open(path, flags, 0o660), "wb") as file, Telling(note, "reading") as telling:

                def tell(done: int, total: int) -> None:
                    self._go_on()
                    telling.at(done, total)

                self._fetch(self._engine, held.image, held.diff_ids, layer, file, self._has_room, tell)
            self._cache.finish(layer, path)
            return self._cache.use(layer)
        except BaseException as error:
            self._lost.add(layer)
            path.unlink(missing_ok=True)
            if isinstance(error, (NoRoom, Unreadable)):
                raise AgentError(Kind.NOT_FOUND, f"{layer} cannot be read from the engine: {error}") from error
            raise

    def _go_on(self) -> None:
        """Raises `AgentError` not-found where nothing more is to be read."""
        if self._ending.is_set():
            raise AgentError(Kind.NOT_FOUND, "the connection ends")

    def _has_room(self, size: int) -> bool:
        """Whether so many bytes have room beside the layer that is made of them, and what the engine makes of that.

        What is oldest in the cache makes room, if that can be enough.
        """
        return self._cache.make_room(int(ROOM * size), self._spared())
