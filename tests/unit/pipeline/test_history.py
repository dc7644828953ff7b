"""How runs are shown."""

from __future__ import annotations

from allfast.model.release import Run, Who
from allfast.pipeline.history import history_lines

FORCED = Run(1, "deploy", Who("ann", "laptop"), 0.0, 2.0, "done", "r1", force="the fair begins at ten")
FAILED = Run(2, "deploy", Who("ann", "laptop"), 3.0, 4.0, "failed", "r2", message="api: crash loop\nmore")


def test_the_reason_of_force_is_shown_and_why_a_run_failed() -> None:
    assert history_lines((FAILED, FORCED), verbose=False)[-3:] == [
        "",
        "r2: api: crash loop",
        "r1: forced: the fair begins at ten",
    ]
    assert "    forced: the fair begins at ten" in history_lines((FORCED,), verbose=True)
