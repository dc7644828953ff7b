"""A container's health, judged from what the engine reports."""

from __future__ import annotations

from dataclasses import replace

import pytest

from allfast.checks.health import judge, patience
from allfast.model.server import Container, HealthCheck

RUNNING = Container("id", "app-api-1", "api", "sha256:1", "running", "healthy", "settings", started=100.0)


@pytest.mark.parametrize(
    ("container", "restarts_before", "state", "words"),
    [
        (RUNNING, 0, "healthy", "healthy by its own check"),
        (replace(RUNNING, health="starting"), 0, "starting", "has not passed yet"),
        (replace(RUNNING, health="unhealthy"), 0, "failed", "is unhealthy"),
        (replace(RUNNING, health="starting", restarts=3), 0, "failed", "crash loop: restarted 3 times"),
        (replace(RUNNING, restarts=7), 7, "healthy", "healthy"),
        (replace(RUNNING, health="starting", restarts=7), 6, "starting", "has not passed yet"),
        (replace(RUNNING, health="starting", restarts=9), 6, "failed", "crash loop: restarted 3 times"),
        (replace(RUNNING, state="restarting", exit_code=4), 0, "starting", "ended with exit code 4"),
        (replace(RUNNING, state="exited", exit_code=4), 0, "failed", "ended with exit code 4"),
        (replace(RUNNING, oom_killed=True), 0, "failed", "out of memory"),
        (replace(RUNNING, health="", started=195.0), 0, "starting", "watched for a restart"),
        (replace(RUNNING, health="", started=190.0), 0, "healthy", "10 s without a restart"),
    ],
)
def test_judge(container: Container, restarts_before: int, state: str, words: str) -> None:
    """Each state; a kept container's restarts of the past are no crash loop of today."""
    found = judge(container, 200.0, None, restarts_before)
    assert (found.state, words in found.text) == (state, True), found.text


@pytest.mark.parametrize(
    ("check", "seconds"),
    [
        (None, 60.0),
        (HealthCheck(interval=30.0, timeout=30.0, retries=3, start_period=0.0), 195.0),
        (HealthCheck(interval=2.0, timeout=3.0, retries=5, start_period=20.0), 60.0),
        (HealthCheck(interval=1.0, timeout=1.0, retries=1, start_period=300.0), 317.0),
        (HealthCheck(interval=0.5, timeout=0.25, retries=2, start_period=0.0), 16.5),
    ],
)
def test_patience(check: HealthCheck | None, seconds: float) -> None:
    """What the check allows, and 15 s more."""
    assert patience(check) == seconds


@pytest.mark.parametrize(("answers", "state"), [(True, "healthy"), (False, "starting")])
def test_a_port_is_asked_where_there_is_no_check(answers: bool, state: str) -> None:
    """Time alone does not make it healthy."""
    assert judge(replace(RUNNING, health="", started=100.0), 200.0, answers).state == state
