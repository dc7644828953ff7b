"""A shipment that is ended while the server works: nobody waits for that any longer."""

from __future__ import annotations

import random
import threading
from pathlib import Path
from typing import Any

import pytest

from allfast.images.progress import Tally
from allfast.images.ship import CACHE_LIMIT
from allfast.images.to_cache import Stopped, Transfer
from allfast.remote.layers import Arrival, GoOn
from tests.unit.images.harbour import Harbour, Laptop, Saved, freight
from tests.unit.transfer.recipes import tree

APP = {f"app/{n}.js": random.Random(n).randbytes(3000) for n in range(200)}
OLD, NEW = tree(APP, 1), tree({**APP, "app/x": b"x"}, 2)


class Slow(Harbour):
    """A server that is at a layer, or at an index, when the shipment is `stopped`."""

    def __init__(self, folder: Path, at: str) -> None:
        super().__init__(folder)
        self.at, self.stopped = at, threading.Event()

    def index(self, name: str, go_on: GoOn) -> bytes:
        """An index, if somebody still wants it."""
        self._work("index", go_on)
        return super().index(name, go_on)

    def receive(self, arrival: Arrival, batches: Any, made: Any, go_on: GoOn, *rest: Any) -> tuple[str, ...]:
        """A layer, if somebody still wants it."""
        self._work("layer", go_on)
        return super().receive(arrival, batches, made, go_on, *rest)

    def _work(self, at: str, go_on: GoOn) -> None:
        if at == self.at:
            self.stopped.set()
            go_on()
            raise AssertionError("the shipment goes on")


@pytest.mark.parametrize("at", ["index", "layer"])
def test_a_shipment_can_be_stopped_while_the_server_works(at: str, tmp_path: Path) -> None:
    Laptop(Harbour(tmp_path / "server"), tmp_path / "laptop").send(OLD)
    slow = Slow(tmp_path / "server", at)
    sender = Laptop(slow, tmp_path / "other").sender
    with pytest.raises(Stopped):
        Transfer(Saved(NEW), sender, lambda _: None, Tally(), slow.stopped, CACHE_LIMIT).send(freight(NEW))
