"""Layers that arrive at an agent: whole, in the middle, damaged, twice, onto a full disk."""

import hashlib
import io
import json
import os
import random
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allfast.agent import gentle, layer_cache, unpack
from allfast.agent.archive import chain_id
from allfast.agent.engine import Engine, EngineUnreachable
from allfast.agent.protocol import AgentError, Kind
from allfast.agent.receive import CONFIG, WINDOW, Receiver, text
from allfast.agent.recipe import LIMIT, framed
from tests.limits import files_of_at_most
from tests.unit.transfer.recipes import encoded, known, tree


def name_of(layer: bytes) -> str:
    return "sha256:" + hashlib.sha256(layer).hexdigest()


OLD = tree({f"app/{n}.js": random.Random(n).randbytes(3000) for n in range(300)}, 1_600_000_000)
NEW = tree({f"app/{n}.js": random.Random(n or 1000).randbytes(3000) for n in range(300)}, 1_700_000_000)


#: More bytes than the indexes of a few small layers, and fewer than one of the layers.
INDEXES = 5000


class Loading:
    """An engine that takes every image."""

    @contextmanager
    def stream(self, _method: str, _path: str, body: Iterable[bytes], **_: Any) -> Iterator[SimpleNamespace]:
        """An answer without values."""
        list(body)
        yield SimpleNamespace(values=lambda: iter(()))


class Dock:
    """A receiver, and what a laptop sends to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "layers"
        self.receiver = Receiver(Engine("/nowhere"), folder, dict)
        self.stream = 0

    def files(self) -> set[str]:
        """What the cache has, but for indexes."""
        return {path.name for path in self.folder.iterdir() if path.suffix != ".index"}

    def send(
        self,
        layer: bytes,
        *bases: bytes,
        begin: int = 0,
        batches: int | None = None,
        name: str = "",
        codec: str = "zlib",
    ) -> int:
        """Send a layer, or only its first batches; how many bytes went."""
        recipe, _, _ = encoded(layer, [known(base) for base in bases], begin, codec)
        self.stream += 1
        stream, sent = self.stream, recipe[:batches]
        with ThreadPoolExecutor(1) as pool:
            work = pool.submit(
                self.receiver.receive,
                stream,
                name or name_of(layer),
                len(layer),
                begin,
                codec,
                note,
            )
            for batch in [*sent, *([] if batches is None else [b""])]:
                self.receiver.batch(stream, io.BytesIO(batch))
            self.damaged = work.result(30)["damaged"]
        return sum(map(len, sent))


#: Layers that an engine has, and that never come.
BASES = ["sha256:" + digit * 64 for digit in "ab"]


def config_of(diff_ids: list[str]) -> str:
    """The configuration of an image with these layers, as it comes for a load."""
    return text(json.dumps({"rootfs": {"diff_ids": diff_ids}}).encode())


def note(_: Any) -> None:
    """Nobody is told."""


@pytest.fixture
def dock(tmp_path: Path) -> Dock:
    return Dock(tmp_path)


@pytest.mark.parametrize("codec", unpack.codecs())
def test_a_layer_comes_as_changes_to_another_one(dock: Dock, codec: str) -> None:
    first, second = dock.send(OLD, codec=codec), dock.send(NEW, OLD, codec=codec)
    assert second * 100 < first
    stock = dock.receiver.stock([name_of(NEW), "sha256:" + "0" * 64])
    assert stock["whole"] == [name_of(NEW)]
    assert stock["codecs"] == unpack.codecs()
    assert [size for _, size in stock["cached"]] == [len(NEW), len(OLD)]
    with dock.receiver.cache.use(name_of(NEW)) as file:
        assert file.read() == NEW


def test_a_transfer_that_was_cut_goes_on_where_it_ended(dock: Dock) -> None:
    big = tree({f"{n}": random.Random(n).randbytes(900_000) for n in range(5)})
    whole = sum(map(len, encoded(big, [])[0]))
    with pytest.raises(AgentError, match="given up"):
        dock.send(big, batches=4)
    begun = dock.receiver.stock([name_of(big)])["begun"][name_of(big)]
    assert 1_000_000 < begun < len(big)
    assert dock.send(big, begin=begun) < whole - begun * 0.9
    assert dock.receiver.stock([name_of(big)])["whole"] == [name_of(big)]


def test_a_flipped_byte_in_the_cache_is_found_and_the_layer_removed(dock: Dock) -> None:
    dock.send(OLD)
    path = dock.receiver.cache.whole(name_of(OLD))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    dock.send(NEW, OLD)
    assert dock.damaged == [name_of(OLD)]
    assert list(dock.folder.iterdir()) == []
    dock.send(NEW)
    assert dock.damaged == []
    assert dock.receiver.stock([name_of(NEW)])["whole"]


def test_the_beginning_of_another_layer_is_found_out(dock: Dock) -> None:
    dock.send(OLD)
    part = dock.receiver.cache.part(name_of(NEW))
    part.write_bytes(bytes(1000))
    with pytest.raises(AgentError) as caught:
        dock.send(NEW, begin=1000)
    assert caught.value.kind == Kind.BAD_DIGEST
    assert not part.exists()


def test_a_codec_that_is_not_here_leaves_nothing(dock: Dock) -> None:
    with pytest.raises(AgentError) as caught:
        dock.receiver.receive(1, name_of(OLD), len(OLD), 0, "later", note)
    assert caught.value.kind == Kind.BAD_REQUEST
    assert not dock.folder.exists()


@pytest.mark.parametrize(
    "batch",
    [b"no", b"these bytes are no batch", framed(b"no stream", b""), framed(b"", b"no stream")],
    ids=["too short", "other sizes", "control", "data"],
)
@pytest.mark.parametrize("codec", unpack.codecs())
def test_bytes_that_are_no_recipe_leave_nothing(dock: Dock, codec: str, batch: bytes) -> None:
    dock.receiver.batch(1, io.BytesIO(batch))
    with pytest.raises(AgentError, match="did not arrive") as caught:
        dock.receiver.receive(1, name_of(OLD), len(OLD), 0, codec, note)
    assert caught.value.kind == Kind.BAD_DIGEST
    assert list(dock.folder.iterdir()) == []


def test_the_recipe_of_another_layer_leaves_nothing(dock: Dock) -> None:
    with pytest.raises(AgentError, match="another digest") as caught:
        dock.send(NEW, name=name_of(OLD))
    assert caught.value.kind == Kind.BAD_DIGEST
    assert list(dock.folder.iterdir()) == []


@pytest.mark.parametrize("name", ["../../etc/passwd", "sha256:" + "A" * 64, "sha256:" + "0" * 63 + "/", ""])
def test_a_name_that_is_no_diff_id_makes_no_file(dock: Dock, name: str) -> None:
    with pytest.raises(AgentError, match="not a diff id"):
        dock.receiver.receive(1, name, 10, 0, "zlib", note)
    assert not dock.folder.exists() or list(dock.folder.iterdir()) == []


def test_two_layers_at_once_do_not_mix(dock: Dock) -> None:
    docks = [Dock(dock.folder.parent), Dock(dock.folder.parent)]
    docks[1].stream = 50
    docks[1].receiver = docks[0].receiver
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda pair: pair[0].send(pair[1]), zip(docks, (OLD, NEW), strict=True)))
    assert len(dock.receiver.stock([name_of(OLD), name_of(NEW)])["whole"]) == 2


@pytest.mark.parametrize("free", [None, 0])
def test_a_disk_that_gets_full_gets_its_space_back(
    free: int | None, dock: Dock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of a layer: what was written of it goes, and all others where that was not enough."""
    dock.send(OLD)
    dock.receiver._indexing.finish()
    if free is not None:
        before = iter([1 << 40])
        monkeypatch.setattr(layer_cache.LayerCache, "free", lambda _: next(before, free))
    with files_of_at_most(len(NEW) // 2), pytest.raises(OSError, match="File too large"):
        dock.send(NEW, OLD)
    left = [name_of(OLD)] if free is None else []
    there = dock.folder.glob("[!.]*")  # an index of the one before may be being written, by another name
    assert {f"sha256:{path.stem}" for path in there} == set(left)


def test_the_cache_is_bounded_and_keeps_what_was_used_last(dock: Dock) -> None:
    layers = [tree({"file": bytes([n]) * 1000}) for n in range(4)]
    for age, layer in enumerate(layers):
        dock.send(layer)
        os.utime(dock.receiver.cache.whole(name_of(layer)), (1000 + age, 1000 + age))
    dock.receiver.cache.use(name_of(layers[0])).close()
    dock.receiver.cache.trim(2 * len(layers[0]) + INDEXES)
    assert {layer for layer, _ in dock.receiver.cache.layers()} == {name_of(layers[0]), name_of(layers[3])}
    dock.receiver.cache.trim(0, {name_of(layers[3])})
    assert [layer for layer, _ in dock.receiver.cache.layers()] == [name_of(layers[3])]


def test_a_file_that_another_thread_finishes_meanwhile(dock: Dock) -> None:
    """It is listed by its old name, and looked at when it has its new one: a name that leads nowhere stands for it."""
    dock.send(OLD)
    for suffix in ("part", "tar"):
        (dock.folder / f"{'0' * 64}.{suffix}").symlink_to("nowhere")
    dock.receiver.cache.trim(10 * len(OLD))
    assert [layer for layer, _ in dock.receiver.cache.layers()] == [name_of(OLD)]


def test_batches_that_nobody_waits_for_are_bounded(dock: Dock) -> None:
    threads = set(threading.enumerate())
    for _ in range(1000):
        dock.receiver.batch(7, io.BytesIO(b"x" * 100))
    assert set(threading.enumerate()) <= threads, "an index of the test before may be done meanwhile"
    assert dock.receiver._waiting[7].qsize() <= 2 * WINDOW
    with pytest.raises(AgentError) as caught:
        dock.receiver.receive(7, name_of(OLD), len(OLD), 0, "zlib", note)
    assert caught.value.kind == Kind.BAD_DIGEST


def test_a_batch_that_is_too_large_is_left_unread_and_refused(dock: Dock) -> None:
    half = 5 << 20
    body = io.BytesIO(framed(bytes(half), bytes(half)))
    dock.receiver.batch(7, body)
    assert body.tell() <= 2 * LIMIT + 8
    with pytest.raises(AgentError, match="another size") as caught:
        dock.receiver.receive(7, name_of(OLD), len(OLD), 0, "zlib", note)
    assert caught.value.kind == Kind.BAD_DIGEST


def test_an_image_that_is_loaded_does_not_drive_out_what_others_await(dock: Dock) -> None:
    """Several images are sent before the first of them is loaded, and each load trims the cache."""
    old, shared = (tree({"file": bytes([n]) * 1000}) for n in range(2))
    under_way = tree({f"{n}": random.Random(n).randbytes(900_000) for n in range(3)})
    for layer in (old, shared):
        dock.send(layer)
    dock.receiver._indexing.finish()
    first, second = [BASES[0], name_of(shared)], [BASES[1], name_of(shared), name_of(under_way)]
    assert dock.receiver.stock([name_of(shared)])["whole"] == [name_of(shared)], "as for a plan: nobody awaits it"
    for image in (first, second, second):  # once more, as for a layer that did not arrive
        dock.receiver.stock(image[1:], chain_id(image))
    with pytest.raises(AgentError, match="given up"):
        dock.send(under_way, batches=2)
    still_awaited = {f"{name_of(shared)[7:]}.tar", f"{name_of(under_way)[7:]}.part"}
    with pytest.raises(EngineUnreachable):
        dock.receiver.load(config_of(first), [1] * len(first), [], 0)
    assert still_awaited | {f"{name_of(old)[7:]}.tar"} <= dock.files(), "the next attempt goes on with them"
    dock.receiver.find = lambda *_: {"id": "sha256:there"}  # type: ignore[method-assign]
    dock.receiver._engine = cast(Engine, Loading())
    left = []
    for image in (first, second):
        dock.receiver.load(config_of(image), [1] * len(image), [], 0)
        left.append(dock.files())
    assert left == [still_awaited, set()]


def priority() -> tuple[int, str]:
    """The niceness of this thread, and its class and level for the disk, as the kernel tells them."""
    thread = threading.get_native_id()
    stat = Path(f"/proc/self/task/{thread}/stat").read_text().rpartition(")")[2].split()
    done = subprocess.run(["ionice", "-p", str(thread)], capture_output=True, text=True, check=True)
    return int(stat[16]), done.stdout.strip()  # proc(5): the 19th field; the third is the first after the name


@pytest.mark.parametrize(
    "work",
    [
        lambda receiver: receiver.receive(1, name_of(OLD), len(OLD), 0, "later", note),
        lambda receiver: receiver.load(config_of(BASES), [1, 1], [], 0),
    ],
    ids=["receive", "load"],
)
def test_a_thread_that_works_on_layers_lets_the_site_go_first(work: Callable[[Receiver], Any], dock: Dock) -> None:
    """Only that thread: the others answer the laptop."""

    def with_priority() -> tuple[int, str]:
        with suppress(AgentError, EngineUnreachable):  # low before anything is done
            work(dock.receiver)
        return priority()

    before = priority()
    with ThreadPoolExecutor(1) as pool:
        niceness, disk = pool.submit(with_priority).result(30)
    assert niceness >= gentle.NICE
    assert disk == "best-effort: prio 7"
    assert priority() == before


def test_what_came_and_was_never_loaded_is_bounded_in_the_end(dock: Dock) -> None:
    layers = [tree({"file": bytes([n]) * 1000}) for n in range(3)]
    for age, layer in enumerate(layers):
        dock.send(layer)
        os.utime(dock.receiver.cache.whole(name_of(layer)), (1000 + age, 1000 + age))
    dock.receiver.trim(2 * len(layers[0]) + INDEXES)
    assert {layer for layer, _ in dock.receiver.cache.layers()} == {name_of(layers[1]), name_of(layers[2])}


def test_a_cache_that_was_never_made_is_within_its_bounds(tmp_path: Path) -> None:
    Receiver(Engine("/nowhere"), tmp_path, dict).trim(0)
    assert list(tmp_path.iterdir()) == []


@given(st.binary() | st.text(st.characters(exclude_categories=["Cs"])).map(str.encode))
def test_a_configuration_travels_byte_for_byte(config: bytes) -> None:
    """Its digest is the image's id. What is no UTF-8 arrives, too."""
    arrived = json.loads(json.dumps(text(config)))
    assert arrived.encode("utf-8", "surrogateescape") == config


def test_a_configuration_is_bounded(dock: Dock) -> None:
    """In bytes, not in characters."""
    half = config_of([]) + " " * (CONFIG // 2)
    for config in (half, half + "é" * (CONFIG // 4)):
        with pytest.raises(AgentError if config != half else EngineUnreachable) as caught:
            dock.receiver.load(config, [], [], 0)
    assert isinstance(caught.value, AgentError)
    assert caught.value.kind == Kind.BAD_REQUEST


def test_the_chain_of_layers() -> None:
    """The first id is the layer's own (OCI image specification, "Layer ChainID"); an image may have no layer at all."""
    one, two = "sha256:" + "1" * 64, "sha256:" + "2" * 64
    assert [chain_id([]), chain_id([one])] == ["", one]
    assert chain_id([one, two]) == "sha256:" + hashlib.sha256(f"{one} {two}".encode()).hexdigest()
