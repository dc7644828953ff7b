"""The layers that a recipe may refer to, and where in them heads, bodies and chunks stand."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import compress

from allfast.agent.chunks import Chunk
from allfast.agent.index import Index
from allfast.agent.parts import BLOCK
from allfast.transfer.steps import Place
from allfast.transfer.table import Table

#: Bits of a place that tell the part; those above them tell the base.
_PART = 32


@dataclass(frozen=True, slots=True)
class Known:
    """A layer that the server has: its index, and the bodies of its parts as far as they are at hand here.

    `name` is the beginning of its diff id (`recipe.NAME` bytes).
    """

    name: bytes
    index: Index
    content: Callable[[int], bytes | None]


class Bases:
    """The layers that a recipe may refer to, and where in them something stands; the first one that has it counts."""

    def __init__(self, layers: Iterable[Known] = ()) -> None:
        self._layers: list[Known] = []
        self.names: list[bytes] = []
        self._heads, self._bodies, self._chunks = Table(), Table(), Table()
        # Of each chunk: its part, where it is in the body, its bytes.
        self._chunk_places, self._chunk_starts, self._chunk_sizes = array("Q"), array("Q"), array("I")
        for layer in layers:
            self.add(layer)

    def add(self, layer: Known) -> None:
        """Append a layer."""
        number, index = len(self._layers), layer.index
        self._layers.append(layer)
        self.names.append(layer.name)
        places = range(number << _PART, (number << _PART) + len(index))
        self._heads.put(map(_name, index.heads), places)
        filled = [index.body(part)[1] > 0 for part in range(len(index))]
        self._bodies.put(compress(_keys(index.keys), filled), compress(places, filled))
        first = len(self._chunk_places)
        for part, offset, size in index.chunks():
            self._chunk_places.append(places[part])
            self._chunk_starts.append(offset)
            self._chunk_sizes.append(size)
        self._chunks.put(_keys(index.chunk_keys), range(first, len(self._chunk_places)))

    def head(self, place: Place) -> bytes | None:
        """The head of a part; None where there is no such part."""
        return self._layers[place[0]].index.head(place[1]) if self._has(place) else None

    def named_as(self, head: bytes) -> Place | None:
        """The part of that name, as far as a head tells it."""
        found = self._heads.get(_name(head))
        return None if found is None else _place(found)

    def has_body(self, place: Place, body_key: bytes, size: int) -> bool:
        """Whether that part has this body."""
        index = self._layers[place[0]].index
        return index.key(place[1]) == body_key and index.body(place[1])[1] == size

    def body(self, body_key: bytes, size: int) -> Place | None:
        """A part with this body."""
        found = self._bodies.get(_keys(body_key)[0])
        return _place(found) if found is not None and self.has_body(_place(found), body_key, size) else None

    def chunk(self, chunk: Chunk) -> tuple[Place, int] | None:
        """A part with this chunk in its body, and where in it."""
        found = self._chunks.get(_keys(chunk.key)[0])
        if found is None or self._chunk_sizes[found] != len(chunk.data):
            return None
        return _place(self._chunk_places[found]), self._chunk_starts[found]

    def content(self, place: Place) -> bytes | None:
        """The body of a part, where it is at hand."""
        return self._layers[place[0]].content(place[1]) if self._has(place) else None

    def _has(self, place: Place) -> bool:
        return 0 <= place[0] < len(self._layers) and 0 <= place[1] < len(self._layers[place[0]].index)


def _place(number: int) -> Place:
    return number >> _PART, number & (1 << _PART) - 1


def _keys(column: bytes | bytearray) -> array[int]:
    """Keys as numbers: of this machine, as it puts bytes in order."""
    found = array("Q")
    found.frombytes(column)
    return found


def _name(head: bytes) -> int:
    """What a head says of the name: the long name, or the fields of the header. Not unique, and need not be."""
    block = len(head) - BLOCK
    return hash(head[: max(0, block) + 100] + head[block + 345 : block + 500]) & (1 << 64) - 1
