"""How many bytes the layers of an image of this machine have, by the engine's history of it."""

from __future__ import annotations

import json

import pytest

from allfast.images.local_engine import LocalEngine, LocalImage

IMAGE = LocalImage("sha256:1", "linux/amd64", ("a", "b"), {}, (), 0.0, 1_000)


def engine(monkeypatch: pytest.MonkeyPatch, *entries: tuple[str, int]) -> LocalEngine:
    """One that has this history, the newest entry first."""
    lines = "\n".join(json.dumps({"CreatedBy": made, "Size": str(size)}) for made, size in entries)
    monkeypatch.setattr(LocalEngine, "run", lambda *_: lines)
    return LocalEngine({})


def test_as_the_engine_counts_them(monkeypatch: pytest.MonkeyPatch) -> None:
    local = engine(monkeypatch, ("COPY x", 300), ("ENV A=1", 0), ("ADD rootfs", 700))
    assert local.counted_sizes(IMAGE) == local.layer_sizes(IMAGE) == (700, 300)


def test_where_the_history_does_not_match_each_has_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    local = engine(monkeypatch, ("imported", 1_000))
    assert local.counted_sizes(IMAGE) == ()
    assert local.layer_sizes(IMAGE) == (500, 500)
