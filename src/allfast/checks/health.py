"""Is a container up? Judged from what the engine reports, not from `compose up --wait`, which fails on one-shots
and passes services without a check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from allfast.model.server import Container, HealthCheck

# A service may find its database not ready once or twice and be restarted by its policy; more is a loop.
RESTARTS_TOLERATED = 2
QUIET_SECONDS = 10.0  # a container that can be asked nothing must run this long without a restart
SLACK_SECONDS = 15.0
WITHOUT_CHECK_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Health:
    """A container's state in one word, and the words for people."""

    state: Literal["healthy", "starting", "failed"]
    text: str


def judge(container: Container, now: float, answers: bool | None, restarts_before: int = 0) -> Health:
    """The state of a release container.

    Args:
        container: as the engine reports it.
        now: the server's clock, epoch seconds.
        answers: whether its port answers; None where there is no port to ask.
        restarts_before: how often it had been restarted before we looked: a container that is kept may have a past.
    """
    if container.oom_killed:
        return Health("failed", "was killed: out of memory")
    restarts = container.restarts - restarts_before
    if restarts > RESTARTS_TOLERATED:
        return Health("failed", f"is in a crash loop: restarted {restarts} times")
    if container.state in ("exited", "dead", "removing"):
        return Health("failed", f"ended with {_exit(container)}")
    if container.state == "restarting":
        return Health("starting", f"is restarting after it ended with {_exit(container)}")
    if container.state != "running":
        return Health("starting", f"is {container.state}")
    return _running(container, now, answers)


def _running(container: Container, now: float, answers: bool | None) -> Health:
    if container.health == "unhealthy":
        return Health("failed", "is unhealthy by its own check")
    if container.health == "healthy":
        return Health("healthy", "healthy by its own check")
    if container.health == "starting":
        return Health("starting", "its check has not passed yet")
    if answers is not None:
        return (
            Health("healthy", "answers on its port") if answers else Health("starting", "does not answer on its port")
        )
    quiet = now - container.started
    if quiet >= QUIET_SECONDS:
        return Health("healthy", f"runs for {QUIET_SECONDS:.0f} s without a restart (it has no check and no port)")
    return Health("starting", "has no check and no port: watched for a restart")


def _exit(container: Container) -> str:
    return f"exit code {container.exit_code}"


def patience(check: HealthCheck | None) -> float:
    """Seconds after which a container that is still starting has failed: what its check allows, and some slack."""
    if check is None:
        return WITHOUT_CHECK_SECONDS
    return check.start_period + (check.interval + check.timeout) * check.retries + SLACK_SECONDS
