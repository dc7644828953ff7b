"""A local image's layers out of its engine's store (agent/image_store.py): only the missing ones are read."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing

from allfast.agent import content_store, graph_store
from allfast.agent.archive import Layer, blob_path
from allfast.agent.engine import Engine, EngineError, EngineUnreachable
from allfast.agent.engine_store import Unreadable
from allfast.agent.image_store import StoredLayers, open_image
from allfast.transfer.compression import decompress
from allfast.transfer.documents import Wanted, is_wanted
from allfast.transfer.errors import TransferError
from allfast.transfer.index import LayerIndex, Stored

#: The most bytes of a missing layer that are kept in memory because it had to be read for its size.
HELD = 48 << 20


class StoredImage:
    """The same as transfer.source.SavedImage, by a shorter way that not every engine has.

    Args:
        socket: the local engine's.
        image: its id there.
        wanted: the image that it must be.
        index: sizes of layers that were measured before.
    """

    def __init__(self, socket: str, image: str, wanted: Wanted, index: LayerIndex) -> None:
        self._socket = socket
        self._image = image
        self._wanted = wanted
        self._index = index
        self._config = b""
        self.sizes: dict[str, int] = {}  # diff id -> bytes, of all layers, when `layers` has ended

    def layers(self, missing: Iterable[str]) -> Generator[Layer]:
        """The layers whose diff ids are `missing`, each once; its chunks must be used before the next is asked for.

        Raises `Unreadable`, also while chunks are read: what was read until then may be wrong.
        """
        diff_ids = list(self._wanted.diff_ids)
        numbers = {layer: number for number, layer in enumerate(diff_ids)}
        asked = sorted(numbers[layer] for layer in missing)
        engine = Engine(self._socket)
        with closing(engine), open_image(engine, self._image, diff_ids, _unpack, self._suits) as image:
            if not self._suits(image.config):
                raise Unreadable("the image's configuration is another one")
            self._config = image.config
            for number, chunks in image.layers(asked):
                layer = diff_ids[number]
                kept = self._measure(image, number, HELD)
                yield Layer(layer, self.sizes[layer], self._counted(layer, image.blob(number), kept or chunks))
            for number in sorted(set(numbers.values()) - set(asked)):
                self._measure(image, number)

    def config(self) -> bytes:
        """The image's configuration as it is stored; known when `layers` has ended."""
        return self._config

    def _suits(self, config: bytes) -> bool:
        return is_wanted(config, self._wanted)

    def _measure(self, image: StoredLayers, number: int, room: int = 0) -> list[bytes]:
        """Learn how many bytes a layer's tar has. Where nothing tells them it is read, and given if it has `room`."""
        layer, path = self._wanted.diff_ids[number], blob_path(image.blob(number))
        found, kept = self._index.get(path), list[bytes]()
        if found is None or found.diff_id != layer:
            size = image.size(number)
            if size is None:
                ((_, chunks),) = image.layers([number])
                size, kept = _measured(chunks, room)
            found = Stored(layer, size)
            self._index.put(path, found)
        self.sizes[layer] = found.size
        return kept

    def _counted(self, layer: str, blob: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """A layer's chunks; raises if they are not as many bytes as was said."""
        count = 0
        for chunk in chunks:
            count += len(chunk)
            yield chunk
        if count != self.sizes[layer]:
            self._index.forget(blob_path(blob))
            raise Unreadable(f"{layer} has {count} bytes, and not {self.sizes[layer]}")


def is_known(socket: str) -> bool:
    """Whether an engine's store is one of those that are known here."""
    try:
        with closing(Engine(socket)) as engine:
            info = engine.get("/info")
    except (EngineError, EngineUnreachable):
        return False
    return content_store.is_of(info) or graph_store.is_of(info)


def _measured(chunks: Iterable[bytes], room: int) -> tuple[int, list[bytes]]:
    """How many bytes there are, and the chunks if they have room."""
    size, kept = 0, list[bytes]()
    for chunk in chunks:
        size += len(chunk)
        if size <= room:
            kept.append(chunk)
        else:
            kept.clear()
    return size, kept


def _unpack(head: bytes, chunks: Iterable[bytes]) -> Iterator[bytes]:
    try:
        yield from decompress(head, chunks)
    except TransferError as error:
        raise Unreadable(error.message) from error
