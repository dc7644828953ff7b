"""Folders for sockets: short, private, and swept."""

import subprocess
from pathlib import Path

import pytest

from allfast.remote import sockets


def test_a_path_is_short_enough_for_macos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/a/very/long/path" * 9)
    folder = sockets.Folder()
    assert len(str(folder.path / "c")) + 17 < 104
    assert folder.path.stat().st_mode & 0o777 == 0o700
    folder.remove()
    assert not folder.path.exists()


def test_what_dead_processes_left_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(sockets, "_LONGEST", 1000)
    gone = subprocess.Popen(["true"])
    gone.wait()
    left = tmp_path / "allfast" / f"{gone.pid}-0"
    others = tmp_path / "allfast" / "1-0"
    for folder in (left, others):
        folder.mkdir(parents=True)
    (tmp_path / "allfast").chmod(0o700)
    mine = sockets.Folder()
    assert sorted((tmp_path / "allfast").iterdir()) == sorted([mine.path, others])


def test_a_folder_that_is_open_to_others_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(sockets, "_LONGEST", 1000)
    (tmp_path / "allfast").mkdir()
    (tmp_path / "allfast").chmod(0o777)
    folder = sockets.Folder()
    assert tmp_path not in folder.path.parents
    folder.path.parent.joinpath(folder.path.name).rmdir()
    folder.path.parent.rmdir()
