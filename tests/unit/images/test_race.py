"""What is told while a pull is waited for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest

from allfast.agent.engine import Engine
from allfast.events import BasePulled, Event
from allfast.images.base_pull import BasePull
from allfast.images.pace import Pace
from allfast.images.pull_choice import Choice, Outcome, Pulling
from allfast.images.pulls import Pulls
from allfast.images.race import Race
from allfast.model.base import BaseImage
from tests.unit.images.test_pace import Clock

MB = 1_000_000
BASE = BaseImage("python@sha256:1", ("d", "p"), ("d.gz", "p.gz"), (30 * MB, 60 * MB))


class Under:
    """A pull that stands so at each look; nobody has to wait for it."""

    base = BASE

    def __init__(self, *stands: Pulling) -> None:
        self._stands = list(stands)

    @property
    def pulling(self) -> Pulling:
        """How it stands."""
        return self._stands[0]

    def wait(self, _seconds: float) -> None:
        """Until the next look."""
        self._stands.pop(0)


@pytest.fixture
def pace() -> Pace:
    """A line that takes 1 MB/s."""
    clock = Clock()
    found = Pace(clock)
    with found.running():
        for _ in range(9):
            found.leaves(MB)
        for _ in range(9):
            clock.now += 1
            found.arrives()
    assert found.rate == pytest.approx(MB, rel=0.2)
    return found


@pytest.fixture
def told() -> Iterator[tuple[Pulls, list[Event]]]:
    """The pulls of a shipment, and what they tell."""
    events: list[Event] = []
    pulls = Pulls({}, cast("Engine", None), lambda *_: None, cast("Any", None), events.append)
    yield pulls, events
    pulls.close()


def test_a_pull_that_is_waited_for_is_told_at_each_look(pace: Pace, told: tuple[Pulls, list[Event]]) -> None:
    pulls, events = told
    pull = Under(Pulling(40 * MB, 20.0 * MB), Pulling(0), Pulling(0, outcome=Outcome.DONE))
    assert Race(cast("BasePull", pull), BASE.diff_ids, pace).settled(pulls.waited_for) is Choice.PULLED
    assert events == [
        BasePulled(BASE.reference, "pulling", 40 * MB, rate=20.0 * MB, seconds_left=2.0),
        BasePulled(BASE.reference, "pulling", 0),
    ]


def test_nothing_is_told_of_a_pull_that_is_not_waited_for(pace: Pace, told: tuple[Pulls, list[Event]]) -> None:
    pulls, events = told
    pull = Under(Pulling(40 * MB, 1.0))
    assert Race(cast("BasePull", pull), BASE.diff_ids, pace).settled(pulls.waited_for) is Choice.SEND
    assert events == []
