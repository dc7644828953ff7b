"""What is said of a run whose release is live already."""

from __future__ import annotations

from allfast.errors import RolloutError
from allfast.pipeline.run import after_live


def test_an_error_after_the_release_went_live_keeps_its_cause_and_its_next_step() -> None:
    told = after_live("R1", RolloutError("worker ended with exit code 1", hint="correct it", evidence=("KeyError",)))
    assert told.exit_code == 4
    assert told.message == "R1 is live, but what follows that failed: worker ended with exit code 1"
    assert told.hint.startswith("correct it; `allfast status` shows what serves")
    assert told.evidence == ("KeyError",)
