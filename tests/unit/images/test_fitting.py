"""Which base an image begins with, and whether the server has room to pull it."""

from __future__ import annotations

import pytest

from allfast.agent.layer_files import RESERVE
from allfast.images.cargo import Freight
from allfast.images.local_engine import LocalImage
from allfast.images.pulls import fitting
from allfast.images.room import Room
from allfast.model.base import BaseImage

MB = 1_000_000


def base(name: str, *layers: str) -> BaseImage:
    return BaseImage(f"{name}@sha256:1", layers, tuple(f"{layer}.gz" for layer in layers), (1,) * len(layers))


DEBIAN, PYTHON = base("debian", "d"), base("python", "d", "p")
NODE, OLDER = base("node", "d", "n"), base("python", "d", "o")


@pytest.mark.parametrize(
    ("bases", "have", "expected"),
    [
        pytest.param([PYTHON], 0, PYTHON, id="its base"),
        pytest.param([DEBIAN, PYTHON], 0, PYTHON, id="the longest"),
        pytest.param([NODE, PYTHON], 0, PYTHON, id="another stage's brings nothing"),
        pytest.param([NODE], 0, None, id="none of its own"),
        pytest.param([OLDER], 0, None, id="built on another one than the registry has now"),
        pytest.param([PYTHON], 1, PYTHON, id="some of it is there"),
        pytest.param([PYTHON], 2, None, id="all of it is there"),
        pytest.param([PYTHON], 3, None, id="more is there"),
        pytest.param([base("longer", "d", "p", "x", "y")], 0, None, id="an image that is built on this one"),
        pytest.param([], 0, None, id="none"),
    ],
)
def test_the_base(bases: list[BaseImage], have: int, expected: BaseImage | None) -> None:
    local = LocalImage("sha256:i", "linux/amd64", ("d", "p", "x"), {}, (), 0.0, 3)
    assert fitting(bases, Freight("web", local, "", (1, 1, 1), have)) is expected


def test_a_pull_begins_only_where_there_is_room_besides_what_is_sent() -> None:
    room = Room(RESERVE + 500 * MB)
    room.promise({"a": 100 * MB})
    assert not room.for_pull(200 * MB), "310 MB are promised, and it takes 300"
    assert room.for_pull(100 * MB)
    assert not room.for_pull(100 * MB), "what is pulled counts, too"
    with pytest.raises(Exception, match="not enough room"):
        room.promise({"b": 20 * MB})


def test_where_nobody_knows_the_room_nothing_is_refused() -> None:
    assert Room(None).for_pull(1 << 40)


def test_a_pull_writes_nothing_on_the_disk_of_the_state() -> None:
    room = Room(RESERVE + 500 * MB, RESERVE + 100 * MB)
    room.promise({"a": 100 * MB})
    assert room.for_pull(190 * MB), "210 MB are promised, and it takes 285"
    assert not room.for_pull(10 * MB)
    with pytest.raises(Exception, match="disk of allfast's state"):
        room.promise({"b": 1 * MB})
