"""How far a pull is, by what the engine says (Engine 26, overlay2)."""

from __future__ import annotations

from typing import Any

from allfast.images.pull_choice import Outcome, Pulling
from allfast.images.pull_progress import PullProgress
from tests.unit.images.test_pace import Clock

BIG, SMALL = "sha256:" + "a" * 64, "sha256:" + "b" * 64
SIZES = {BIG: 3000, SMALL: 1000}


def said(status: str, blob: str = BIG, current: int | None = None) -> dict[str, Any]:
    """An event of the engine."""
    detail = {} if current is None else {"current": current, "total": SIZES[blob]}
    return {"status": status, "progressDetail": detail, "id": blob[7:19]}


def progress(clock: Clock, *events: dict[str, Any]) -> PullProgress:
    found = PullProgress(SIZES, clock)
    for event in events:
        found.take(event)
    return found


def test_nothing_is_known_before_the_first_bytes() -> None:
    clock = Clock()
    waiting = progress(
        clock, {"status": "Pulling from base", "id": "latest"}, said("Pulling fs layer"), said("Waiting")
    )
    clock.now += 4
    assert waiting.pulling == Pulling(4000, None, 4.0)


def test_the_rate_counts_from_the_first_bytes() -> None:
    clock = Clock()
    under_way = progress(clock)
    clock.now += 60
    under_way.take(said("Downloading", current=0))
    clock.now += 0.5
    under_way.take(said("Downloading", current=500))
    assert under_way.pulling.rate is None, "too short a time"
    clock.now += 1.5
    assert under_way.pulling == Pulling(3500, 250.0, 1.5)


def test_what_is_fetched_is_fetched_whatever_is_done_with_it() -> None:
    for status in ("Verifying Checksum", "Download complete", "Pull complete"):
        assert progress(Clock(), said("Downloading", current=10), said(status)).pulling.left == 1000, status
    assert progress(Clock(), said("Extracting", current=10)).pulling.left == 1000


def test_what_the_engine_has_is_not_fetched() -> None:
    clock = Clock()
    found = progress(clock, said("Already exists"), said("Downloading", SMALL, 500))
    clock.now += 2
    assert (found.pulling.left, found.pulling.rate) == (500, 250.0)


def test_a_registry_that_is_tried_again_does_not_move() -> None:
    clock = Clock()
    found = progress(clock, said("Downloading", current=500))
    for second in (5, 4, 3):
        clock.now += 1
        found.take(said(f"Retrying in {second} seconds"))
        found.take(said("Downloading", current=500))
    assert found.pulling.silent == 3.0


def test_unpacking_moves() -> None:
    clock = Clock()
    found = progress(clock, said("Download complete"), said("Download complete", SMALL))
    clock.now += 3
    found.take(said("Extracting", current=100))
    assert (found.pulling.left, found.pulling.silent) == (0, 0.0)


def test_the_first_outcome_counts() -> None:
    found = progress(Clock())
    found.end(Outcome.GIVEN_UP)
    found.end(Outcome.FAILED)
    assert found.pulling.outcome is Outcome.GIVEN_UP
