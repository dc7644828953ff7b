"""What a person is told to do after a one-shot that failed."""

from __future__ import annotations

from allfast.pipeline.one_shots import advice
from tests.unit.planning.facts_factory import release


def test_who_serves() -> None:
    assert "R1 serves" in advice(release())
    assert "nothing serves here yet" in advice(None)
