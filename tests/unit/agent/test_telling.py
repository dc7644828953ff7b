"""How far a long piece of work of the server is: told to the laptop, but not of what is soon done."""

from __future__ import annotations

from typing import Any

import pytest

from allfast.agent import telling
from allfast.agent.loading import unpacked
from allfast.agent.telling import Telling


class Clock:
    """Seconds, as they are wanted."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        """As that of `time`."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(telling, "time", found)
    return found


def test_once_a_second_from_the_first_one_on(clock: Clock) -> None:
    told: list[Any] = []
    work = Telling(told.append, "reading")
    for tenth in range(25):
        clock.now = 100 + tenth / 10
        work.at(tenth, 25)
    assert told == [
        {"work": "reading", "done": 10, "of": 25, "seconds": pytest.approx(1.0)},
        {"work": "reading", "done": 20, "of": 25, "seconds": pytest.approx(2.0)},
    ]


def test_what_comes_next_is_told_at_once_and_has_its_own_seconds(clock: Clock) -> None:
    told: list[Any] = []
    work = Telling(told.append, "loading")
    clock.now += 1.5
    work.at(5, 9)
    clock.now += 0.1
    work.then("unpacking", 9)
    clock.now += 1.0
    work.at(4, 9)
    assert [(note["work"], note["done"], note["of"]) for note in told] == [
        ("loading", 5, 9),
        ("unpacking", 0, 9),
        ("unpacking", 4, 9),
    ]
    assert told[-1]["seconds"] == pytest.approx(1.0)


def test_of_what_was_quick_nothing_is_told(clock: Clock) -> None:
    told: list[Any] = []
    work = Telling(told.append, "loading")
    clock.now += 0.9
    work.at(9, 9)
    work.then("unpacking", 9)
    work.at(9, 9)
    assert told == []


def test_an_engine_that_unpacks_tells_the_bytes_of_one_layer_after_the_other() -> None:
    values: list[dict[str, Any]] = [
        {"status": "Loading layer", "progressDetail": {"current": 10, "total": 30}, "id": "one"},
        {"status": "Loading layer", "progressDetail": {"current": 30, "total": 30}, "id": "one"},
        {"status": "Loading layer", "progressDetail": {"current": 15, "total": 20}, "id": "two"},
        {"stream": "Loaded image ID: sha256:1\n"},
        {"progressDetail": {}, "status": "?"},
        {"progressDetail": None},
    ]
    told: list[int] = []
    assert list(unpacked(values, told.append)) == values
    assert told == [10, 30, 45]
