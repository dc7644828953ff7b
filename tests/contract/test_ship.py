"""Images from real local engines into real servers' engines, over SSH: every pair of stores, and what goes wrong."""

import json
import os
import random
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, nullcontext
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import pytest

from allfast.agent import telling
from allfast.agent.answer import Answer
from allfast.agent.engine import Engine
from allfast.agent.protocol import Kind
from allfast.errors import RefusedError, ShipError
from allfast.events import Event, Note, ServerWorks, ShipProgress
from allfast.images.cargo import Cargo
from allfast.images.data_images import ensure_data_image
from allfast.images.local_engine import LocalEngine
from allfast.images.ship import Shipment, Shipper
from allfast.model.release import Image
from allfast.remote.failures import AgentRefusal
from allfast.transfer.known import KnownLayers
from testbed import bases
from testbed.registry import Registry, reachable, registry
from testbed.server import Server
from tests.contract.doors import Door, compose_output, door, empty
from tests.contract.yard import AMD64, Yard
from tests.unit.transfer.recipes import tree

Doors = Callable[[str], tuple[Server, Door]]
Locals = Callable[[str], LocalEngine]


Yards = Callable[[str], Yard]


@pytest.mark.parametrize("there", ["overlay2", "containerd", "bullseye"])
@pytest.mark.parametrize("here", ["overlay2", "containerd"])
def test_only_missing_layers_go_and_the_image_runs(here: str, there: str, yards: Yards, doors: Doors) -> None:
    yard, (server, door) = yards(here), doors(there)
    first = yard.ship(door, Cargo("web", yard.image("one")))
    second_id = yard.image("two")
    second = yard.ship(door, Cargo("web", second_id))

    (event,) = yard.shipped()
    assert (event.layers_sent, event.layers) == (1, 3)
    assert event.sent == second.wire_bytes < 20_000
    image = second.images["web"]
    assert image.diff_ids[:2] == first.images["web"].diff_ids[:2]
    local = yard.local.image(second_id)
    assert local is not None
    assert (image.diff_ids, image.platform) == (local.diff_ids, AMD64)
    found = json.loads(server.docker("image", "inspect", image.engine_id).stdout)[0]
    assert found["Id"] == image.engine_id
    assert found["RepoTags"] == [f"{yard.name}/web:1"]
    for shipment, text in ((first, "one"), (second, "two")):
        assert text in compose_output(door, shipment.images["web"].engine_id, "cat", f"/{yard.name}/text")


def test_identity_is_the_same_for_both_local_stores(yards: Yards, doors: Doors) -> None:
    """One image, saved and loaded into the other local store, is one and the same to a server."""
    ours, theirs = yards("overlay2"), yards("containerd")
    image = ours.image("same", base="scratch")
    archive = subprocess.run(["docker", "image", "save", image], capture_output=True, check=True).stdout
    environment = dict(theirs.local.environment)
    loaded = subprocess.run(
        ["docker", "image", "load"], input=archive, env=environment, capture_output=True, check=True
    )
    other = loaded.stdout.decode().strip().rpartition(" ")[2]
    _, door = doors("containerd")
    images = {yard.ship(door, Cargo("web", name)).images["web"] for yard, name in ((ours, image), (theirs, other))}
    assert len(images) == 1
    assert images.pop().config_digest == image


def test_what_is_there_is_not_sent_again(yards: Yards, doors: Doors) -> None:
    yard, (_, door) = yards("overlay2"), doors("overlay2")
    image = yard.image("again", base="scratch")
    first = yard.ship(door, Cargo("web", image, image))
    assert first.wire_bytes > 0
    second = yard.ship(door, Cargo("web", image, image))
    assert second.images == first.images
    assert second.wire_bytes == 0
    assert yard.shipped()[0].sent == 0


def test_services_that_share_an_image_ship_it_once(yards: Yards, doors: Doors) -> None:
    yard, (server, door) = yards("overlay2"), doors("overlay2")
    image = yard.image("shared", base="scratch")
    shipment = yard.ship(door, Cargo("api", image), Cargo("worker", image))
    assert shipment.images["api"] == shipment.images["worker"]
    assert [(event.service, event.sent > 0) for event in yard.shipped()] == [("api", True), ("worker", False)]
    assert shipment.wire_bytes == yard.shipped()[0].sent
    tags = json.loads(server.docker("image", "inspect", shipment.images["api"].engine_id).stdout)[0]["RepoTags"]
    assert sorted(tags) == [f"{yard.name}/api:1", f"{yard.name}/worker:1"]


@pytest.mark.parametrize("store", ["overlay2", "containerd"])
def test_an_image_that_is_gone_gets_no_name(store: str, yards: Yards, doors: Doors) -> None:
    yard, (server, door) = yards("overlay2"), doors(store)
    id_ = yard.ship(door, Cargo("web", yard.image("here"))).images["web"].engine_id
    names = {f"{yard.name}/web:2": id_, f"{yard.name}/api:2": "sha256:" + "0" * 64}
    with pytest.raises(AgentRefusal, match=f"name an image {yard.name}/api:2: .*(No such image|not found)") as refused:
        door.cache.name(names)
    assert (refused.value.kind, refused.value.details) == (Kind.ENGINE, 404)
    assert "run the same command again" in refused.value.hint
    tags = json.loads(server.docker("image", "inspect", id_).stdout)[0]["RepoTags"]
    assert sorted(tags) == [f"{yard.name}/web:1", f"{yard.name}/web:2"]


@pytest.mark.parametrize("there", ["overlay2", "containerd"])
def test_layers_that_are_not_there_after_all_are_sent_in_a_second_attempt(
    there: str, yards: Yards, doors: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of them never was, in no store: the containerd store does not forget those of an image at once that it had.
    It takes an archive without them and says nothing; the image is looked for."""
    yard, (server, door) = yards("overlay2"), doors(there)
    empty(server)
    door.cache.clear()
    monkeypatch.setattr(door, "claims", 3)
    shipment = yard.ship(door, Cargo("web", yard.image("claimed", data=os.urandom(300_000), apart=True)))
    assert [event.level for event in yard.events if isinstance(event, Note)] == ["warning"]
    (told,) = yard.shipped()
    assert (told.layers_sent, told.layers) == (4, 4), "what came with the first attempt is in the layer cache"
    output = compose_output(door, shipment.images["web"].engine_id, "cat", f"/{yard.name}/text")
    assert "claimed" in output


@pytest.mark.parametrize("lost", [False, True])
def test_a_layer_on_two_bases_is_there_for_both_images(lost: bool, yards: Yards, doors: Doors) -> None:
    """As in a deploy all are sent before the first is loaded, and each load trims the cache to less than the layer."""
    yard, (server, door) = yards("overlay2"), doors("overlay2")
    empty(server)
    door.cache.clear()
    shared = tree({"shared": random.Random(4).randbytes(800_000)})
    images = [yard.of_layers(tree({base: base.encode()}), shared) for base in ("one", "two")]
    shipper = yard.shipper(door, cache_limit=20_000)
    freights = [shipper.prepare(Cargo(service, image)) for service, image in zip(("web", "api"), images, strict=True)]
    for freight, sent in [(freight, shipper.send(freight)) for freight in freights]:
        assert shipper.load(freight, sent).diff_ids == freight.local.diff_ids
        if lost:
            door.cache.clear()
    assert 800_000 < shipper.wire_bytes < 810_000, "the engine has it on the other base"
    assert [event.layers_sent for event in yard.shipped()] == ([2, 2] if lost else [2, 1])


def test_progress_grows_to_the_whole(yards: Yards, doors: Doors) -> None:
    yard, (server, door) = yards("overlay2"), doors("overlay2")
    empty(server)
    door.cache.clear()
    yard.ship(door, Cargo("web", yard.image("progress")))
    progress = [event for event in yard.events if isinstance(event, ShipProgress)]
    assert len(progress) >= 2
    assert all(event.all_sent == event.sent and event.all_total == event.total for event in progress)
    assert 30e6 < progress[-1].wire < 70e6
    assert all(earlier.sent <= later.sent <= later.total for earlier, later in pairwise(progress))
    assert all(100e6 < event.total < 180e6 for event in progress)
    assert len(progress) <= 1 + progress[-1].seconds / 0.2


@pytest.mark.parametrize("there", ["overlay2", "containerd", "bullseye"])
def test_what_the_server_is_at_is_told(there: str, yards: Yards, doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an engine with a graph driver also how far it is with what it unpacks."""
    monkeypatch.setattr(telling, "EVERY", 0.001)
    yard, (_, door) = yards("overlay2"), doors(there)
    data = random.Random(there).randbytes(40_000_000)
    yard.ship(door, Cargo("web", yard.image("first", data=data)))
    first = _works(yard.events)
    assert [name for name, _ in groupby(work.work for work in first)] == ["loading", "unpacking"]
    assert all(work.done <= work.total and work.total > 40_000_000 for work in first if work.done)
    unpacked = [work.done for work in first if work.work == "unpacking"]
    assert unpacked[0] == 0
    assert (unpacked[-1] == 0) == (there == "containerd")
    door.cache.clear()
    yard.ship(door, Cargo("web", yard.image("second", data=data)))
    read = [work.done for work in _works(yard.events) if work.work == "reading"]
    assert read == sorted(read)
    assert 0 < read[-1] < 42_000_000


def test_an_image_is_loaded_while_another_one_travels(yards: Yards, doors: Doors) -> None:
    """The second waits in the middle of its way until the first is there."""
    yard, (server, door) = yards("overlay2"), doors("overlay2")
    empty(server)
    door.cache.clear()
    images = {name: yard.image(name, data=random.Random(name).randbytes(20_000_000)) for name in ("web", "api")}
    midway, loaded = threading.Event(), threading.Event()

    def emit(event: Event) -> None:
        if isinstance(event, ShipProgress) and event.service == "api" and 0 < event.sent < event.total:
            midway.set()
            assert loaded.wait(60)

    known, index = KnownLayers(yard.folder / "known"), yard.index
    shipper = Shipper(
        door, yard.local, emit, platform=AMD64, tag=lambda name: f"{yard.name}/{name}:1", index=index, known=known
    )
    web, api = (shipper.prepare(Cargo(name, image)) for name, image in images.items())
    sent = shipper.send(web)
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(shipper.send, api)
        try:
            assert midway.wait(60)
            assert shipper.load(web, sent).diff_ids == web.local.diff_ids
            assert not sending.done()
        finally:
            loaded.set()
        assert shipper.load(api, sending.result()).diff_ids == api.local.diff_ids


def _works(events: list[Event]) -> list[ServerWorks]:
    return [event for event in events if isinstance(event, ServerWorks)]


def test_another_platform_is_never_sent(yards: Yards, doors: Doors) -> None:
    yard, (server, door) = yards("overlay2"), doors("overlay2")
    before = server.docker("image", "ls", "--quiet", "--all").stdout
    image = yard.image("foreign", base="scratch", platform="linux/arm64")
    with pytest.raises(RefusedError, match="linux/arm64"):
        yard.ship(door, Cargo("web", image))
    assert server.docker("image", "ls", "--quiet", "--all").stdout == before


def test_cut_connection_is_named_and_the_next_attempt_arrives(yards: Yards, doors: Doors) -> None:
    yard, (server, _) = yards("overlay2"), doors("overlay2")
    empty(server)
    image = yard.image("cut")
    with door(server) as fragile:

        def emit(event: Event) -> None:
            if isinstance(event, ShipProgress):
                fragile.process.kill()

        with pytest.raises(ShipError, match="connection") as caught:
            Shipper(fragile, yard.local, emit, platform=AMD64, tag=lambda _: f"{yard.name}/web:1").ship(
                [Cargo("web", image)]
            )
    assert caught.value.hint
    assert server.docker("image", "ls", "--quiet", "--all").stdout == ""
    with door(server) as whole:
        assert "cut" in compose_output(
            whole, yard.ship(whole, Cargo("web", image)).images["web"].engine_id, "cat", f"/{yard.name}/text"
        )


class Swallowing(Engine):
    """A way to the engine that loses what is loaded and says that all is well (incident 20)."""

    @contextmanager
    def stream(
        self, method: str, path: str, body: Iterable[bytes] | None = None, *rest: Any, **query: Any
    ) -> Iterator[Answer]:
        for _ in body or ():
            pass
        with super().stream("GET", "/version") as answer:
            yield answer


def test_image_that_is_not_there_afterwards_is_an_error(yards: Yards, doors: Doors, tmp_path: Path) -> None:
    yard, (server, real) = yards("overlay2"), doors("overlay2")
    empty(server)
    lossy = Swallowing(real.engine.path)
    with closing(lossy), pytest.raises(ShipError, match="does not have it") as caught:
        yard.ship(Door(lossy, real.process, tmp_path), Cargo("web", yard.image("lost", base="scratch")))
    assert "sha256:" in caught.value.message
    assert not yard.shipped()


@pytest.fixture(scope="module")
def hub() -> Iterator[Registry]:
    """A registry with a data service's image, which this machine has under the name that it has there, too."""
    bases.ensure([bases.REDIS])
    with registry() as running:
        running.push("redis:8", "data:1")
        yield running


@pytest.mark.parametrize("reached", [False, True])
def test_data_image_is_pulled_or_sent_and_then_it_is_present(
    reached: bool, hub: Registry, locals_by_store: Locals, doors: Doors
) -> None:
    """Where the server reaches the registry, it pulls; where it does not, this machine's image is sent."""
    local, (server, door) = locals_by_store("overlay2"), doors("overlay2")
    empty(server)
    name, events = hub.name("data:1"), list[Event]()
    with reachable(server, hub.port, hub.port) if reached else nullcontext():
        shipment = ensure_data_image(name, "redis", door, local, events.append, platform=AMD64)
    notes = [(event.level, event.text) for event in events if isinstance(event, Note)]
    pulls = ("info", f"the server pulls {name}")
    if reached:
        assert notes == [pulls]
        assert shipment == Shipment({}, 0)
    else:
        assert notes == [pulls, ("info", f"the server could not pull {name}: this machine's image is sent")]
        assert shipment.wire_bytes > 0
    tags: Mapping[str, Any] = json.loads(server.docker("image", "inspect", name).stdout)[0]
    assert name in tags["RepoTags"]
    events.clear()
    assert ensure_data_image(name, "redis", door, local, events.append, platform=AMD64) == Shipment({}, 0)
    assert events == []


@pytest.mark.parametrize("reference", ["allfast-test/nowhere:1", "redis@sha256:" + "0" * 64])
def test_data_image_that_is_nowhere_names_the_next_step(reference: str, locals_by_store: Locals, doors: Doors) -> None:
    _, door = doors("overlay2")
    with pytest.raises(ShipError, match="could not pull") as caught:
        ensure_data_image(reference, "cache", door, locals_by_store("overlay2"), lambda event: None, platform=AMD64)
    assert f"docker pull --platform {AMD64} {reference}" in caught.value.hint
    assert caught.value.evidence


def test_image_is_a_value_that_names_what_runs(yards: Yards, doors: Doors) -> None:
    """`engine_id` is the configuration's digest on a graph driver, a manifest's in the containerd store."""
    yard = yards("overlay2")
    image_id = yard.image("identity", base="scratch")
    ids: dict[str, Image] = {}
    for store in ("overlay2", "containerd"):
        _, door = doors(store)
        ids[store] = yard.ship(door, Cargo("web", image_id)).images["web"]
    assert ids["overlay2"].engine_id == ids["overlay2"].config_digest == ids["containerd"].config_digest == image_id
    assert ids["containerd"].engine_id != image_id
