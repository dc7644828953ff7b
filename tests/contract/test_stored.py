"""Layers out of an engine's store: which way is taken, what it gives, and that no container is left behind."""

import hashlib
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from allfast.agent import content_store, engine_store
from allfast.agent.engine import Engine
from allfast.agent.engine_store import Unreadable
from allfast.agent.image_store import open_image
from allfast.errors import ShipError
from allfast.images.cargo import Cargo
from allfast.images.local_engine import LocalEngine
from allfast.images.stored import StoredImage
from allfast.transfer.documents import Wanted
from allfast.transfer.index import LayerIndex, Stored
from allfast.transfer.source import SavedImage
from testbed import engine as laptop
from testbed.common import HOST_ENV
from testbed.server import Server
from tests.contract.doors import Door
from tests.contract.looks import Look
from tests.contract.yard import AMD64, Yard

Doors = Callable[[str], tuple[Server, Door]]
Yards = Callable[[str], Yard]
SOURCE = Path(__file__).resolve().parents[2] / "src"
DATA = random.Random(7).randbytes(400_000)

#: Reads the first chunk of an image's last layer, says so, and waits in the middle of it.
READER = """\
import signal, sys
from allfast.images.stored import StoredImage
from allfast.transfer.documents import Wanted
from allfast.transfer.index import LayerIndex
signal.signal(signal.SIGINT, signal.default_int_handler)
socket, image, platform, *diff_ids = sys.argv[1:]
for layer in StoredImage(socket, image, Wanted(tuple(diff_ids), platform), LayerIndex()).layers(diff_ids[-1:]):
    for chunk in layer.chunks:
        print("reading", flush=True)
        sys.stdin.read()
"""


def readers(local: LocalEngine, image: str) -> list[str]:
    """The containers that were made to read an image and are still there."""
    filters = ("--filter", f"label={engine_store.LABEL}", "--filter", f"ancestor={image}")
    return local.run("ps", "--all", "--quiet", "--no-trunc", *filters).split()


def wanted(yard: Yard, image: str) -> Wanted:
    found = yard.local.image(image)
    assert found is not None
    return Wanted(found.diff_ids, AMD64)


def stored(yard: Yard, image: str, index: LayerIndex | None = None) -> StoredImage:
    return StoredImage(yard.local.socket(), image, wanted(yard, image), index or LayerIndex())


def read(image: StoredImage | SavedImage, layers: tuple[str, ...]) -> dict[str, bytes]:
    """Layers, as they are given: diff id -> bytes, which are as many as was said before."""
    found = {}
    for layer in image.layers(layers):
        found[layer.diff_id] = b"".join(layer.chunks)
        assert len(found[layer.diff_id]) == layer.size
    return found


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def last_blob(yard: Yard, image: str) -> str:
    """The digest of what is stored of an image's last layer."""
    diff_ids = list(wanted(yard, image).diff_ids)
    with closing(Engine(yard.local.socket())) as engine, open_image(engine, image, diff_ids) as found:
        return found.blob(len(diff_ids) - 1)


@contextmanager
def damaged(blob: str) -> Iterator[None]:
    """One bit of a blob of the local engine with the containerd store is another one."""
    path = f"{content_store.candidates('/var/lib/docker')[0]}/{blob.replace(':', '/')}"
    flip = "import sys; f = open(sys.argv[1], 'r+b'); f.seek(90); b = f.read(1)[0]; f.seek(90); f.write(bytes([b ^ 1]))"
    container = laptop.Engine("containerd")
    container.exec(["python3", "-c", flip, path])
    try:
        yield
    finally:
        container.exec(["python3", "-c", flip, path])


@contextmanager
def reading(yard: Yard, image: str) -> Iterator["subprocess.Popen[str]"]:
    """Another process, in the middle of a layer."""
    words = [sys.executable, "-c", READER, yard.local.socket(), image, AMD64, *wanted(yard, image).diff_ids]
    environment = {**HOST_ENV, "PYTHONPATH": str(SOURCE)}
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "reading\n"
        assert len(readers(yard.local, image)) >= 1
        yield process


@pytest.mark.parametrize("there", ["overlay2", "containerd"])
@pytest.mark.parametrize("here", ["overlay2", "containerd"])
def test_a_changed_layer_is_read_by_the_store(here: str, there: str, yards: Yards, doors: Doors) -> None:
    yard, (_, door) = yards(here), doors(there)
    yard.ship(door, Cargo("web", yard.image("one", data=DATA)))
    image = yard.image("two", data=DATA)
    look = Look(yard.local.run, image)
    yard.ship(door, Cargo("web", image))
    assert yard.shipped()[0].layers_sent == 1
    assert look.ways() == {"store"}
    assert readers(yard.local, image) == []


@pytest.mark.parametrize("here", ["overlay2", "containerd"])
def test_a_whole_image_is_read_by_the_store(here: str, yards: Yards, doors: Doors) -> None:
    yard, (_, door) = yards(here), doors("overlay2")
    image = yard.image("whole", base="scratch", data=DATA)
    look = Look(yard.local.run, image)
    yard.ship(door, Cargo("web", image))
    assert yard.shipped()[0].layers_sent == 1
    assert look.ways() == {"store"}


@pytest.mark.parametrize(
    ("here", "compression"),
    [("overlay2", ""), *(("containerd", compression) for compression in ("", "gzip", "uncompressed", "zstd"))],
)
def test_both_ways_give_the_same(here: str, compression: str, yards: Yards) -> None:
    yard = yards(here)
    image = yard.image("same", data=DATA, compression=compression)
    want, short = wanted(yard, image), stored(yard, image)
    long = SavedImage(lambda: yard.local.saved(image), want, LayerIndex())
    layers = read(short, want.diff_ids)
    assert {layer: digest(data) for layer, data in layers.items()} == {layer: layer for layer in want.diff_ids}
    assert layers == read(long, want.diff_ids)
    assert (short.sizes, short.config()) == (long.sizes, long.config())


def test_layers_that_are_not_missing_are_read_once_for_their_size(yards: Yards) -> None:
    yard, index = yards("containerd"), LayerIndex()
    image = yard.image("sizes", data=DATA, compression="gzip")
    want = wanted(yard, image)
    for reads in (2 + len(want.diff_ids), 2 + 1):  # manifest, configuration, layers
        look = Look(yard.local.run, image)
        assert read(stored(yard, image, index), want.diff_ids[-1:]).keys() == {want.diff_ids[-1]}
        assert look.actions().count("archive-path") == reads


def test_a_wrong_size_is_found_and_forgotten(yards: Yards) -> None:
    yard, index = yards("containerd"), LayerIndex()
    image = yard.image("wrong", base="scratch", compression="gzip")
    (layer,) = wanted(yard, image).diff_ids
    index.put("blobs/" + last_blob(yard, image).replace(":", "/"), Stored(layer, 1000))
    with pytest.raises(Unreadable, match="and not 1000"):
        read(stored(yard, image, index), (layer,))
    assert read(stored(yard, image, index), (layer,))


@pytest.mark.parametrize("platform", [AMD64, f"linux/arm64,{AMD64}"])
def test_an_index_with_attestations_is_read_for_the_platform(platform: str, yards: Yards, doors: Doors) -> None:
    """The two platforms have the same layers, so that only their configurations tell them apart."""
    yard, (_, door) = yards("containerd"), doors("overlay2")
    image = yard.image("index", base="scratch", platform=platform, provenance=True)
    look = Look(yard.local.run, image)
    shipped = yard.ship(door, Cargo("web", image)).images["web"]
    assert look.ways() == {"store"}
    assert shipped.engine_id == shipped.config_digest != image
    assert shipped.platform == AMD64


def test_a_store_that_is_elsewhere_is_no_hindrance(yards: Yards, doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    yard, (_, door) = yards("containerd"), doors("overlay2")
    image = yard.image("elsewhere", base="scratch")
    # A name of its own, because that engine stays: what a run without the guard made is still there
    monkeypatch.setattr(content_store, "BLOBS", f"{yard.name}/blobs")
    look = Look(yard.local.run, image)
    with pytest.raises(Unreadable, match="no place that is known"):
        read(stored(yard, image), wanted(yard, image).diff_ids)
    yard.ship(door, Cargo("web", image))
    assert look.ways() == {"save"}
    assert readers(yard.local, image) == []
    container = laptop.Engine("containerd")
    for folder in content_store.candidates("/var/lib/docker"):
        assert container.exec(["test", "-e", folder], check=False).returncode == 1, "the engine has made it"


@pytest.mark.parametrize("compression", ["gzip", "uncompressed"])
def test_a_damaged_layer_is_not_sent(compression: str, yards: Yards, doors: Doors) -> None:
    yard, (server, door) = yards("containerd"), doors("overlay2")
    image = yard.image(compression, base="scratch", data=DATA, compression=compression)
    before = set(server.docker("image", "ls", "--quiet", "--all").stdout.split())
    with damaged(last_blob(yard, image)):
        with pytest.raises(Unreadable):
            read(stored(yard, image), wanted(yard, image).diff_ids)
        with pytest.raises(ShipError):
            yard.ship(door, Cargo("web", image))
    assert set(server.docker("image", "ls", "--quiet", "--all").stdout.split()) == before
    assert readers(yard.local, image) == []
    yard.ship(door, Cargo("web", image))


def test_a_damaged_document_is_not_believed(yards: Yards) -> None:
    yard = yards("containerd")
    image = yard.image("document", base="scratch")
    with damaged(image), pytest.raises(Unreadable, match="damaged"):
        read(stored(yard, image), wanted(yard, image).diff_ids)
    assert readers(yard.local, image) == []


@pytest.mark.parametrize("here", ["overlay2", "containerd"])
def test_an_interrupt_leaves_no_container(here: str, yards: Yards) -> None:
    yard = yards(here)
    image = yard.image("interrupt", data=DATA)
    with reading(yard, image) as process:
        process.send_signal(signal.SIGINT)
        assert process.wait(30) != 0
    assert readers(yard.local, image) == []


def test_what_a_killed_process_left_is_removed_by_the_next_one(yards: Yards, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not before, however long it is at work: other tests share this engine, and are at work, too."""
    monkeypatch.setattr(engine_store, "LEFT_OVER", 0)
    yard = yards("containerd")
    image = yard.image("killed", data=DATA)
    layers = wanted(yard, image).diff_ids[-1:]
    with reading(yard, image) as process:
        at_work = readers(yard.local, image)
        read(stored(yard, image), layers)
        assert readers(yard.local, image) == at_work
        process.kill()
    read(stored(yard, image), layers)
    assert readers(yard.local, image) == []
