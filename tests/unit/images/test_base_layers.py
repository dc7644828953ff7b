"""What a shipment does about the base of its images, which the server pulls: by either way all layers are there."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any, cast

import pytest

from allfast.agent.engine import Engine
from allfast.events import BasePulled, Event
from allfast.images import pulls as pulls_module
from allfast.images.base_layers import Bases
from allfast.images.base_pull import BasePull
from allfast.images.cargo import Destination, Freight
from allfast.images.local_engine import LocalEngine, LocalImage
from allfast.images.pace import Pace
from allfast.images.progress import Tally
from allfast.images.pull_choice import Outcome
from allfast.images.pulls import Pulls
from allfast.images.room import Room
from allfast.images.ship import CACHE_LIMIT
from allfast.images.to_cache import Source, Transfer
from allfast.model.base import BaseImage
from allfast.transfer.index import LayerIndex
from allfast.transfer.source import SavedImage
from tests.unit.images.harbour import Harbour, Laptop, Saved, name_of
from tests.unit.images.pulling import MB, REFERENCE, Clock, Pull, pace_of, slowing, steady
from tests.unit.transfer.recipes import tree

#: The base's layer, and those of two images that are built on it.
BASE = tree({f"base/{n}": random.Random(n).randbytes(100_000) for n in range(30)})
WEB, API = (tree({name: random.Random(name).randbytes(999)}) for name in ("web", "api"))
LAYERS = {name_of(layer): layer for layer in (BASE, WEB, API)}
IMAGE = BaseImage(REFERENCE, (name_of(BASE),), ("sha256:" + "3" * 64,), (3 * MB,))


class Images(Source):
    """The images of this machine's engine, which there is none of."""

    __slots__ = ()

    def image(self, freight: Freight, *, by_store: bool) -> SavedImage:
        """One with the layers that it says."""
        layers = [LAYERS[layer] for layer in freight.local.diff_ids]
        return Saved(*layers).image(freight, by_store=by_store)


class Yard:
    """A laptop's shipment to a server that pulls the base as a test says."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.harbour = Harbour(folder / "server")
        self.sender = Laptop(self.harbour, folder / "laptop").sender
        self.events: list[Event] = []
        self.pulled: list[Pull] = []
        self.have = 0  # leading layers that the server's engine has
        self.described = 0
        self.fetched: Callable[[float], float] = steady(0)
        self.look = 0.0
        both = {"web": (REFERENCE,), "api": (REFERENCE,)}
        self.pulls = Pulls(both, cast("Engine", None), self._describe, lambda _: nullcontext(), self.events.append)
        source = Images(cast("LocalEngine", None), LayerIndex())
        transfer = Transfer(source, self.sender, lambda _: None, Tally(), threading.Event(), CACHE_LIMIT)
        self.bases = Bases(self.pulls, transfer, cast("Destination", self))

    def sends_at(self, rate: float | None) -> None:
        """How fast sending was, until now."""
        self.sender.pace = Pace(self.clock) if rate is None else pace_of(rate, self.clock)

    def pull(self, base: BaseImage, *_: Any) -> Pull:
        """In the place of `BasePull`."""
        self.pulled.append(Pull(base, self.clock, self.fetched, self.look))
        return self.pulled[-1]

    def prepare(self, service: str, own: bytes) -> Freight:
        """An image that is to go, whose base is being pulled."""
        layers = (BASE, own)
        local = LocalImage(f"sha256:{service}", "linux/amd64", tuple(map(name_of, layers)), {}, (), 0.0, len(BASE))
        freight = Freight(service, local, "", tuple(map(len, layers)), self.have)
        self.pulls.begin(freight, "linux/amd64", Room(None))
        self.pulls.of(freight)
        self.clock.now += 1.5
        return freight

    def layers(self, diff_ids: Sequence[str]) -> int:
        """As `Destination` has it."""
        return self.have

    @property
    def begun(self) -> BasePull:
        """The pull, the only one."""
        (one,) = self.pulled
        return cast("BasePull", one)

    @property
    def told(self) -> list[tuple[str, int, str]]:
        """What was said of pulls, but for how far one was while it was waited for: state, bytes, cause."""
        pulls = [event for event in self.events if isinstance(event, BasePulled) and event.state != "pulling"]
        return [(one.state, one.bytes, one.cause) for one in pulls]

    @property
    def cached(self) -> set[str]:
        """The layers that came to the server's cache as a whole."""
        return {layer for layer, _ in self.harbour.cache.layers()}

    def _describe(self, reference: str, platform: str) -> BaseImage:
        self.described += 1
        return IMAGE


@pytest.fixture
def yard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Yard]:
    made = Yard(tmp_path)
    monkeypatch.setattr(pulls_module, "BasePull", made.pull)
    monkeypatch.setattr("allfast.images.server_images.inspect", lambda *_: None)
    with closing(made.pulls):
        yield made
    made.harbour.receiver.trim(0)  # no index is being written any more


BEGAN = ("began", 3 * MB, "")
SLOWER = ("given-up", 0, "sending is sooner done")


def test_a_pull_that_is_slower_is_given_up_and_its_layers_are_sent(yard: Yard) -> None:
    yard.sends_at(2 * MB)
    yard.fetched = steady(0.1 * MB)
    freight = yard.prepare("web", WEB)
    sent = yard.bases.send(freight)
    assert yard.cached == {name_of(BASE), name_of(WEB)}
    assert (sent.layers, sent.base) == (2, None)
    assert sent.wire > 3 * MB
    assert yard.begun.pulling.outcome is Outcome.GIVEN_UP
    assert yard.bases.settled(freight, sent) == (freight, sent)
    assert yard.told == [BEGAN, SLOWER]


def test_a_second_image_on_a_base_whose_pull_was_given_up_has_nothing_to_wait_for(yard: Yard) -> None:
    """It is begun once, and told of once; the base's layers are in the cache by now."""
    yard.sends_at(2 * MB)
    yard.fetched = steady(0.1 * MB)
    yard.bases.send(yard.prepare("web", WEB))
    freight, before = yard.prepare("api", API), yard.clock.now
    sent = yard.bases.send(freight)
    assert (sent.layers, sent.base) == (1, None)
    assert sent.wire < 3000
    assert yard.bases.settled(freight, sent) == (freight, sent)
    assert yard.clock.now == before
    assert yard.cached == set(LAYERS)
    assert (len(yard.pulled), yard.described) == (1, 1)
    assert yard.told == [BEGAN, SLOWER]


def test_a_pull_that_is_faster_brings_its_layers(yard: Yard) -> None:
    """Nobody waits for it before all images are sent."""
    yard.sends_at(0.1 * MB)
    yard.fetched = steady(MB)
    freight = yard.prepare("web", WEB)
    before = yard.clock.now
    sent = yard.bases.send(freight)
    assert yard.clock.now == before
    assert (sent.layers, sent.base) == (1, yard.begun)
    yard.have = 1
    freight, sent = yard.bases.settled(freight, sent)
    assert (freight.have, sent.base) == (1, None)
    assert sent.wire < 3000
    assert yard.cached == {name_of(WEB)}
    assert yard.told == [BEGAN, ("done", 3 * MB, "")]


def test_a_pull_that_proves_to_be_faster_overtakes_what_is_being_sent(yard: Yard) -> None:
    """At first it does not move, and nobody knows how fast sending is. What had gone by then counts."""
    yard.sends_at(None)
    yard.fetched, yard.look = lambda seconds: 0.9 * MB * max(0, seconds - 4), 0.5
    freight = yard.prepare("web", WEB)
    sent = yard.bases.send(freight)
    assert sent.base is yard.begun
    assert 3000 < sent.wire < len(BASE)
    assert yard.told == [BEGAN]
    yard.have = 1
    freight, sent = yard.bases.settled(freight, sent)
    assert (freight.have, sent.base) == (1, None)
    assert 3000 < sent.wire < len(BASE)
    assert yard.cached == {name_of(WEB)}
    assert yard.told == [BEGAN, ("done", 3 * MB, "")]


def test_a_pull_that_slows_down_while_it_is_waited_for_is_given_up(yard: Yard) -> None:
    yard.sends_at(0.1 * MB)
    yard.fetched = slowing(MB, 0.001 * MB)
    freight = yard.prepare("web", WEB)
    sent = yard.bases.send(freight)
    assert sent.base is yard.begun
    freight, sent = yard.bases.settled(freight, sent)
    assert (freight.have, sent.base, sent.layers) == (0, None, 2)
    assert yard.cached == {name_of(BASE), name_of(WEB)}
    assert yard.told == [BEGAN, SLOWER]


def test_what_was_pulled_and_is_gone_again_is_sent(yard: Yard) -> None:
    yard.sends_at(0.1 * MB)
    yard.fetched = steady(MB)
    freight = yard.prepare("web", WEB)
    freight, sent = yard.bases.settled(freight, yard.bases.send(freight))
    assert (freight.have, sent.base, sent.layers) == (0, None, 2)
    assert yard.cached == {name_of(BASE), name_of(WEB)}
