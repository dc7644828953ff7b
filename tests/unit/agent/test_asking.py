"""Reading what the engine says."""

from functools import partial
from typing import Any

import pytest

from allfast.agent import asking, containers


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-01-02T03:04:05Z", 1767323045.0),
        ("2026-01-02T03:04:05.25Z", 1767323045.25),
        ("2026-01-02T03:04:05.123456789+02:00", 1767315845.123456789),
        ("2026-01-02T03:04:05-05:30", 1767342845.0),
        ("0001-01-01T00:00:00Z", 0.0),
        ("", 0.0),
    ],
)
def test_timestamp(text: str, seconds: float) -> None:
    assert asking.timestamp(text) == pytest.approx(seconds)


def test_in_parallel_keeps_the_order_and_raises_the_first_failure() -> None:
    assert asking.in_parallel([partial(abs, n) for n in range(50)]) == list(range(50))
    assert asking.in_parallel([]) == []

    def fail() -> None:
        raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        asking.in_parallel([fail, *([lambda: 1] * 20)])


def test_what_a_health_check_printed_is_cut_at_whole_lines() -> None:
    def told(output: str) -> str:
        return containers._health_output({"Health": {"Log": [{"Output": "an older one"}, {"Output": output}]}})

    assert told("one  word\n\n two\n") == "one  word two"
    assert told("short\n" + "a secret " * 60 + "\n") == "short"
    assert told("a secret " * 100) == ("a secret " * 100).strip()
    assert told("whole\n" + "x\n" * 2000 + "y" * 90 + "half") == "whole" + " x" * 247
    assert told("whole\n" + "s" * 4090) == "whole", "the engine cut the last line"
    assert containers._health_output({}) == ""


@pytest.mark.parametrize(
    ("configured", "check"),
    [
        ({}, None),
        ({"Test": []}, None),
        ({"Test": ["NONE"]}, None),
        (
            {"Test": ["CMD", "true"]},
            {"interval": 30.0, "timeout": 30.0, "retries": 3, "start_period": 0.0},
        ),
        (
            {"Test": ["CMD-SHELL", "true"], "Interval": 0, "Timeout": 0, "Retries": 0, "StartPeriod": 0},
            {"interval": 30.0, "timeout": 30.0, "retries": 3, "start_period": 0.0},
        ),
        (
            {
                "Test": ["CMD", "true"],
                "Interval": 500_000_000,
                "Timeout": 2_000_000_000,
                "Retries": 7,
                "StartPeriod": 180_000_000_000,
            },
            {"interval": 0.5, "timeout": 2.0, "retries": 7, "start_period": 180.0},
        ),
    ],
)
def test_a_health_check_as_the_engine_has_it(configured: dict[str, Any], check: dict[str, Any] | None) -> None:
    assert containers._check(configured) == check
