"""What the laptop remembers of the layers that it sent: bounded, and never a reason to fail."""

from __future__ import annotations

import io
import os
import random
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from allfast.agent import index
from allfast.transfer import known
from allfast.transfer.known import KnownLayers
from tests.unit.transfer.recipes import tree

LAYER = tree({f"app/{n}.js": random.Random(n).randbytes(900) for n in range(40)})
INDEX = index.build(io.BytesIO(LAYER).read)
NAME = "sha256:" + "ab" * 32


def bodies() -> Iterator[tuple[int, bytes]]:
    """The parts of `LAYER` that have a body, and that."""
    for part in range(len(INDEX)):
        start, size = INDEX.body(part)
        if size:
            yield part, LAYER[start : start + size]


@contextmanager
def full_disk(room: int) -> Iterator[None]:
    """No file gets more than `room` bytes: writing beyond that is an `OSError`, as on a full disk."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def put(layers: KnownLayers, name: str = NAME) -> None:
    """Remember `LAYER` under a name."""
    writer = layers.writer()
    try:
        for part, body in bodies():
            writer.keep(part, body)
        layers.put(name, INDEX, writer)
    finally:
        writer.close()


def test_what_was_put_is_found_with_its_bodies(tmp_path: Path) -> None:
    put(KnownLayers(tmp_path))
    found = KnownLayers(tmp_path).find(NAME[7:19])
    assert found is not None
    assert found.index.to_bytes() == INDEX.to_bytes()
    assert all(found.content(part) == body for part, body in bodies())


@pytest.mark.parametrize("room", [0, 1000, 20_000, 40_000])
def test_a_full_disk_is_no_reason_to_fail(tmp_path: Path, room: int) -> None:
    layers = KnownLayers(tmp_path)
    with full_disk(room):
        put(layers)
        assert not [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")], "nothing half is left"
    found = KnownLayers(tmp_path).find(NAME[7:19])
    assert found is None or found.index.to_bytes() == INDEX.to_bytes()


def test_what_was_sent_counts_before_what_was_told(tmp_path: Path) -> None:
    layers, name = KnownLayers(tmp_path), NAME[7:19]
    told = layers.learn(name, INDEX.to_bytes())
    assert told.content(0) is None
    put(layers)
    found = layers.find(name)
    assert found is not None
    assert found.content(0) == dict(bodies())[0]
    layers.forget(name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["../../docs/", "../../docs/one", "/etc/", "**x", "*", "", "ab", "AB" * 6, "ab" * 6 + "/", "ab" * 32]
)
def test_what_names_no_layer_touches_no_file(tmp_path: Path, name: str) -> None:
    """A server says the names."""
    docs, folder = tmp_path / "docs", tmp_path / "a" / "known"
    for place in (docs, folder):
        place.mkdir(parents=True)
        (place / "one.index").write_bytes(b"somebody's own")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    layers = KnownLayers(folder)
    assert layers.find(name) is None
    assert layers.index_bytes(name) is None
    layers.forget(name)
    with pytest.raises(index.BadIndex, match="names no layer"):
        layers.learn(name, INDEX.to_bytes())
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_of_many_bodies_the_first_ones_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "BODIES", 10 * 1024)
    put(KnownLayers(tmp_path))
    found = KnownLayers(tmp_path).find(NAME[7:19])
    assert found is not None
    kept = [found.content(part) == body for part, body in bodies()]
    assert kept == [True] * 10 + [False] * (len(kept) - 10)


def test_what_was_used_last_stays_with_its_bodies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layers, names = KnownLayers(tmp_path), [f"sha256:{digit * 64}" for digit in "abc"]
    for age, name in enumerate(names):
        put(layers, name)
        for entry in tmp_path.glob(f"{name[7:]}.*"):
            os.utime(entry, (1000 + age, 1000 + age))
    assert layers.find(names[0][7:19]) is not None
    monkeypatch.setattr(known, "LIMIT", 2 * sum(entry.stat().st_size for entry in tmp_path.glob(f"{names[0][7:]}.*")))
    put(layers, names[2])
    left = {entry.name for entry in tmp_path.iterdir()}
    assert left == {f"{name[7:]}.{kind}" for name in (names[0], names[2]) for kind in ("index", "bodies")}
