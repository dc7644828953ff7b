"""A base that is pulled and sent at once: which way is given up, and when."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest

from allfast.agent.archive import Layer
from allfast.images.base_pull import BasePull
from allfast.images.pace import Pace
from allfast.images.pull_choice import STALLED, Choice, Outcome
from allfast.images.race import LOOK, Overtaken, Race
from allfast.model.base import BaseImage
from tests.unit.images.pulling import MB, REFERENCE, Clock, Pull, pace_of, slowing, steady

LAYERS = ("sha256:" + "1" * 64, "sha256:" + "2" * 64)
BASE = BaseImage(REFERENCE, LAYERS, ("sha256:" + "3" * 64, "sha256:" + "4" * 64), (30 * MB, 20 * MB))


@pytest.fixture
def clock() -> Clock:
    return Clock()


def nobody(_: BasePull) -> None:
    """Who is told of a pull that is waited for: see test_race.py."""


def raced(clock: Clock, fetched: Callable[[float], float], sending: float | None) -> tuple[Race, Pull]:
    """A race of that pull with sending at a rate, which has just begun."""
    pace = Pace(clock) if sending is None else pace_of(sending, clock)
    pull = Pull(BASE, clock, fetched)
    return Race(cast("BasePull", pull), LAYERS, pace), pull


def test_a_pull_that_moves_and_is_slower_is_given_up_when_its_rate_is_known(clock: Clock) -> None:
    race, pull = raced(clock, steady(MB), sending=5 * MB)
    race.go_on()
    assert (race.choice(), pull.pulling.outcome) == (Choice.BOTH, None), "nobody can tell yet"
    clock.now += 2
    race.go_on()
    assert pull.pulling.outcome is Outcome.GIVEN_UP
    assert "sooner" in pull.reason
    assert race.settled(nobody) is Choice.SEND


def test_sending_that_is_slower_ends(clock: Clock) -> None:
    race, pull = raced(clock, steady(5 * MB), sending=MB)
    race.go_on()
    clock.now += 2
    with pytest.raises(Overtaken):
        race.go_on()
    assert pull.pulling.outcome is None, "it goes on"
    assert race.settled(nobody) is Choice.PULLED
    with pytest.raises(Overtaken):
        race.go_on()


def test_as_long_as_one_rate_is_not_known_both_go_on(clock: Clock) -> None:
    race, pull = raced(clock, steady(5 * MB), sending=None)
    for _ in range(5):
        clock.now += 1
        race.go_on()
    assert race.settled(nobody) is Choice.BOTH, "nobody waits for it"
    assert pull.pulling.outcome is None


def test_a_pull_that_slows_down_is_not_waited_for_to_its_end(clock: Clock) -> None:
    """It moves all the time; what is left of it takes longer than sending would."""
    race, pull = raced(clock, slowing(10 * MB, 0.1 * MB), sending=2 * MB)
    began = clock.now
    clock.now += 2
    assert race.choice() is Choice.WAIT
    assert race.settled(nobody) is Choice.SEND
    assert pull.pulling.silent < STALLED
    # About 28 MB are left. At the rate at which all of it came they take as long by then as 50 MB do by sending: 25 s.
    assert clock.now - began == pytest.approx(19, abs=1)


def test_a_pull_that_stops_is_waited_for_a_moment(clock: Clock) -> None:
    race, _ = raced(clock, slowing(20 * MB, 0), sending=2 * MB)
    clock.now += 2
    assert race.choice() is Choice.WAIT
    stopped = clock.now
    assert race.settled(nobody) is Choice.SEND
    assert clock.now - stopped == pytest.approx(STALLED, abs=2 * LOOK)


def test_what_was_sent_meanwhile_counts(clock: Clock) -> None:
    """The first layer is nearly there; of a layer that is no base's, nothing counts."""
    race, _ = raced(clock, steady(3 * MB), sending=2 * MB)
    clock.now += 5
    assert race.choice() is Choice.WAIT, "35 MB by 3, and 50 MB by 2"
    race.made(Layer("sha256:" + "9" * 64, 100, []), 100)
    race.made(Layer(LAYERS[0], 100, []), 50)
    assert race.choice() is Choice.WAIT, "35 MB by 3, and 35 MB by 2"
    race.made(Layer(LAYERS[0], 100, []), 95)
    assert race.choice() is Choice.SEND, "35 MB by 3, and 21.5 MB by 2"


def test_layers_that_are_in_the_cache_need_no_pull(clock: Clock) -> None:
    race, _ = raced(clock, steady(5 * MB), sending=MB)
    clock.now += 2
    race.there(LAYERS[:1])
    assert race.choice() is Choice.WAIT
    race.there([LAYERS[1], "sha256:another"])
    assert race.choice() is Choice.SEND
