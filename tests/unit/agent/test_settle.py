"""When the engine is at rest: a table of events."""

from typing import Any

import pytest

from allfast.agent import settle


def event(action: str, age: float, container: str = "a", signal: str = "15") -> dict[str, Any]:
    return {
        "Action": action,
        "Actor": {"ID": container, "Attributes": {"signal": signal}},
        "timeNano": int((1000 - age) * 1e9),
    }


@pytest.mark.parametrize(
    ("events", "rest"),
    [
        ([], True),
        ([event("start", 1.9)], False),
        ([event("start", 2.1)], True),
        ([event("kill", 20)], False),
        ([event("kill", 20, signal="1")], True),  # HUP: it is told to read its configuration again
        ([event("kill", 20), event("die", 10)], True),
        ([event("kill", 20), event("die", 10, "b")], False),
        ([event("kill", 20), event("destroy", 10)], True),
        ([event("die", 20), event("kill", 10)], False),
    ],
)
def test_at_rest(events: list[dict[str, Any]], rest: bool) -> None:
    assert settle._at_rest(events, 1000.0) is rest
