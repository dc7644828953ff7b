"""Room and progress of shipments with several images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest

from allfast.agent.archive import Layer
from allfast.agent.layer_files import RESERVE
from allfast.errors import RefusedError
from allfast.events import Event, Note, ShipProgress
from allfast.images import progress
from allfast.images.cargo import Freight
from allfast.images.local_engine import LocalImage
from allfast.images.progress import Tally, Watch
from allfast.images.room import Room
from allfast.remote.hearing import Work
from allfast.remote.layers import Stock

MB = 1_000_000


def freight(service: str, **layers: int) -> Freight:
    """An image of these layers, none of which is there."""
    local = LocalImage(f"sha256:{service}", "linux/amd64", tuple(layers), {}, (), 0.0, sum(layers.values()))
    return Freight(service, local, "", tuple(layers.values()), 0)


def watch(one: Freight, tally: Tally, told: list[Event], **missing: int) -> Callable[[int], None]:
    """What is told how far the first of these layers is there."""
    return Watch(one, missing, told.append, tally, lambda: 0).of(Layer(*next(iter(missing.items())), ()))


@pytest.fixture(autouse=True)
def each_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """All progress is told, however soon it comes."""
    monkeypatch.setattr(progress, "PROGRESS_SECONDS", 0.0)


def test_room_is_promised_to_each_layer_once() -> None:
    room = Room(int(3.1 * 30 * MB) + RESERVE)
    assert room.promise({"base": 10 * MB, "web": 10 * MB}) == 20 * MB
    assert room.promise({"base": 10 * MB, "api": 10 * MB}) == 10 * MB


def test_an_image_has_room_besides_those_before_it() -> None:
    room = Room(int(3.1 * 30 * MB) + RESERVE)
    room.promise({"web": 20 * MB})
    with pytest.raises(RefusedError, match="not enough room"):
        room.promise({"api": 11 * MB})
    assert room.promise({"worker": 10 * MB}) == 10 * MB, "who was refused takes no room"


ENGINE, STATE = "on the disk of Docker's images: ", "on the disk of allfast's state, where its layer cache is: "
BOTH = "on the disk of Docker's images and allfast's layer cache: "


@pytest.mark.parametrize(
    ("engine", "state", "words", "step"),
    [
        pytest.param(311, None, "", "", id="one disk"),
        pytest.param(
            309, None, f"{BOTH}the images need about 519.7 MB, 518.7 MB", "docker image prune", id="it is full"
        ),
        pytest.param(211, 101, "", "", id="two disks"),
        pytest.param(
            209, 999, f"{ENGINE}the images need about 419.7 MB, 418.7 MB", "docker image prune", id="of images"
        ),
        pytest.param(999, 99, f"{STATE}the images need about 309.7 MB, 308.7 MB", "state_dir", id="of the state"),
    ],
)
def test_each_disk_has_room_for_what_is_written_there(engine: int, state: int | None, words: str, step: str) -> None:
    """MB beside the reserve of 209.7; the layer has 100."""
    room = Room(engine * MB + RESERVE, None if state is None else state * MB + RESERVE)
    if not words:
        assert room.promise({"web": 100 * MB}) == 100 * MB
        return
    with pytest.raises(RefusedError, match=f"not enough room on the server, {words} are free") as caught:
        room.promise({"web": 100 * MB})
    assert step in caught.value.hint


def stock_of(free: int, whole: tuple[str, ...] = (), **begun: int) -> Stock:
    """What a server's layer cache has, on a disk with so many MB free beside the reserve."""
    there = {layer: size * MB for layer, size in begun.items()}
    return Stock(frozenset(whole), there, (), free=free * MB + RESERVE)


@pytest.mark.parametrize(
    ("free", "by_now", "refused"),
    [
        pytest.param(260, 260, False, id="what came is written already"),
        pytest.param(249, 249, True, id="the engine writes as much as ever"),
        pytest.param(260, 249, True, id="others have written since"),
        pytest.param(249, 260, True, id="others have removed something"),
    ],
)
def test_an_attempt_that_goes_on_needs_no_room_for_what_is_there(free: int, by_now: int, refused: bool) -> None:
    """On one disk for both: 100 MB of layers take 310, and 60 of these are in the layer cache."""
    stock = stock_of(by_now, whole=("api",), web=20)
    room = Room(free * MB + RESERVE, None, lambda _: stock)
    if refused:
        with pytest.raises(RefusedError, match=r"the images need about 519\.7 MB, 518\.7 MB are free"):
            room.promise({"web": 60 * MB, "api": 40 * MB})
    else:
        assert room.promise({"web": 60 * MB, "api": 40 * MB}) == 100 * MB


def test_what_is_there_of_images_before_it_counts_too() -> None:
    """Also where they were promised room without asking; what was sent of them meanwhile is not free any more."""
    asked = list[list[str]]()

    def stock(layers: Sequence[str]) -> Stock:
        asked.append(list(layers))
        return stock_of(290, whole=("web",), api=10)  # 10 MB were sent

    room = Room(300 * MB + RESERVE, None, stock)
    room.promise({"web": 30 * MB})
    assert not asked, "there is room for all of it"
    room.promise({"api": 70 * MB})
    assert asked == [["web", "api"]]


def test_on_a_disk_of_its_own_the_layer_cache_was_counted_already() -> None:
    def stock(_: Sequence[str]) -> Stock:
        raise AssertionError("it is asked")

    room = Room(1000 * MB + RESERVE, 99 * MB + RESERVE, stock)
    with pytest.raises(RefusedError, match="disk of allfast's state"):
        room.promise({"web": 100 * MB})


def test_more_of_a_layer_than_it_was_thought_to_have_is_no_room_for_others() -> None:
    assert stock_of(0, whole=("api",), web=90).there({"web": 60 * MB, "api": 1, "none": 5}) == 60 * MB + 1


def test_where_nobody_knows_the_room_nothing_is_refused() -> None:
    assert Room(None).promise({"web": 1 << 50}) == 1 << 50


def test_layers_that_the_server_has_are_not_missing() -> None:
    one = freight("web", base=10, site=20)
    assert one.missing == {"base": 10, "site": 20}
    more = Freight(one.service, one.local, "", one.sizes, 1)
    assert (more.missing, more.complete) == ({"site": 20}, False)
    assert Freight(one.service, one.local, "", one.sizes, 2).complete


def test_progress_of_all_images_counts_those_that_are_done_and_those_to_come() -> None:
    tally, told = Tally(), list[Event]()
    web, api = freight("web", web=100), freight("api", api=50)
    tally.expect("sha256:web", 100)
    made = watch(web, tally, told, web=100)
    made(40)
    tally.expect("sha256:api", 50)  # its build ends while the web is on its way
    made(100)
    watch(api, tally, told, api=50)(20)
    found = [(e.service, e.sent, e.total, e.all_sent, e.all_total) for e in told if isinstance(e, ShipProgress)]
    assert found == [("web", 40, 100, 40, 100), ("web", 100, 100, 100, 150), ("api", 20, 50, 120, 150)]


def test_what_an_earlier_transfer_left_is_told_apart() -> None:
    told = list[Event]()
    one = Watch(freight("web", a=100, b=50), {"a": 100, "b": 50}, told.append, Tally(), lambda: 0)
    one.of(Layer("a", 100, ()), 80)(90)
    one.of(Layer("b", 50, ()), 0)(20)
    found = [(event.sent, event.found, event.total) for event in told if isinstance(event, ShipProgress)]
    assert found == [(90, 80, 150), (110, 80, 150)]


def test_a_beginning_that_is_of_no_use_is_no_progress() -> None:
    """The layer that it belongs to did not arrive: nothing of the rest was sent."""
    told = list[Event]()
    one = Watch(freight("web", a=100, b=50), {"a": 100, "b": 50}, told.append, Tally(), lambda: 0)
    one.of(Layer("a", 100, ()), 80)
    one.of(Layer("b", 50, ()), 0)(20)
    (event,) = (event for event in told if isinstance(event, ShipProgress))
    assert event.sent - event.found == 20


def test_progress_ends_with_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """True sizes replace the estimates; what was sent before it could be told counts all the same."""
    tally, told = Tally(), list[Event]()
    one = Watch(freight("web", a=100, b=100), {"a": 100, "b": 100}, told.append, tally, lambda: 0)
    one.of(Layer("a", 150, ()))(150)
    one.of(Layer("b", 120, ()))(120)
    one.end()
    sizes = [(event.sent, event.total) for event in told if isinstance(event, ShipProgress)]
    assert sizes == [(150, 250), (270, 270), (270, 270)]
    assert all(earlier <= later for earlier, later in pairwise(sizes))
    monkeypatch.setattr(progress, "PROGRESS_SECONDS", 60.0)
    told.clear()
    short = Watch(freight("api", c=10), {"c": 10}, told.append, tally, lambda: 0)
    short.of(Layer("c", 10, ()))(10)
    short.end()
    assert told == [], "a short way needs no progress"
    monkeypatch.setattr(progress, "PROGRESS_SECONDS", 0.0)
    watch(freight("worker", d=10), tally, told, d=10)(5)
    (last,) = told
    assert isinstance(last, ShipProgress)
    assert (last.all_sent, last.all_total) == (270 + 10 + 5, 270 + 10 + 10)


def advice(limit: int, *works: Work) -> list[str]:
    """What is said of a layer cache of so many bytes, when the server has read."""
    told = list[Event]()
    heard = progress.CacheAdvice(told.append, limit)
    for work in works:
        heard.hear(work)
    return [event.text for event in told if isinstance(event, Note)]


GIB = 1 << 30
READ = [Work("reading", at * GIB, 5 * GIB, 4.0 * at, over=at == 5) for at in range(1, 6)]


def test_a_layer_cache_that_is_too_small_for_a_layer_is_named_once() -> None:
    assert advice(2 * GIB, *READ, *READ) == [
        "layers of 5.37 GB are read out of the server's engine, because its layer cache (2.15 GB) has no room for them:"
        ' with layer_cache = "7GiB" in allfast.toml they are at hand'
    ]
    assert advice(2 * GIB, *READ[:2]) == [], "it may be soon done"
    assert advice(6 * GIB, *READ) == [], "it has lost them for another reason"
    assert advice(2 * GIB, *(Work("loading", one.done, one.total, one.seconds) for one in READ)) == []


def test_layers_count_together() -> None:
    small = [Work("reading", GIB, GIB, 6.0, over=over) for over in (False, True)]
    assert advice(2 * GIB, *small * 2) == []
    (said,) = advice(2 * GIB, *small * 3)
    assert "layers of 3.22 GB are read" in said
