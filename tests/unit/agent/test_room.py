"""Room for layers on the disk of the cache: what gives way to them, and what is said where there is none."""

import errno
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from allfast.agent import layer_cache
from allfast.agent.layer_files import RESERVE
from allfast.agent.protocol import AgentError, Kind
from tests.unit.agent.test_receive import BASES, OLD, Dock, config_of, name_of
from tests.unit.transfer.recipes import tree


@pytest.fixture
def dock(tmp_path: Path) -> Dock:
    return Dock(tmp_path)


def aged(dock: Dock, *layers: bytes) -> None:
    """Send layers, the oldest first; nothing but them is in the cache then."""
    for age, layer in enumerate(layers):
        dock.send(layer)
        dock.receiver._indexing.finish()
        dock.receiver.cache.index_file(name_of(layer)).unlink()
        os.utime(dock.receiver.cache.whole(name_of(layer)), (1000 + age, 1000 + age))


def free_of(room: int) -> Callable[[layer_cache.LayerCache], int]:
    """In place of `LayerCache.free`: what the cache has left of so many bytes and the reserve."""
    return lambda cache: room + RESERVE - cache.size()


def test_the_cache_makes_room_for_what_comes(dock: Dock, monkeypatch: pytest.MonkeyPatch) -> None:
    """By as much as is lacking: the oldest first, and what is awaited not at all."""
    layers = [tree({"file": bytes([n]) * 1000}) for n in range(4)]
    aged(dock, *layers)
    dock.receiver.stock([name_of(layers[0])], "chain")
    coming = tree({"file": b"new" * 300})
    monkeypatch.setattr(layer_cache.LayerCache, "free", free_of(4 * len(coming)))
    dock.send(coming)
    assert {layer for layer, _ in dock.receiver.cache.layers()} == {
        name_of(layer) for layer in (layers[0], *layers[2:], coming)
    }


def test_the_cache_keeps_what_room_is_not_needed_from(dock: Dock, monkeypatch: pytest.MonkeyPatch) -> None:
    old, coming = tree({"file": b"old"}), tree({"file": b"new"})
    aged(dock, old)
    monkeypatch.setattr(layer_cache.LayerCache, "free", free_of(len(old) + len(coming)))
    dock.send(coming)
    assert {layer for layer, _ in dock.receiver.cache.layers()} == {name_of(old), name_of(coming)}


def test_a_full_disk_of_the_cache_is_named_with_its_folder(dock: Dock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Docker may be on another one."""

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(layer_cache.LayerCache, "open_part", full)
    with pytest.raises(AgentError, match=str(dock.folder)) as caught:
        dock.send(OLD)
    assert caught.value.kind == Kind.DISK_FULL
    assert "state_dir" in caught.value.hint
    assert "docker" not in caught.value.hint


#: It comes in several batches.
BIG = tree({f"{n}": random.Random(n).randbytes(900_000) for n in range(5)})


def free_then(before: int, after: int) -> Callable[[layer_cache.LayerCache], int]:
    """In place of `LayerCache.free`: so much before the first bytes of `BIG` are there, and so much from then on."""
    free = [before]

    def now(cache: layer_cache.LayerCache) -> int:
        if cache.begun(name_of(BIG)):
            free[0] = after
        return free[0]

    return now


def test_a_layer_that_does_not_fit_takes_nothing_from_the_reserve(dock: Dock, monkeypatch: pytest.MonkeyPatch) -> None:
    """And where all that may go would not be enough, nothing goes."""
    aged(dock, OLD)
    monkeypatch.setattr(layer_cache.LayerCache, "free", lambda _: RESERVE + len(BIG) - len(OLD) - 1)
    with pytest.raises(AgentError, match="disk is full") as caught:
        dock.send(BIG)
    assert caught.value.kind == Kind.DISK_FULL
    assert f"{len(BIG)} are needed" in caught.value.message
    assert [path.name for path in dock.folder.iterdir()] == [f"{name_of(OLD)[7:]}.tar"]


def test_a_disk_that_others_fill_meanwhile_keeps_its_reserve(dock: Dock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database writes to it, say: the layer under way ends, and the site gets back what the cache takes."""
    aged(dock, OLD)
    monkeypatch.setattr(layer_cache.LayerCache, "free", free_then(RESERVE + len(BIG), RESERVE - 1))
    with pytest.raises(AgentError, match=str(dock.folder)) as caught:
        dock.send(BIG)
    assert caught.value.kind == Kind.DISK_FULL
    assert list(dock.folder.iterdir()) == []


def test_what_has_come_stays_where_the_reserve_is_free(dock: Dock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of the layer has no room any more: when somebody has made some, it goes on."""
    monkeypatch.setattr(layer_cache.LayerCache, "free", free_then(RESERVE + len(BIG), RESERVE + 1))
    with pytest.raises(AgentError) as caught:
        dock.send(BIG)
    assert caught.value.kind == Kind.DISK_FULL
    assert 0 < dock.receiver.cache.begun(name_of(BIG)) < len(BIG) // 2, "asked again after each batch"


def test_bases_of_a_layer_do_not_make_room_for_it(dock: Dock, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are open: their bytes would not be free before its end."""
    aged(dock, OLD)
    coming = OLD[:-10240] + BIG

    def one_byte_too_few(cache: layer_cache.LayerCache) -> int:
        begun = cache.begun(name_of(coming))
        return RESERVE + len(coming) - begun - bool(begun)

    monkeypatch.setattr(layer_cache.LayerCache, "free", one_byte_too_few)
    with pytest.raises(AgentError, match="disk is full"):
        dock.send(coming, OLD)
    assert dock.receiver.cache.whole(name_of(OLD)).exists()


def test_nothing_is_loaded_onto_a_disk_without_its_reserve(dock: Dock, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that nobody reaches would be named otherwise."""
    monkeypatch.setattr(layer_cache.LayerCache, "free", lambda _: RESERVE - 1)
    with pytest.raises(AgentError, match="disk is full") as caught:
        dock.receiver.load(config_of(BASES), [1, 1], [], 0)
    assert caught.value.kind == Kind.DISK_FULL


def test_a_plan_is_told_of_the_disk_before_anything_is_on_it(tmp_path: Path) -> None:
    """A first deploy is planned before the state folder is made."""
    assert Dock(tmp_path / "allfast" / "chat").receiver.stock([name_of(OLD)])["free"] > 0
