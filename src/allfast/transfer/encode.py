"""A layer as a recipe (agent/recipe.py): what the server has is referred to, what is new is sent.

The layer is read once, as a stream, and its own index is made on the way. Memory holds the indexes of the bases, one
batch, and at most `WHOLE` bytes of one body.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from io import BytesIO

from allfast.agent import parts, recipe
from allfast.agent.chunks import CHUNKED, Chunk, cut, key, key_of
from allfast.agent.index import Index
from allfast.agent.parts import BLOCK, SIZE, SUM, TIME
from allfast.transfer.bases import Bases
from allfast.transfer.matches import SEED, matches
from allfast.transfer.steps import Batch, Origin, Place, StepWriter

#: A body of at most that many bytes is read as a whole and may be found by its key; a larger one by its chunks.
WHOLE = 4 << 20
#: A changed body of at most that many bytes is compared with the version before, where that is at hand.
COMPARED = 1 << 18


class Encoder:
    """Makes the recipe of one layer, from the offset `begin` of its tar on, compressed by `codec`.

    `keep` is offered every body that may be compared with a later version, with its part's number. When `batches`
    has ended, `index` is the layer's own.
    """

    def __init__(self, bases: Bases, begin: int, codec: str, keep: Callable[[int, bytes], None] | None = None) -> None:
        self._bases = bases
        self._begin = begin
        self._keep = keep
        self._out = StepWriter(bases.names, begin, codec)
        self.index = Index()

    @property
    def named(self) -> list[bytes]:
        """The names of the bases that the recipe refers to by now."""
        return self._out.named

    def batches(self, read: Callable[[int], bytes]) -> Iterator[Batch]:
        """The recipe of the layer that `read` gives (as `parts.next_part` wants it), piece by piece."""
        while (part := parts.next_part(read)) is not None:
            whole = 0 <= part.size <= WHOLE
            work = self._whole(part, read(part.size)) if whole else self._streamed(part, read)
            for _ in work:
                if self._out.full() and (batch := self._out.batch()):
                    yield batch
        if batch := self._out.batch():
            yield batch

    def _whole(self, part: parts.Part, body: bytes) -> Iterator[None]:
        """A part whose body is in memory."""
        head, chunked = part.head, part.size >= CHUNKED
        chunks = list(cut(BytesIO(body).read, len(body))) if chunked else []
        told = [(len(chunk.data), chunk.key) for chunk in chunks]
        body_key = key_of(told) if chunked else key(body)
        if self._keep and 0 < len(body) <= COMPARED:
            self._keep(len(self.index), body)
        behind = self._begin - self.index.size  # bytes of this part, and of those after it, that are there
        self.index.add(head, len(body), body_key, told)
        if behind > 0:
            yield from self._out.new((head + body)[behind:])
            return
        found, origin = self._origin(head)
        if found and origin and origin.step in _PARTS and self._bases.has_body(found, body_key, len(body)):
            self._out.part(found, origin, len(head) + len(body))
        else:
            yield from self._head(head, found, origin)
            if body:
                yield from self._body(body, body_key, found, chunks)
        yield None

    def _origin(self, head: bytes) -> tuple[Place | None, Origin | None]:
        """The part that this one is the next version of, and how its head becomes this one."""
        here = self._bases.head(self._out.cursor)
        origin = _derived(here, head) if here is not None else None
        if origin:
            return self._out.cursor, origin
        found = self._reached(self._bases.named_as(head))
        there = self._bases.head(found) if found else None
        return found, _derived(there, head) if there is not None else None

    def _reached(self, place: Place | None) -> Place | None:
        return place if place and self._out.reaches(place) else None

    def _head(self, head: bytes, found: Place | None, origin: Origin | None) -> Iterator[None]:
        if found and origin:
            self._out.head(found, origin, len(head))
        else:
            yield from self._out.new_head(head)

    def _body(self, body: bytes, body_key: bytes, before: Place | None, chunks: list[Chunk]) -> Iterator[None]:
        """A body; `before` has the version before of that name."""
        there = self._reached(self._bases.body(body_key, len(body)))
        if there:
            self._out.body(there, len(body))
            return
        place = before or self._out.cursor
        old = self._bases.content(place) if len(body) <= COMPARED else None
        # A new name often has an old neighbour at the cursor; one that begins in another way is another file.
        if old and (before or old[:SEED] == body[:SEED]):
            yield from self._compared(body, old, place)
        elif chunks:
            yield from self._chunked(chunks)
        else:
            yield from self._out.new(body)

    def _compared(self, body: bytes, old: bytes, place: Place) -> Iterator[None]:
        at = 0
        for match in matches(old, body):
            yield from self._out.new(body[at : match.new])
            self._out.copy(place, match.old, match.size)
            at = match.new + match.size
        yield from self._out.new(body[at:])

    def _chunked(self, chunks: Iterable[Chunk]) -> Iterator[None]:
        for chunk in chunks:
            found = self._bases.chunk(chunk)
            if found and self._out.reaches(found[0]):
                self._out.copy(*found, len(chunk.data))
                yield None
            else:
                yield from self._out.new(chunk.data)

    def _streamed(self, part: parts.Part, read: Callable[[int], bytes]) -> Iterator[None]:
        """A part with a large body, or with the rest of the stream."""
        at = self.index.size
        behind = self._begin - at
        if behind <= 0:
            yield from self._head(part.head, *self._origin(part.head))
        else:
            yield from self._out.new(part.head[behind:])
        at += len(part.head)
        chunks: list[tuple[int, bytes]] = []
        for chunk in cut(read, part.size):
            chunks.append((len(chunk.data), chunk.key))
            behind, at = self._begin - at, at + len(chunk.data)
            yield from self._out.new(chunk.data[behind:]) if behind > 0 else self._chunked([chunk])
        self.index.add(part.head, at - self.index.size - len(part.head), key_of(chunks), chunks)
        yield None


class Chunks:
    """Chunks of a stream, read in pieces of any size."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._held = b""
        self._at = 0

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes; fewer at the end."""
        found = self._held[self._at : self._at + size]
        self._at += len(found)
        if len(found) == size:
            return found
        pieces, left = [found], size - len(found)
        while left:
            try:
                self._held, self._at = next(self._chunks), 0
            except StopIteration:
                self._held, self._at = b"", 0
                break
            pieces.append(self._held[:left])
            self._at = len(pieces[-1])
            left -= self._at
        return b"".join(pieces)


_PARTS = (recipe.SAME, recipe.TOUCHED)


def _derived(old: bytes, new: bytes) -> Origin | None:
    """How a head becomes of another one, None where it does not."""
    if old == new:
        return Origin(recipe.SAME)
    start = len(new) - BLOCK
    if len(old) != len(new) or start < 0:
        return None
    if old[: start + SIZE.start] != new[: start + SIZE.start] or old[start + SUM.stop :] != new[start + SUM.stop :]:
        return None
    block = new[start:]
    time = parts.number(block[TIME])
    if time is None:
        return None
    if old[start:][SIZE] == block[SIZE]:
        return Origin(recipe.TOUCHED, time) if parts.patched(old, time) == new else None
    size = parts.number(block[SIZE])
    if size is None or parts.patched(old, time, size) != new:
        return None
    return Origin(recipe.HEAD_SIZED, time, size)
