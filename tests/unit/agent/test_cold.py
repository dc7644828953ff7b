"""A layer that is read from an engine whose store is not known: only by `docker save`, and only with room for that."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest

from allfast.agent import cold
from allfast.agent.answer import Answer
from allfast.agent.engine import Engine, EngineError
from allfast.agent.engine_store import NoRoom, Unreadable
from tests.unit.transfer.streams import config_of, digest, layer_tar, layout

LAYERS = [layer_tar({"base": bytes(50_000)}), layer_tar({"code": b"code" * 900})]
DIFF_IDS = [digest(layer) for layer in LAYERS]
IMAGE = "sha256:" + "1" * 64


class Btrfs:
    """An engine with a graph driver that is not known here; `asked` are the paths that it was asked for."""

    def __init__(self, size: Any) -> None:
        self._documents = {"/info": {"Driver": "btrfs"}, "/containers/json": [], f"/images/{IMAGE}/json": size}
        self.asked: list[str] = []
        self.ended = False

    def get(self, path: str, **query: Any) -> Any:
        """One of the documents that it has."""
        self.asked.append(path)
        if path not in self._documents:
            raise EngineError(404, "no such thing")
        return json.loads(json.dumps(self._documents[path]))

    @contextmanager
    def stream(self, method: str, path: str) -> Iterator[Answer]:
        """The archive of the image."""
        self.asked.append(path)
        try:
            yield cast(Answer, io.BytesIO(layout(LAYERS, config_of(LAYERS)).data()))
        finally:
            self.ended = True


class Ended(Exception):  # noqa: N818 - nothing went wrong
    """Nothing more is to be read."""


def end(*_: int) -> None:
    """In place of what hears how far a reading is."""
    raise Ended


def fetched(engine: Btrfs, free: int) -> bytes:
    """The second layer, where so many bytes have room."""
    file = io.BytesIO()
    cold.fetch(cast(Engine, engine), IMAGE, DIFF_IDS, DIFF_IDS[1], file, lambda size: size <= free)
    return file.getvalue()


def test_with_room_for_the_whole_image_it_is_saved() -> None:
    assert fetched(Btrfs({"Size": 54_000}), 60_000) == LAYERS[1]


def test_a_reading_ends_at_its_next_chunk_when_it_is_told_to() -> None:
    """Also among layers that are not asked for; and no other way is tried then."""
    engine, file = Btrfs({"Size": 54_000}), io.BytesIO()
    with pytest.raises(Ended):
        cold.fetch(cast(Engine, engine), IMAGE, DIFF_IDS, DIFF_IDS[1], file, lambda _: True, end)
    assert file.getvalue() == b""
    assert engine.ended


def test_it_is_told_how_far_the_layer_is_read_and_not_the_archive() -> None:
    """Which has another layer before it; the size of the image is only asked for to see whether it has room."""
    engine, file, told = Btrfs({"Size": 54_000}), io.BytesIO(), list[tuple[int, int]]()

    def tell(done: int, total: int) -> None:
        told.append((done, total))

    cold.fetch(cast(Engine, engine), IMAGE, DIFF_IDS, DIFF_IDS[1], file, lambda _: True, tell)
    size = len(LAYERS[1])
    assert told[0] == (0, 0)
    assert told[-1] == (size, size)
    assert {total for done, total in told if done} == {size}


@pytest.mark.parametrize(
    ("described", "error"), [({"Size": 54_000}, NoRoom), ({}, Unreadable)], ids=["no room", "no size"]
)
def test_without_room_for_the_whole_image_it_is_not_saved(described: Any, error: type[Exception]) -> None:
    """Though there is enough for the layer: the engine writes all of the image to its disk before the first byte."""
    engine = Btrfs(described)
    with pytest.raises(error):
        fetched(engine, 20_000)
    assert not [path for path in engine.asked if path.endswith("/get")]
