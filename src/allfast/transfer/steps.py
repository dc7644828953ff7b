"""Writes the steps of a recipe (agent/recipe.py) and packs them into batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from allfast.agent import recipe
from allfast.agent.recipe import MOST_BASES, pack_number, pack_signed
from allfast.transfer.pack import packer

#: A batch ends when its control or its data has so many bytes, or when it makes so many of the layer.
CONTROL, DATA, MADE = 1 << 17, 1 << 19, 32 << 20

#: A part of one of the bases: the number of the base, and of the part in it.
Place = tuple[int, int]
NOWHERE: Place = (-1, 0)


class Origin(NamedTuple):
    """How a head becomes of the head of a part that is there: by `step`, with this time and size."""

    step: int
    time: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """A piece of a recipe, packed; with it the layer is there up to the offset `end` of its tar."""

    data: bytes
    end: int


class StepWriter:
    """Collects steps; keeps cursor, time and source as the decoder does. `at` is the offset that they have made."""

    def __init__(self, names: Sequence[bytes], begin: int, codec: str) -> None:
        self.at = begin
        self.cursor: Place = NOWHERE
        self._names = names
        self._named: dict[int, int] = {}  # the number of a base -> that by which the recipe knows it
        self._time = 0
        self._source: Place = NOWHERE
        self._copied = 0  # where the newest copy of the source ended
        self._run = (0, 0)  # a step that can be repeated, and how often
        self._copy = (0, 0)  # start and size of a copy that may grow
        self._control, self._data = bytearray(), bytearray()
        self._first = bytes([recipe.VERSION])  # what the control begins with
        self._packers = [packer(codec) for _ in range(2)]
        self._done = begin

    @property
    def named(self) -> list[bytes]:
        """The names of the bases that the recipe refers to by now."""
        return [self._names[number] for number in self._named]

    def reaches(self, place: Place) -> bool:
        """Whether the recipe may refer to that part: it names so many bases at most."""
        return place[0] in self._named or len(self._named) < MOST_BASES

    def part(self, place: Place, origin: Origin, size: int) -> None:
        """A whole part as it is there, or with another time of change; `size` bytes of the tar."""
        self._go(place, origin.time if origin.step == recipe.TOUCHED else None)
        if self._run[0] != origin.step:
            self._settle()
        self._run = (origin.step, self._run[1] + 1)
        self._pass(place, size)

    def head(self, place: Place, origin: Origin, size: int) -> None:
        """The head of a part that is there; the part's body is the source of copies now."""
        self._go(place, None if origin.step == recipe.SAME else origin.time)
        self._settle()
        self._control.append(_HEADS[origin.step])
        if origin.step == recipe.HEAD_SIZED:
            self._control += pack_number(origin.size)
        self._pass(place, size)

    def new_head(self, data: bytes) -> Iterator[None]:
        """Bytes of a head that is nowhere yet."""
        yield from self._literal(recipe.NEW, data, self._control)

    def new(self, data: bytes) -> Iterator[None]:
        """Bytes of a body that are nowhere yet."""
        yield from self._literal(recipe.DATA, data, self._data)

    def body(self, place: Place, size: int) -> None:
        """The whole body of a part that is there."""
        self._look(place)
        self._control.append(recipe.BODY)
        self.at += size

    def copy(self, place: Place, start: int, size: int) -> None:
        """A range of the body of a part that is there."""
        self.at += size
        if place == self._source and self._copy[1] and start == sum(self._copy):
            self._copy = (self._copy[0], self._copy[1] + size)
            return
        self._look(place)
        self._copy = (start, size)

    def full(self) -> bool:
        """Whether a batch should end here."""
        return len(self._control) >= CONTROL or len(self._data) >= DATA or self.at - self._done >= MADE

    def batch(self) -> Batch | None:
        """What was collected, packed; None where there is nothing."""
        self._settle()
        if not self._control:
            return None
        self._control[:0], self._first = self._first, b""
        pieces = []
        for packing, plain in zip(self._packers, (self._control, self._data), strict=True):
            pieces.append(packing.pack(plain) if plain else b"")
            plain.clear()
        self._done = self.at
        return Batch(recipe.framed(*pieces), self.at)

    def _literal(self, step: int, data: bytes, into: bytearray) -> Iterator[None]:
        for start in range(0, len(data), CONTROL):
            piece = data[start : start + CONTROL]
            self._settle()
            self._control += bytes([step]) + pack_number(len(piece))
            into += piece
            self.at += len(piece)
            yield None

    def _go(self, place: Place, time: int | None) -> None:
        """Put the cursor and the time where they have to be."""
        if place != self.cursor:
            self._settle()
            self._control += self._base(place[0])
            self._control += bytes([recipe.AT]) + pack_number(self._named[place[0]])
            self._control += pack_signed(place[1] - self.cursor[1])
            self.cursor = place
        if time is not None and time != self._time:
            self._settle()
            self._control += bytes([recipe.TIME]) + pack_signed(time - self._time)
            self._time = time

    def _pass(self, place: Place, size: int) -> None:
        self.cursor = (place[0], place[1] + 1)
        self._source, self._copied = place, 0
        self.at += size

    def _look(self, place: Place) -> None:
        self._settle()
        if place != self._source:
            self._control += self._base(place[0])
            self._control += bytes([recipe.LOOK]) + pack_number(self._named[place[0]])
            self._control += pack_signed(place[1] - self.cursor[1])
            self._source, self._copied = place, 0

    def _base(self, number: int) -> bytes:
        """Name a base that was not named yet."""
        if number in self._named:
            return b""
        self._named[number] = len(self._named)
        return bytes([recipe.BASE]) + self._names[number]

    def _settle(self) -> None:
        step, count = self._run
        if count:
            self._control += bytes([step]) + pack_number(count)
            self._run = (0, 0)
        start, size = self._copy
        if size:
            self._control += bytes([recipe.COPY]) + pack_signed(start - self._copied) + pack_number(size)
            self._copied = start + size
            self._copy = (0, 0)


_HEADS = {
    recipe.SAME: recipe.HEAD,
    recipe.TOUCHED: recipe.HEAD_TOUCHED,
    recipe.HEAD_SIZED: recipe.HEAD_SIZED,
}
