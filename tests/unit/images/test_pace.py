"""How fast what is sent arrives."""

from __future__ import annotations

from allfast.images.pace import Pace


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_what_lies_in_buffers_has_not_arrived() -> None:
    clock = Clock()
    pace = Pace(clock)
    with pace.running():
        for _ in range(8):
            pace.leaves(1000)
        clock.now += 2
        assert pace.rate is None
        pace.arrives()
        assert pace.rate == 500


def test_nothing_is_told_of_a_moment() -> None:
    clock = Clock()
    pace = Pace(clock)
    with pace.running():
        pace.leaves(1000)
        pace.arrives()
        clock.now += 0.5
        assert pace.rate is None


def test_only_the_time_of_sending_counts() -> None:
    clock = Clock()
    pace = Pace(clock)
    for _ in range(2):
        with pace.running():
            pace.leaves(3000)
            clock.now += 1
            pace.arrives()
        clock.now += 60
    assert pace.rate == 3000


def test_what_was_given_up_under_way_does_not_count_later() -> None:
    clock = Clock()
    pace = Pace(clock)
    with pace.running():
        pace.leaves(9000)
    with pace.running():
        pace.leaves(1000)
        clock.now += 1
        pace.arrives()
    assert pace.rate == 1000
