"""A pull of a base that moves as a test says, in time that passes as a test says."""

from __future__ import annotations

from collections.abc import Callable

from allfast.images.pace import Pace
from allfast.images.pull_choice import Outcome, Pulling
from allfast.images.pull_progress import PullProgress
from allfast.model.base import BaseImage

MB = 1_000_000
REFERENCE = "registry.example/base@sha256:" + "b" * 64


class Clock:
    """Seconds that pass when somebody says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Pull:
    """As `BasePull`, without a server: at each moment it has `fetched` (seconds since it began) of its bytes.

    All of them: it is done. A look at it takes `look` seconds.
    """

    def __init__(self, base: BaseImage, clock: Clock, fetched: Callable[[float], float], look: float = 0.0) -> None:
        self.base, self.cause, self.reason = base, "", ""
        self.count = len(base.diff_ids)
        self._clock, self._fetched, self._look = clock, fetched, look
        self._began = self._now = clock()
        self._progress = PullProgress(base.fetched, lambda: self._now)

    def start(self) -> None:
        """It began when it was made."""

    @property
    def pulling(self) -> Pulling:
        """How it stands, by what the engine has told since the last look."""
        self._clock.now += self._look
        while self._now < self._clock():
            self._now = min(self._now + 0.1, self._clock())
            self._tell(int(self._fetched(self._now - self._began)))
        if not self._progress.pulling.left:
            self._progress.end(Outcome.DONE)
        return self._progress.pulling

    def _tell(self, fetched: int) -> None:
        for blob, size in self.base.fetched.items():
            if fetched > 0:
                detail = {"current": min(fetched, size)}
                self._progress.take({"id": blob[7:19], "status": "Downloading", "progressDetail": detail})
            fetched -= size

    def wait(self, seconds: float) -> None:
        """Time passes."""
        self._clock.now += seconds

    def give_up(self, reason: str) -> None:
        """It ends, where it has not ended yet."""
        self.reason = self.reason or reason
        self._progress.end(Outcome.GIVEN_UP)

    def close(self) -> None:
        """There is no thread."""


def steady(rate: float) -> Callable[[float], float]:
    """So many bytes each second."""
    return lambda seconds: rate * seconds


def slowing(fast: float, slow: float) -> Callable[[float], float]:
    """So many bytes in the first two seconds, each, and then fewer."""
    return lambda seconds: fast * min(seconds, 2) + slow * max(0, seconds - 2)


def pace_of(rate: float, clock: Clock) -> Pace:
    """Sending was watched for two seconds, and had that rate."""
    pace = Pace(clock)
    with pace.running():
        pace.leaves(int(2 * rate))
        clock.now += 2
        pace.arrives()
    return pace
