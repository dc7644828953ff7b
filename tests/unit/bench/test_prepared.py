"""The scripts that keep a server's state and put it back, on a folder in place of a server's root."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bench.transfer.prepared import BRING_BACK, FORGET, KEEP

BIG = bytes(300_000)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A server with one layer, a cache, and what the engine knows of them."""
    write(tmp_path, {"var/lib/docker/overlay2/a/big": BIG, "var/lib/docker/overlay2/a/small": b"a"})
    write(tmp_path, {"var/lib/docker/image/known": b"a", "var/lib/allfast/x/layers/a": b"a", "root/.cache/x": b"a"})
    return tmp_path


def write(root: Path, files: dict[str, bytes]) -> None:
    """With the folders that they need."""
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


def found(root: Path) -> dict[str, bytes]:
    """All files but the kept states."""
    files = (file for file in root.rglob("*") if file.is_file() and "prepared" not in file.parts)
    return {str(file.relative_to(root)): file.read_bytes() for file in files}


def run(script: str, root: Path, name: str) -> int:
    """The exit status."""
    return subprocess.run(["bash", "-c", script, "bash", root, name], check=False, capture_output=True).returncode


def test_what_was_kept_comes_back_and_nothing_else(root: Path) -> None:
    before = found(root)
    assert run(KEEP, root, "one") == 0
    for _ in range(2):
        write(root, {"var/lib/docker/overlay2/b/big": BIG, "var/lib/docker/image/known": b"b", "root/.cache/y": b"b"})
        write(root, {"var/lib/allfast/x/layers/b": b"b", "var/lib/docker/new/file": b"b"})
        assert run(BRING_BACK, root, "one") == 0
        assert found(root) == before


def test_nothing_of_a_forgotten_state_is_in_the_next_one_of_its_name(root: Path) -> None:
    assert run(KEEP, root, "one") == 0
    assert run(KEEP, root, "one") != 0, "it is there"
    assert run(FORGET, root, "one") == 0
    left = [file for file in root.rglob("prepared/**/*") if file.is_file() and file.stat().st_size >= len(BIG)]
    assert not left, "what is big is removed"
    for name in ("var/lib/docker/overlay2/a/big", "var/lib/docker/overlay2/a/small", "var/lib/docker/image/known"):
        (root / name).unlink()
    write(root, {"var/lib/docker/overlay2/b/small": b"b"})
    now = found(root)
    assert run(KEEP, root, "one") == 0
    assert run(BRING_BACK, root, "one") == 0
    assert found(root) == now
