"""The load's judge: an answer names what can have been live between its request's start and its end, or it is mixed."""

import pytest

from testbed.traffic import Answer, Switch, judge

SWITCHES = [Switch("one", float("-inf"), 0.0), Switch("two", 10.0, 10.5), Switch("three", 20.0, 20.1)]


@pytest.mark.parametrize(
    ("began", "ended", "names", "right"),
    [
        (1.0, 1.1, ("one",), True),
        (1.0, 1.1, ("two",), False),
        (10.2, 10.3, ("one",), True),
        (10.2, 10.3, ("two",), True),
        (10.6, 10.7, ("two",), True),
        (10.6, 10.7, ("one",), False),
        (9.0, 12.0, ("one",), True),
        (9.0, 12.0, ("three",), False),
        (30.0, 31.0, ("three",), True),
        (30.0, 31.0, ("three", "three"), True),
        (10.2, 10.3, ("one", "two"), False),
        (10.2, 10.3, (), False),
    ],
)
def test_an_answer_is_judged_by_the_time_of_its_request(
    began: float, ended: float, names: tuple[str, ...], right: bool
) -> None:
    found = list(judge([Answer("new", began, ended, names)], SWITCHES))
    assert (not found) is right, found
