"""Room for layers on the disk of the cache: what gives way to them, and what is said where there is none."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from allfast.agent import layer_cache, layer_files
from allfast.agent.protocol import AgentError, Kind
from tests.unit.agent.test_receive import OLD, Dock, name_of
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
    return lambda cache: room + layer_files.RESERVE - cache.size()


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
