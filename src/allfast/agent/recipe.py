"""A recipe: how to make a layer out of layers that are there, and the bytes that are new. docs/transfer.md has it all.

A recipe is a row of batches. Each is two compressed pieces: **control** (steps, numbers and new heads) and **data**
(new bytes of bodies). Control and data are one compressed stream each over all batches, so that what was said before
need not be said again; no step is cut by the end of a batch. What a batch makes can be written when it has come.

`Decoder` runs on what came over the wire: whatever that is, it raises `BadRecipe` or makes bytes, no more of them
than the layer has; its memory is bounded by the limits below. Whether they are the layer's is for its digest to say.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_right
from typing import Any, Callable, Dict, List, NamedTuple, Tuple

from allfast.agent import parts
from allfast.agent.parts import BLOCK

#: The first byte of the control of a recipe: of which version all of it is.
VERSION = 3
#: The most bytes of a batch's control and data, packed or not.
LIMIT = 4 << 20
#: The most bytes of a batch as it travels: two lengths, control and data.
BATCH = 2 * LIMIT + 8
#: Bytes that are copied in one go.
GO = 1 << 20
_SIZES = struct.Struct(">II")

#: Bytes of a diff id by which a base is named, and how many bases a recipe may have.
NAME, MOST_BASES = 6, 64

# The steps. The cursor is at a part of one of the bases; `source` is the part whose body is copied from.
BASE, AT, SAME, TIME, TOUCHED, HEAD, HEAD_TOUCHED, HEAD_SIZED, NEW, LOOK, BODY, COPY, DATA = range(1, 14)

#: Gives what a compressed piece holds, at most `LIMIT` bytes, or raises `BadRecipe`.
Unpack = Callable[[bytes], bytes]


class BadRecipe(Exception):  # noqa: N818 - it reads better where it is caught
    """What came is no recipe, or none for these bases."""


class Base(NamedTuple):
    """A layer that is there: where its parts and their bodies begin, and how its bytes are read.

    `starts` has the size of the tar as its last number. `read(offset, size)` gives exactly `size` bytes, or raises.
    """

    starts: array[int]
    bodies: array[int]
    read: Callable[[int, int], bytes]


def pack_number(number: int) -> bytes:
    """A number from 0 on: seven bits a byte, the lowest first, the high bit where more follow."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def pack_signed(number: int) -> bytes:
    """A number of either sign: 0, -1, 1, -2 ... as 0, 1, 2, 3 ..."""
    return pack_number(number * 2 if number >= 0 else -number * 2 - 1)


def framed(control: bytes, data: bytes) -> bytes:
    """A batch as it travels."""
    return _SIZES.pack(len(control), len(data)) + control + data


def unframed(batch: bytes) -> Tuple[bytes, bytes]:
    """Control and data of a batch. Raises `BadRecipe`."""
    if len(batch) < _SIZES.size:
        raise BadRecipe("a batch that is cut")
    control, data = _SIZES.unpack_from(batch)
    if len(batch) != _SIZES.size + control + data:
        raise BadRecipe("a batch of another size than it says")
    return batch[_SIZES.size : _SIZES.size + control], batch[_SIZES.size + control :]


class Decoder:
    """Makes a layer's bytes, from an offset on, and hands them to `write`.

    Args:
        find: gives the layer whose diff id begins with these `NAME` bytes.
        left: how many bytes are to be made.
        write: takes them in order, in pieces of at most `LIMIT` bytes.
        unpack: what unpack the next pieces of control and of data (agent/unpack.py).
    """

    def __init__(
        self, find: Callable[[bytes], Base], left: int, write: Callable[[bytes], Any], unpack: Tuple[Unpack, Unpack]
    ) -> None:
        self._find = find
        self._bases: List[Base] = []
        self._write = write
        self.left = left
        self._unpack = unpack
        self._version = 0  # is not known yet
        self._control = self._data = _Reader(b"")
        self._layer = self._part = self._time = 0  # the cursor, and the time of change of the newest head
        self._source = (0, 0)
        self._copied = 0  # where the newest COPY of the source ended
        self._steps: Dict[int, Callable[[], None]] = {
            BASE: self._name,
            AT: self._at,
            SAME: self._same,
            TIME: self._set_time,
            TOUCHED: self._touched,
            HEAD: self._head,
            HEAD_TOUCHED: self._head_touched,
            HEAD_SIZED: self._head_sized,
            NEW: self._new,
            LOOK: self._look,
            BODY: self._body,
            COPY: self._copy,
            DATA: self._fresh,
        }

    def batch(self, control: bytes, data: bytes) -> None:
        """Carry out one batch. Raises `BadRecipe`."""
        # libzstd takes several calls without any input for a fault.
        self._control, self._data = (
            _Reader(unpack(piece) if piece else b"")
            for unpack, piece in zip(self._unpack, (control, data))  # noqa: B905 - Python 3.9
        )
        if not self._version and self._control.more():
            self._begin()
        while self._control.more():
            step = self._steps.get(self._control.byte())
            if step is None:
                raise BadRecipe("an unknown step")
            step()
        if self._data.more():
            raise BadRecipe("data that no step takes")

    def _begin(self) -> None:
        self._version = self._control.byte()
        if self._version != VERSION:
            raise BadRecipe(f"a recipe of version {self._version}, and not {VERSION}")

    def _emit(self, data: bytes) -> None:
        if len(data) > self.left:
            raise BadRecipe("more bytes than the layer has")
        self.left -= len(data)
        self._write(data)

    def _base(self, layer: int, part: int, count: int = 1) -> Base:
        if layer >= len(self._bases) or part < 0 or count < 1 or part + count >= len(self._bases[layer].starts):
            raise BadRecipe("a part that is not there")
        return self._bases[layer]

    def _range(self, base: Base, start: int, end: int) -> None:
        if end - start > self.left:
            raise BadRecipe("more bytes than the layer has")
        for at in range(start, end, GO):
            self._emit(base.read(at, min(GO, end - at)))

    def _advance(self, count: int) -> Tuple[Base, int]:
        """The base and the part under the cursor, which moves on by `count`."""
        base, part = self._base(self._layer, self._part, count), self._part
        self._part += count
        self._source, self._copied = (self._layer, self._part - 1), 0
        return base, part

    def _name(self) -> None:
        name = self._control.take(NAME)
        if len(self._bases) >= MOST_BASES:
            raise BadRecipe("too many bases")
        self._bases.append(self._find(name))

    def _at(self) -> None:
        self._layer = self._control.number()
        self._part += self._control.signed()

    def _same(self) -> None:
        count = self._control.number()
        base, part = self._advance(count)
        self._range(base, base.starts[part], base.starts[part + count])

    def _set_time(self) -> None:
        self._time += self._control.signed()

    def _touched(self) -> None:
        count = self._control.number()
        base, part = self._advance(count)
        end, starts = part + count, base.starts
        while part < end:
            # The parts that are read in one go, at least one of them.
            stop = max(part + 1, min(end, bisect_right(starts, starts[part] + GO) - 1))
            if starts[stop] - starts[part] > GO:
                self._emit(self._patched(base, part, None))
                self._range(base, base.bodies[part], starts[stop])
            else:
                self._emit(self._all_touched(base, part, stop))
            part = stop

    def _all_touched(self, base: Base, part: int, stop: int) -> bytes:
        """Parts up to `stop`, each with the time of change."""
        start, time = base.starts[part], parts.octal(self._time)
        if base.starts[stop] - start > self.left:
            raise BadRecipe("more bytes than the layer has")
        data = bytearray(base.read(start, base.starts[stop] - start))
        for number in range(part, stop):
            self._changeable(base, number)
            parts.patch(data, base.bodies[number] - BLOCK - start, time)
        return bytes(data)

    def _head(self) -> None:
        base, part = self._advance(1)
        self._range(base, base.starts[part], base.bodies[part])

    def _head_touched(self) -> None:
        self._emit(self._patched(*self._advance(1), None))

    def _head_sized(self) -> None:
        size = self._control.number()
        self._emit(self._patched(*self._advance(1), size))

    def _patched(self, base: Base, part: int, size: Any) -> bytes:
        start, end = base.starts[part], base.bodies[part]
        self._changeable(base, part)
        return parts.patched(base.read(start, end - start), self._time, size)

    def _changeable(self, base: Base, part: int) -> None:
        if not BLOCK <= base.bodies[part] - base.starts[part] <= parts.HEAD_LIMIT + BLOCK:
            raise BadRecipe("a head that cannot be changed")

    def _new(self) -> None:
        self._emit(self._control.take(self._control.number()))

    def _fresh(self) -> None:
        self._emit(self._data.take(self._control.number()))

    def _look(self) -> None:
        layer = self._control.number()
        part = self._part + self._control.signed()
        self._base(layer, part)
        self._source, self._copied = (layer, part), 0

    def _body(self) -> None:
        layer, part = self._source
        base = self._base(layer, part)
        self._range(base, base.bodies[part], base.starts[part + 1])

    def _copy(self) -> None:
        layer, part = self._source
        base = self._base(layer, part)
        start = self._copied + self._control.signed()
        end = start + self._control.number()
        if start < 0 or end > base.starts[part + 1] - base.bodies[part]:
            raise BadRecipe("a copy from outside of a body")
        self._copied = end
        self._range(base, base.bodies[part] + start, base.bodies[part] + end)


class _Reader:
    """Bytes that are taken from the front."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def more(self) -> bool:
        return self._at < len(self._data)

    def byte(self) -> int:
        return self.take(1)[0]

    def take(self, count: int) -> bytes:
        data = self._data[self._at : self._at + count]
        if len(data) < count:
            raise BadRecipe("a step that is cut")
        self._at += count
        return data

    def number(self) -> int:
        found = shift = 0
        while True:
            byte = self.byte()
            found |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return found
            if shift > 56:
                raise BadRecipe("a number that is too large")

    def signed(self) -> int:
        number = self.number()
        return number // 2 if number % 2 == 0 else -(number // 2) - 1
