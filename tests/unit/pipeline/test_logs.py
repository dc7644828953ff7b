"""Whose lines are shown, what a line of Compose is, and which times `logs --since` takes."""

from __future__ import annotations

import pytest

from allfast.errors import UsageError
from allfast.model.release import Strategy
from allfast.pipeline.logs import _check_since, full_name, of_visitors, parse
from tests.unit.planning.facts_factory import release, running

STAMPS = [
    "2026-11-22",
    "2026-11-22T18:30",
    "2026-11-22T18:30:00",
    "2026-11-22T18:30:00.5Z",
    "2026-11-22T18:30:00+02:00",
]


@pytest.mark.parametrize("text", ["", "10m", "1h30m", "1.5h", "90s", "1795372200", "1795372200.25", *STAMPS])
def test_times(text: str) -> None:
    _check_since(text)


@pytest.mark.parametrize(
    "text", ["nonsense", "1d", "10 m", "-5m", "2026-13-01", "2026-11-22T25:00:00", "yesterday", "m"]
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(UsageError, match="--since") as caught:
        _check_since(text)
    assert "10m" in caught.value.hint


def test_the_lines_of_all_that_visitors_get() -> None:
    live = release(strategy=Strategy.SIDE_BY_SIDE)
    data, of_live, warm, other = (running("db"), *(running("web", release=name) for name in ("R1", "R0", "R2")))
    everything = (data, of_live, warm, other)
    assert of_visitors(everything, live, set()) == (data, of_live)
    assert of_visitors(everything, live, {"R2"}) == (data, of_live, other), "a canary, or what a dead run left"
    assert of_visitors(everything, live, {"R1"}) == (data, of_live), "the proxy leads to the live release"
    assert of_visitors(everything, None, {"R2"}) == (data, other), "a first deploy that died after its switch"
    assert of_visitors((), None, set()) == ()


def test_each_line_names_its_container() -> None:
    names = {"chat-R1-web-1", "chat-R2-web-1", "the-db"}
    assert full_name("web-1", "chat-R2", names) == "chat-R2-web-1"
    assert full_name("chat-R1-web-1", "chat-R1", names) == "chat-R1-web-1"
    assert full_name("the-db", "chat", names) == "the-db", "a fixed name"


@pytest.mark.parametrize("erasures", [0, 1, 2])
def test_a_line_of_compose(erasures: int) -> None:
    """Compose erases the line in a write of its own: two containers that write at once put two before one line."""
    line = "\x1b[2K" * erasures + "hello-api-1  |   File 'app.py', a | b \n"
    assert parse(line) == ("hello-api-1", "  File 'app.py', a | b")
