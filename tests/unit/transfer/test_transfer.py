"""Partial archives from every shape of `docker save`, and what must not get through."""

import gzip
import hashlib
import io
import json
import tarfile
import tracemalloc
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from itertools import chain, pairwise, repeat
from pathlib import Path
from typing import IO, cast

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from allfast.agent import archive, gunzip
from allfast.agent.archive import Layer
from allfast.transfer import compression, source
from allfast.transfer.documents import Wanted, normal_platform
from allfast.transfer.errors import TransferError
from allfast.transfer.index import LayerIndex, Stored
from allfast.transfer.source import SavedImage
from tests.unit.transfer.streams import Stream, blob, classic, config_of, containerd, digest, layer_tar, layout

BASE = layer_tar({"bin/app": b"base" * 5000})
CODE = layer_tar({"app/code": b"code" * 3000})
EMPTY = bytes(1024)
LAYERS = [BASE, CODE, EMPTY, CODE]
CONFIG = config_of(LAYERS)
FOREIGN = [layer_tar({"bin/app": b"foreign"})]
SHAPES: dict[str, Callable[[], Stream]] = {
    "classic": lambda: classic(LAYERS, CONFIG),
    "layout": lambda: layout(LAYERS, CONFIG),
    "containerd": lambda: containerd([(FOREIGN, config_of(FOREIGN, "arm64")), (LAYERS, CONFIG)]),
    "containerd, not compressed": lambda: containerd([(LAYERS, CONFIG)], compress=bytes),
}


def wanted(layers: list[bytes], config_digest: str = "", platform: str = "linux/amd64") -> Wanted:
    return Wanted(tuple(digest(layer) for layer in layers), platform, config_digest)


def partial(image: SavedImage, want: Wanted, missing: set[str]) -> dict[str, bytes]:
    """Write a partial archive and read it back as files."""
    data = b"".join(archive.write_layers(image.layers(missing)))
    config = image.config()
    manifest = archive.manifest(config, want.diff_ids, image.sizes)
    data += b"".join(archive.write_documents(config, manifest, want.diff_ids))
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("missing", [LAYERS, [CODE], []], ids=["all", "one", "none"])
def test_archive_holds_the_missing_layers_and_lists_all(shape: str, missing: list[bytes]) -> None:
    want = wanted(LAYERS, digest(CONFIG))
    stream = SHAPES[shape]()
    files = partial(SavedImage(stream.opener(), want, LayerIndex()), want, {digest(layer) for layer in missing})

    manifest_path = blob_of(json.loads(files["index.json"])["manifests"][0]["digest"])
    manifest = json.loads(files[manifest_path])
    layer_files = files.keys() - {"oci-layout", "index.json", "manifest.json", manifest_path, blob(CONFIG)}
    assert {path: files[path] for path in layer_files} == {blob(layer): layer for layer in missing}
    assert files[blob(CONFIG)] == CONFIG
    assert [entry["digest"] for entry in manifest["layers"]] == list(want.diff_ids)
    assert [entry["size"] for entry in manifest["layers"]] == [len(layer) for layer in LAYERS]
    docker = json.loads(files["manifest.json"])
    assert docker == [{"Config": blob(CONFIG), "RepoTags": None, "Layers": [blob(layer) for layer in LAYERS]}]
    assert stream.opened == 1


def blob_of(name: str) -> str:
    return archive.blob_path(name)


def test_manifest_is_the_same_whatever_the_source() -> None:
    want = wanted(LAYERS)
    indexes = {
        partial(SavedImage(make().opener(), want, LayerIndex()), want, set())["index.json"] for make in SHAPES.values()
    }
    assert len(indexes) == 1


@pytest.mark.parametrize("shape", ["classic", "containerd"])
def test_layers_too_big_to_hold_take_a_second_pass(shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "HELD", 1000)
    want = wanted(LAYERS)
    stream = SHAPES[shape]()
    files = partial(SavedImage(stream.opener(), want, LayerIndex()), want, set(want.diff_ids))
    assert files[blob(BASE)] == BASE
    assert stream.opened == 2


def test_what_was_learned_saves_the_second_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "HELD", 1000)
    want = wanted(LAYERS)
    for passes in (2, 1):
        stream = SHAPES["containerd"]()
        partial(SavedImage(stream.opener(), want, LayerIndex(tmp_path / "layers")), want, set(want.diff_ids))
        assert stream.opened == passes


def test_sizes_that_passed_are_remembered(tmp_path: Path) -> None:
    """The next image is read out of the engine's store (images/stored.py), which tells no sizes by itself."""
    want = wanted(LAYERS)
    partial(SavedImage(SHAPES["layout"]().opener(), want, LayerIndex(tmp_path)), want, {digest(CODE)})
    known = LayerIndex(tmp_path)
    assert [known.get(blob(layer)) for layer in LAYERS] == [Stored(digest(layer), len(layer)) for layer in LAYERS]


def test_wrong_entry_of_the_index_is_found_and_dropped(tmp_path: Path) -> None:
    want = wanted(LAYERS)
    packed = blob(gzip.compress(BASE, 1, mtime=0))
    index = LayerIndex(tmp_path)
    index.put(packed, Stored(digest(CODE), len(CODE)))
    with pytest.raises(TransferError, match="other bytes"):
        list(archive.write_layers(SavedImage(SHAPES["containerd"]().opener(), want, index).layers(set(want.diff_ids))))
    assert LayerIndex(tmp_path).get(packed) is None


def test_damaged_layer_is_named() -> None:
    stream = layout(LAYERS, CONFIG)
    stream.files[blob(BASE)] = BASE[:-1] + b"x"
    image = SavedImage(stream.opener(), wanted(LAYERS), LayerIndex())
    with pytest.raises(TransferError, match=digest(BASE)):
        list(archive.write_layers(image.layers({digest(BASE)})))


@pytest.mark.parametrize("shape", SHAPES)
def test_cut_stream_is_an_error(shape: str) -> None:
    whole = len(SHAPES[shape]().data())
    for cut in (100, whole // 3, whole // 2, whole - 11000):
        stream = SHAPES[shape]()
        stream.cut = cut
        image = SavedImage(stream.opener(), wanted(LAYERS), LayerIndex())
        with pytest.raises(TransferError):
            partial(image, wanted(LAYERS), set(wanted(LAYERS).diff_ids))


def test_other_platform_other_image_and_absent_layer_are_refused() -> None:
    for want, message in (
        (wanted(LAYERS, platform="linux/riscv64"), "no image for linux/riscv64"),
        (wanted(LAYERS, digest(b"another")), "another image"),
        (wanted([CODE, BASE]), "another image"),
    ):
        image = SavedImage(layout(LAYERS, CONFIG).opener(), want, LayerIndex())
        list(image.layers(set()))
        with pytest.raises(TransferError, match=message):
            image.config()
    lacking = layout(LAYERS, CONFIG)
    del lacking.files[blob(BASE)]
    image = SavedImage(lacking.opener(), wanted(LAYERS), LayerIndex())
    with pytest.raises(TransferError, match=digest(BASE)):
        list(archive.write_layers(image.layers({digest(BASE)})))


def test_layer_that_looks_like_a_document() -> None:
    layer = layer_tar({'{"a": 1}': b"x"})
    want = wanted([layer])
    stream = classic([layer], config_of([layer]))
    assert partial(SavedImage(stream.opener(), want, LayerIndex()), want, {digest(layer)})[blob(layer)] == layer


def test_platform_names() -> None:
    assert normal_platform("linux/arm64/v8") == normal_platform("linux/arm64") == "linux/arm64"
    assert normal_platform("linux/arm/v6") != normal_platform("linux/arm/v7")


def test_size_over_8_gib_fits_in_a_header() -> None:
    size = 9 << 30
    header = next(iter(archive.write_layers([Layer("sha256:00", size, ())])))
    assert tarfile.TarInfo.frombuf(header, "utf-8", "strict").size == size


PACKED: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zstd": zstandard.compress}


@given(st.sampled_from(list(PACKED)), st.binary(max_size=4000), st.lists(st.integers(1, 3999), max_size=5))
@settings(max_examples=100)
def test_compressed_layers_in_any_chunks_and_members(kind: str, data: bytes, cuts: list[int]) -> None:
    middle = len(data) // 2
    packed = PACKED[kind](data[:middle]) + PACKED[kind](data[middle:])
    edges = [0, *sorted(cut for cut in cuts if cut < len(packed)), len(packed)]
    chunks = [packed[start:end] for start, end in pairwise(edges)]
    assert b"".join(compression.decompress(packed[:4], chunks)) == data


@pytest.mark.parametrize(("kind", "most"), [("gzip", gunzip.PIECE), ("zstd", 16 << 20)])
def test_compressed_layers_expand_in_bounded_steps(kind: str, most: int) -> None:
    packed = PACKED[kind](bytes(1 << 28))
    pieces = [len(piece) for piece in compression.decompress(packed[:4], [packed])]
    assert sum(pieces) == 1 << 28
    assert max(pieces) <= most


@pytest.mark.parametrize("kind", PACKED)
def test_cut_or_damaged_layers_are_an_error(kind: str) -> None:
    packed = PACKED[kind](b"layer" * 1000)
    for bad in (packed[:-5], packed[:10] + b"?" + packed[11:], packed + packed[:9]):
        with pytest.raises(TransferError, match=kind):
            list(compression.decompress(bad[:4], [bad]))


def windowed(plain: bytes, window: int) -> bytes:
    """A frame of zstd that says it needs a window of so many bytes, a power of two."""
    chosen = zstandard.ZstdCompressionParameters(window_log=window.bit_length() - 1, write_content_size=False)
    packer = zstandard.ZstdCompressor(compression_params=chosen).compressobj()
    return packer.compress(plain) + packer.flush()


def test_a_window_that_takes_much_memory_is_refused() -> None:
    most, more = (windowed(b"layer", compression.WINDOW * times) for times in (1, 2))
    assert b"".join(compression.decompress(most, [most])) == b"layer"
    with pytest.raises(TransferError, match="window of more than 32 MiB") as caught:
        list(compression.decompress(more, [more]))
    assert "--ultra" in caught.value.hint


def test_index_survives_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    index = LayerIndex(tmp_path / "file")
    index.put(blob(b"x"), Stored(digest(b"y"), 1))
    assert index.get(blob(b"x")) == Stored(digest(b"y"), 1)


def test_index_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("allfast.transfer.index.MAX_ENTRIES", 3)
    index = LayerIndex(tmp_path)
    for number in range(5):
        index.put(blob(bytes([number])), Stored(digest(b"y"), 1))
    assert len(list(tmp_path.iterdir())) == 3


class Chunks(io.RawIOBase):
    """A stream that is made as it is read."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]  # typeshed names a protocol that exists in type checkers only
        view = memoryview(buffer)
        self._rest = self._rest or next(self._chunks, b"")
        count = min(len(view), len(self._rest))
        view[:count], self._rest = self._rest[:count], self._rest[count:]
        return count


def huge(size: int) -> IO[bytes]:
    """A classic archive whose one layer is `size` zero bytes."""
    member = tarfile.TarInfo("0123/layer.tar")
    member.size = size
    chunks = Chunks(chain([member.tobuf()], repeat(bytes(1 << 18), size >> 18), [bytes(1024)]))
    return cast("IO[bytes]", io.BufferedReader(cast("io.RawIOBase", chunks)))


def test_memory_does_not_grow_with_the_image() -> None:
    size = 256 << 20
    want = Wanted(("sha256:" + hashlib.sha256(bytes(size)).hexdigest(),), "linux/amd64")
    image = SavedImage(lambda: nullcontext(huge(size)), want, LayerIndex())
    tracemalloc.start()
    try:
        sent = sum(len(chunk) for chunk in archive.write_layers(image.layers(set(want.diff_ids))))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sent == size + archive.BLOCK
    assert image.passes == 2
    assert peak < source.HELD + (8 << 20)
