"""A shipment that goes on where the one before was cut off, to a server whose disk has little room left."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from allfast.agent.engine import Engine
from allfast.errors import RefusedError
from allfast.events import Event
from allfast.images.cargo import Cargo
from allfast.images.local_engine import LocalEngine, LocalImage
from allfast.images.room import CACHED, LOADED, RESERVE
from allfast.images.ship import Shipper
from tests.unit.images.harbour import Harbour, freight, name_of

LAYER = b"layer" * 1_000_000


class Local(LocalEngine):
    """It has an image of that layer."""

    def image(self, reference: str) -> LocalImage | None:
        """The image, whatever it is called."""
        return freight(LAYER).local

    def layer_sizes(self, image: LocalImage) -> tuple[int, ...]:
        """As they are."""
        return (len(LAYER),)


class Port:
    """A server whose engine has no layer."""

    def __init__(self, harbour: Harbour) -> None:
        self.cache, self.engine = harbour, Engine("/nowhere")

    def layers(self, diff_ids: Sequence[str]) -> int:
        """None."""
        return 0


@pytest.mark.parametrize("begun", [len(LAYER) // 2, len(LAYER) // 2 - 1])
def test_what_the_last_attempt_has_sent_needs_no_room_again(begun: int, tmp_path: Path) -> None:
    harbour = Harbour(tmp_path)
    harbour.cache.make()
    harbour.cache.part(name_of(LAYER)).write_bytes(LAYER[:begun])
    shipper = Shipper(
        Port(harbour),
        Local({}),
        list[Event]().append,
        platform="linux/amd64",
        tag=str,
        free_bytes=int(len(LAYER) * (CACHED + LOADED)) + RESERVE - len(LAYER) // 2,
    )
    if begun == len(LAYER) // 2:
        assert shipper.prepare(Cargo("web", "sha256:web")).missing == {name_of(LAYER): len(LAYER)}
    else:
        with pytest.raises(RefusedError, match="not enough room"):
            shipper.prepare(Cargo("web", "sha256:web"))
