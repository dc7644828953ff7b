"""Layers that do not arrive: each error names the cause, the service and the next step."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from allfast.agent.engine import Engine
from allfast.agent.protocol import Kind
from allfast.errors import ShipError
from allfast.events import Event
from allfast.images.local_engine import LocalEngine
from allfast.images.ship import Shipper
from allfast.remote.failures import AgentRefusal
from allfast.remote.hearing import Works, unheard
from allfast.remote.layers import Arrival, Loaded, Stock
from allfast.transfer.index import LayerIndex
from allfast.transfer.known import KnownLayers
from tests.unit.images.harbour import Harbour, Laptop, freight, name_of, transfer
from tests.unit.transfer.recipes import tree
from tests.unit.transfer.streams import config_of, layout

APP = {f"app/{n}.js": random.Random(n).randbytes(3000) for n in range(200)}
OLD, NEW = tree(APP, 1), tree({**APP, "app/x": b"x"}, 2)


class Leaky(Harbour):
    """Something else takes a layer out of its cache whenever another one comes, and puts it back."""

    def stock(self, diff_ids: Sequence[str], chain: str = "") -> Stock:
        """With the layer."""
        self.cache.whole(name_of(OLD)).write_bytes(OLD)
        return super().stock(diff_ids, chain)

    def receive(self, arrival: Arrival, *rest: Any) -> tuple[str, ...]:
        """Without it."""
        self.cache.drop(name_of(OLD))
        return super().receive(arrival, *rest)


def test_bases_that_go_missing_again_and_again_are_done_without(tmp_path: Path) -> None:
    Laptop(Harbour(tmp_path / "server"), tmp_path / "laptop").send(OLD)
    laptop = Laptop(Leaky(tmp_path / "server"), tmp_path / "laptop")
    transfer(laptop, NEW, [])
    assert laptop.harbour.cache.whole(name_of(NEW)).read_bytes() == NEW


class Unlucky(Leaky):
    """It spoils the layer twice before."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.spoilt = 0

    def receive(self, arrival: Arrival, *rest: Any) -> tuple[str, ...]:
        """From a layer that is spoilt, or without it."""
        if self.spoilt == 2:
            return super().receive(arrival, *rest)
        self.spoilt += 1
        self.cache.whole(name_of(OLD)).write_bytes(OLD[:999] + b"?" + OLD[1000:])
        return Harbour.receive(self, arrival, *rest)


def test_bases_that_are_missing_at_the_last_attempt_are_named_as_that(tmp_path: Path) -> None:
    Laptop(Harbour(tmp_path / "server"), tmp_path / "laptop").send(OLD)
    laptop = Laptop(Unlucky(tmp_path / "server"), tmp_path / "laptop")
    with pytest.raises(ShipError, match=f"web: layers that {name_of(NEW)} is made from went missing") as caught:
        transfer(laptop, NEW, [])
    assert "layer cache" in caught.value.hint


class Spoiling(Harbour):
    """Its disk loses a byte of a layer whenever that is used."""

    def receive(self, arrival: Arrival, *rest: Any) -> tuple[str, ...]:
        """From a layer that is spoilt."""
        self.cache.whole(name_of(OLD)).write_bytes(OLD[:999] + b"?" + OLD[1000:])
        return super().receive(arrival, *rest)

    def stock(self, diff_ids: Sequence[str], chain: str = "") -> Stock:
        """It seems to be there."""
        self.cache.whole(name_of(OLD)).write_bytes(OLD)
        return super().stock(diff_ids, chain)


def test_layers_that_are_damaged_again_and_again_are_named_as_that(tmp_path: Path) -> None:
    Laptop(Harbour(tmp_path / "server"), tmp_path / "laptop").send(OLD)
    laptop = Laptop(Spoiling(tmp_path / "server"), tmp_path / "laptop")
    with pytest.raises(ShipError, match=f"web: layers arrived damaged 4 times, the first {name_of(NEW)}"):
        transfer(laptop, NEW, [])


class Refusing(Harbour):
    """Its agent refuses one layer after the other, for these reasons; and each load, for the last of them."""

    def __init__(self, folder: Path, *kinds: str) -> None:
        super().__init__(folder)
        self.kinds = list(kinds)

    def receive(self, arrival: Arrival, *rest: Any) -> tuple[str, ...]:
        """Nothing, while there is a reason."""
        if not self.kinds:
            return super().receive(arrival, *rest)
        raise AgentRefusal(self.kinds.pop(0), f"srv: {arrival.layer} is not right")

    def load(
        self, config: bytes, sizes: Sequence[int], layers: Sequence[int], limit: int, works: Works = unheard
    ) -> Loaded:
        """Nothing."""
        raise AgentRefusal(self.kinds[-1], f"srv: {name_of(NEW)} is not right")


REFUSALS = [
    (Kind.BAD_DIGEST, "memory and the disks of both"),
    (Kind.NOT_FOUND, "removes files from the server's layer"),
]


@pytest.mark.parametrize(("kind", "hint"), REFUSALS)
def test_a_layer_that_is_refused_without_any_base_is_an_error_of_its_service(
    tmp_path: Path, kind: str, hint: str
) -> None:
    laptop = Laptop(Refusing(tmp_path / "server", Kind.BAD_DIGEST, kind), tmp_path / "laptop")
    with pytest.raises(ShipError, match=f"image of web did not arrive: srv: {name_of(NEW)} is not right") as caught:
        transfer(laptop, NEW, [])
    assert hint in caught.value.hint


def test_other_refusals_of_a_layer_stay_what_they_are(tmp_path: Path) -> None:
    laptop = Laptop(Refusing(tmp_path / "server", Kind.LOCK_LOST), tmp_path / "laptop")
    with pytest.raises(AgentRefusal, match="is not right"):
        transfer(laptop, NEW, [])


class Local(LocalEngine):
    """It has the image of `NEW`."""

    def socket(self) -> str:
        """None: there is `docker save` alone."""
        return ""

    @contextmanager
    def saved(self, reference: str) -> Iterator[IO[bytes]]:
        """The image."""
        with layout([NEW], config_of([NEW])).opener()() as stream:
            yield stream


class Port:
    """A server whose engine has no layer."""

    def __init__(self, harbour: Harbour) -> None:
        self.cache, self.engine = harbour, Engine("/nowhere")

    def layers(self, diff_ids: Sequence[str]) -> int:
        """None."""
        return 0


@pytest.mark.parametrize(("kind", "hint"), REFUSALS)
def test_what_the_cache_has_lost_twice_when_it_is_loaded_is_an_error_of_its_service(
    tmp_path: Path, kind: str, hint: str
) -> None:
    harbour, known = Refusing(tmp_path / "server"), KnownLayers(tmp_path / "laptop")
    told, index = list[Event](), LayerIndex()
    shipper = Shipper(Port(harbour), Local({}), told.append, platform="linux/amd64", tag=str, index=index, known=known)
    sent = shipper.send(freight(NEW))
    assert sent.layers == 1
    harbour.kinds.append(kind)
    with pytest.raises(ShipError, match=f"image of web did not arrive: srv: {name_of(NEW)} is not right") as caught:
        shipper.load(freight(NEW), sent)
    assert hint in caught.value.hint
