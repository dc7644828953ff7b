"""Which containers a rollout judges."""

from __future__ import annotations

from dataclasses import replace

from allfast.pipeline.rollout import Before
from tests.unit.planning.facts_factory import running

ENDED = replace(running("web"), state="exited", started=5.0)


def test_what_is_replaced_never_counts() -> None:
    before = Before.replaced([ENDED])
    assert before.has(ENDED)
    assert before.settled().has(replace(ENDED, started=9.0))
    assert not before.has(replace(ENDED, id="another"))


def test_what_ended_before_it_is_started_again_does_not_count_until_then() -> None:
    """A reboot or a hand had stopped it: its old exit code says nothing of the start that is under way."""
    before = Before.started_again([ENDED])
    assert before.has(ENDED)
    assert not before.has(replace(ENDED, started=9.0)), "it was started, and ended again"
    assert not before.settled().has(ENDED), "everything has been started"
    assert not Before.started_again([replace(ENDED, state="running")]).has(ENDED), "it ran, and ended meanwhile"
