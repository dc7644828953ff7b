"""Room on the server for the images of one shipment, asked for before the first byte of each is sent."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from allfast.agent.layer_files import RESERVE
from allfast.errors import RefusedError
from allfast.remote.layers import Stock
from allfast.text import megabytes

#: What is written for each byte of a layer that is sent: by the layer cache, which lies in allfast's state folder; and
#: by the engine, its copy of the archive, and the files.
CACHED, LOADED = 1.0, 2.1
#: The same for each byte of a layer that the server pulls: what is fetched, and the files.
PULLED = 1.5


@dataclass(frozen=True, slots=True)
class _Disk:
    """One of the server's: its `free` bytes, what is `written` there for each byte that is sent, and words for it."""

    free: int
    written: float
    name: str
    hint: str

    def needed(self, layer_bytes: int) -> int:
        """Bytes for layers of that many (uncompressed) ones."""
        return int(layer_bytes * self.written) + RESERVE

    def lacks_room(self, layer_bytes: int, pulled: int) -> bool:
        """Whether there is too little for such layers besides what is written for pulls."""
        return layer_bytes > 0 and self.needed(layer_bytes) > self.free - pulled

    def require(self, layer_bytes: int, pulled: int) -> None:
        """Raises `RefusedError` where it `lacks_room`."""
        if self.lacks_room(layer_bytes, pulled):
            raise RefusedError(
                f"not enough room on the server, on the disk of {self.name}: the images need about"
                f" {megabytes(self.needed(layer_bytes))}, {megabytes(self.free - pulled)} are free",
                hint=self.hint,
            )

    def by_now(self, stock: Stock, layers: Mapping[str, int]) -> _Disk:
        """This disk, if the layer cache is on it: what that has of these layers is not written there again."""
        return replace(self, free=min(self.free, stock.free) + int(CACHED * stock.there(layers)))


_PRUNE = "make room on the server, for example with: docker image prune; docker builder prune"
_STATE = "make room on that disk of the server (the target's state_dir), or give it a larger one"


class Room:
    """The free bytes of a server's disks, and the layers that are promised room on them; for several threads.

    Args:
        free: bytes on the disk of the engine's images; None: nobody knows, and nothing is refused.
        state: bytes on the disk of allfast's state, where the layer cache is, with those of the cache; None: it is the
            same disk.
        stock: asks what the layer cache has of layers, where that matters; None: nothing.
    """

    def __init__(
        self, free: int | None, state: int | None = None, stock: Callable[[Sequence[str]], Stock] | None = None
    ) -> None:
        self._stock = stock
        self._engine: _Disk | None = None
        self._state: _Disk | None = None
        if free is not None and state is None:
            self._engine = _Disk(free, CACHED + LOADED, "Docker's images and allfast's layer cache", _PRUNE)
        elif free is not None and state is not None:
            self._engine = _Disk(free, LOADED, "Docker's images", _PRUNE)
            self._state = _Disk(state, CACHED, "allfast's state, where its layer cache is", _STATE)
        self._promised: dict[str, int] = {}
        self._pulled = 0  # bytes that are written besides, by the engine
        self._mutex = threading.Lock()

    def promise(self, layers: Mapping[str, int]) -> int:
        """Promise room to layers (diff id -> bytes), besides those before them; the bytes of those that are new.

        Raises `RefusedError` where there is not enough.
        """
        with self._mutex:
            new = {layer: size for layer, size in layers.items() if layer not in self._promised}
            wanted = self._promised | new
            self._require(wanted)
            self._promised = wanted
            return sum(new.values())

    def _require(self, layers: Mapping[str, int]) -> None:
        together, engine = sum(layers.values()), self._engine
        if self._state is not None:
            self._state.require(together, 0)
        elif self._stock is not None and engine is not None and engine.lacks_room(together, self._pulled):
            engine = engine.by_now(self._stock(list(layers)), layers)
        if engine is not None:
            engine.require(together, self._pulled)

    def for_pull(self, layer_bytes: int) -> bool:
        """Promise room to a pull of layers of that many bytes, besides all that was promised; whether there is enough.

        They may have to be sent all the same, so both have room or the pull does not begin.
        """
        with self._mutex:
            written = int(layer_bytes * PULLED)
            if self._engine is not None:
                needed = self._engine.needed(sum(self._promised.values()))
                if needed + self._pulled + written > self._engine.free:
                    return False
            self._pulled += written
            return True
