"""Images on their way in a thread, while the main thread loads those that are there: which error counts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any, cast

import pytest

from allfast.errors import ShipError
from allfast.images.build import BuiltImage
from allfast.images.cargo import Cargo, Freight
from allfast.images.local_engine import LocalImage
from allfast.images.ship import Shipper
from allfast.images.to_cache import Sent, Stopped
from allfast.model.release import Image
from allfast.pipeline.context import Context
from allfast.pipeline.outgoing import Outgoing

WAIT = 20.0


class Ship:
    """A shipper whose sending and loading is what a test says."""

    def __init__(self) -> None:
        self.send: Callable[[Freight], Sent] = lambda _: Sent()
        self.load: Callable[[Freight, Sent], Image] = lambda freight, _: image(freight.service)

    def prepare(self, cargo: Cargo) -> Freight:
        """An image without layers."""
        local = LocalImage(f"sha256:{cargo.service}", "linux/amd64", (), {}, (), 0.0, 0)
        return Freight(cargo.service, local, "", (), 0)

    def shared(self, freight: Freight) -> None:
        """None is."""


def image(service: str) -> Image:
    return Image(f"sha256:{service}", f"sha256:{service}", (), "linux/amd64")


@contextmanager
def offered(ship: Ship, *services: str) -> Iterator[tuple[Outgoing, threading.Event]]:
    """These services' images are built, and offered."""
    context = SimpleNamespace(step=lambda *_, **__: nullcontext(), warn=lambda _: None)
    stopped = threading.Event()
    pool = ThreadPoolExecutor(1, "send")
    wanted = frozenset(services)
    outgoing = Outgoing(cast(Context, context), cast(Shipper, ship), wanted, (), pool, stopped)
    try:
        for service in services:
            outgoing.built(BuiltImage(service, f"sha256:{service}", "", (), "linux/amd64", 0.0))
        yield outgoing, stopped
    finally:
        outgoing.end()


def test_all_images_arrive() -> None:
    with offered(Ship(), "api", "web") as (outgoing, _):
        assert outgoing.arrive() == {"api": image("api"), "web": image("web")}


def test_what_failed_in_the_thread_counts_where_it_stops_a_load() -> None:
    """The load had to send layers again: a pull that failed for the same reason, a cache that lost a layer."""
    full = ShipError("the server's disk is full", hint="free space on the server")
    ship, loading = Ship(), threading.Event()

    def send(freight: Freight) -> Sent:
        if freight.service == "web":
            assert loading.wait(WAIT)
            raise full
        return Sent()

    def load(_: Freight, __: Sent) -> Any:
        loading.set()
        assert stopped.wait(WAIT)
        raise Stopped

    ship.send, ship.load = send, load
    with offered(ship, "api", "web") as (outgoing, stopped), pytest.raises(ShipError) as caught:
        outgoing.arrive()
    assert caught.value is full


def test_a_load_that_fails_by_itself_is_the_error() -> None:
    def load(_: Freight, __: Sent) -> Any:
        raise ShipError("the engine refused it", hint="deploy again")

    ship = Ship()
    ship.load = load
    with offered(ship, "api", "web") as (outgoing, _), pytest.raises(ShipError, match="the engine refused it"):
        outgoing.arrive()


def test_nothing_is_sent_after_the_end() -> None:
    ship, sent, begun, go_on = Ship(), list[str](), threading.Event(), threading.Event()

    def send(freight: Freight) -> Sent:
        sent.append(freight.service)
        begun.set()
        assert go_on.wait(WAIT)
        return Sent()

    ship.send = send
    with offered(ship, "api", "web", "worker") as (outgoing, _):
        assert begun.wait(WAIT)
        outgoing.trouble.cancel()  # as a build that failed does
        go_on.set()
    assert sent == ["api"]
