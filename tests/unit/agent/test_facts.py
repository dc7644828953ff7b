"""What is found out of a server's disks."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from allfast.agent.facts import place_of_images, state_free_bytes

#: A file system of its own on each Linux.
OTHER = Path("/proc")


@pytest.mark.parametrize(
    ("images", "folder", "free"),
    [
        pytest.param(lambda here: here, lambda here: here / "allfast" / "chat", None, id="the same, and not made yet"),
        pytest.param(lambda here: OTHER, lambda here: here, 7, id="another one"),
        pytest.param(lambda here: OTHER, lambda here: here / "allfast" / "chat", 7, id="another one, and not made yet"),
        pytest.param(lambda here: here / "none", lambda here: Path("/"), None, id="may not be looked at"),
    ],
)
def test_free_bytes_of_the_state_where_that_is_another_file_system(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    images: Callable[[Path], Path],
    folder: Callable[[Path], Path],
    free: int | None,
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=7 if place == tmp_path else 1))
    assert state_free_bytes({"DockerRootDir": str(images(tmp_path))}, folder(tmp_path)) == free


def test_what_the_layer_cache_has_counts_as_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An attempt that goes on where the last one was cut off needs no room for what is there."""
    (tmp_path / "layers").mkdir()
    (tmp_path / "layers" / f"{'0' * 64}.part").write_bytes(bytes(20))
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=7 if place == tmp_path else 1))
    assert state_free_bytes({"DockerRootDir": str(OTHER)}, tmp_path) == 27


def test_parts_of_a_pool_are_one_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Subvolumes of btrfs, datasets of ZFS: with device numbers of their own, and the same free bytes."""
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(total=len(str(place)), free=7))
    assert state_free_bytes({"DockerRootDir": str(OTHER)}, tmp_path) is None


def test_where_the_engine_keeps_its_images(tmp_path: Path) -> None:
    assert place_of_images({"DockerRootDir": str(tmp_path)}) == tmp_path
    assert place_of_images({"DockerRootDir": str(tmp_path / "hidden")}) == Path("/")
