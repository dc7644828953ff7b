"""What runs the containers: one protocol, and an implementation for each kind of engine.

`compose` is one server with Docker Compose. All calls go to the server's engine and change it; the pipeline
wraps each in a journal step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from allfast.model.server import Container


@dataclass(frozen=True, slots=True)
class Ended:
    """How a one-shot container ended: its exit code and its last lines, oldest first."""

    exit_code: int
    lines: tuple[str, ...]


class ReleaseEngine(Protocol):
    """Starts and stops the containers of one deployment."""

    def up(
        self, document: str, services: Sequence[str], *, fresh_volumes: bool, meanwhile: Callable[[], object]
    ) -> None:
        """Replace the containers of `services` by new ones as `document` (a rendered Compose file) has them.

        Args:
            fresh_volumes: new anonymous volumes instead of the old containers' ones.
            meanwhile: called several times a second while the engine works; what it raises ends the call.

        Raises:
            RolloutError: the engine could not start a container; the message is the engine's.
        """
        ...

    def resume(self, services: Sequence[str]) -> None:
        """Start the services' stopped or paused containers as they are."""
        ...

    def run_once(self, document: str, service: str) -> Ended:
        """Run a one-shot service to its end and remove its container, however it ends."""
        ...

    def remove(self, services: Sequence[str]) -> None:
        """Stop the services' containers gracefully and remove them, and the anonymous volumes of all but data services.

        Named volumes and networks stay.
        """
        ...

    def containers(self) -> tuple[Container, ...]:
        """The deployment's containers now."""
        ...

    def last_exit(self, container: str) -> int | None:
        """The exit code with which a container last ended, also where it was restarted since; None: not known."""
        ...

    def last_lines(self, container: str, count: int = 20) -> tuple[str, ...]:
        """The last lines that a container logged (stdout and stderr), oldest first."""
        ...
