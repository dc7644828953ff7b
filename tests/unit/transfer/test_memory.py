"""What a layer's files cost in memory, on both ends: a little for each of them, and not its head and its name."""

import io
import tarfile
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from allfast.agent import index
from allfast.agent.index import Index
from allfast.transfer.bases import Bases, Known
from allfast.transfer.encode import Chunks, Encoder
from allfast.transfer.known import KnownLayers
from tests.unit.agent.test_receive import Dock, name_of, note
from tests.unit.transfer.recipes import encoded, known

FEW, MORE = 2_000, 6_000
#: Bytes of memory for each file more, at most. Its head has 512, and its name some 60.
EACH = 150


def files(count: int, time: int = 0) -> Iterator[bytes]:
    """The tar of that many small files, in pieces."""
    for number in range(count):
        member = tarfile.TarInfo(f"app/node_modules/package-{number // 50}/lib/file-{number:06d}.js")
        member.size, member.mtime = 500, time
        yield member.tobuf(tarfile.GNU_FORMAT) + b"%0500d" % number + bytes(12)
    yield bytes(1024)


def grown(work: Callable[[int], object]) -> float:
    """Bytes that the peak of memory grows by for each file more."""
    peaks = []
    work(10)  # what is imported and compiled once
    for count in (FEW, MORE):
        tracemalloc.start()
        try:
            work(count)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    return (peaks[1] - peaks[0]) / (MORE - FEW)


def built(count: int, time: int = 0) -> Index:
    return index.build(Chunks(files(count, time)).read)


def nothing(_part: int) -> None:
    """No body is at hand."""


def test_an_index_is_made_packed_and_read_in_little_memory() -> None:
    assert grown(lambda count: Index.from_bytes(built(count).to_bytes())) < EACH


def test_bases_take_little_memory() -> None:
    packed = {count: built(count).to_bytes() for count in (10, FEW, MORE)}
    assert grown(lambda count: Bases([Known(bytes(6), Index.from_bytes(packed[count]), nothing)])) < EACH


@pytest.mark.parametrize("based", [False, True])
def test_a_layer_is_encoded_in_little_memory(based: bool, tmp_path: Path) -> None:
    bases = {count: Bases([Known(bytes(6), built(count), nothing)] * based) for count in (10, FEW, MORE)}
    memory = KnownLayers(tmp_path)

    def encode(count: int) -> None:
        bodies = memory.writer()
        encoder = Encoder(bases[count], 0, "zlib", bodies.keep)
        for _ in encoder.batches(Chunks(files(count, 9)).read):
            pass
        memory.put("sha256:" + f"{count:064x}", encoder.index, bodies)

    assert grown(encode) < EACH


def test_a_layer_is_received_and_its_index_told_in_little_memory(tmp_path: Path) -> None:
    dock = Dock(tmp_path)
    cache = dock.receiver.cache
    cache.make()
    layers = {}
    for count in (10, FEW, MORE):
        old, new = (b"".join(files(count, time)) for time in (1, 2))
        cache.whole(name_of(old)).write_bytes(old)
        layers[count] = new, encoded(new, [known(old)])[0]

    def receive(count: int) -> None:
        new, batches = layers[count]
        for batch in [*batches, b""]:
            dock.receiver.batch(count, io.BytesIO(batch))
        dock.receiver.receive(count, name_of(new), len(new), 0, "zlib", note)
        dock.receiver._indexing.finish()
        dock.receiver.index(name_of(new)[7:19])

    assert grown(receive) < EACH
