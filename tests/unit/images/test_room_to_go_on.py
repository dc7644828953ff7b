"""A shipment that goes on where the one before was cut off: the room that it needs, and what waits for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from allfast.agent.engine import Engine
from allfast.agent.layer_files import RESERVE
from allfast.errors import RefusedError
from allfast.events import Event
from allfast.images.cargo import Cargo
from allfast.images.local_engine import LocalEngine, LocalImage
from allfast.images.room import CACHED, LOADED
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


def shipper_to(harbour: Harbour, free_bytes: int | None = None) -> Shipper:
    """What sends to that server."""
    emit = list[Event]().append
    return Shipper(Port(harbour), Local({}), emit, platform="linux/amd64", tag=str, free_bytes=free_bytes)


@pytest.mark.parametrize("begun", [len(LAYER) // 2, len(LAYER) // 2 - 1])
def test_what_the_last_attempt_has_sent_needs_no_room_again(begun: int, tmp_path: Path) -> None:
    harbour = Harbour(tmp_path)
    harbour.cache.make()
    harbour.cache.part(name_of(LAYER)).write_bytes(LAYER[:begun])
    shipper = shipper_to(harbour, int(len(LAYER) * (CACHED + LOADED)) + RESERVE - len(LAYER) // 2)
    if begun == len(LAYER) // 2:
        assert shipper.prepare(Cargo("web", "sha256:web")).missing == {name_of(LAYER): len(LAYER)}
    else:
        with pytest.raises(RefusedError, match="not enough room"):
            shipper.prepare(Cargo("web", "sha256:web"))


def test_what_was_sent_of_an_image_waits_for_it_while_others_are_sent_and_loaded(tmp_path: Path) -> None:
    """From when it is known that the image is to come: its turn may be long after that."""
    harbour = Harbour(tmp_path)
    harbour.cache.make()
    for name in (name_of(LAYER), name_of(b"older")):
        harbour.cache.part(name).write_bytes(LAYER[:1000])
    shipper_to(harbour).prepare(Cargo("web", "sha256:web"))
    harbour.receiver._trim(0)  # as another image's load does
    assert harbour.cache.begun(name_of(LAYER)) == 1000
    assert harbour.cache.begun(name_of(b"older")) == 0
