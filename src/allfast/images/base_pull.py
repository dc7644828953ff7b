"""One base image that the server pulls by itself, while layers are sent to it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

from allfast.agent.engine import Engine, EngineError, EngineUnreachable, UnixConnection, error_of
from allfast.errors import AllfastError
from allfast.images.pull_choice import Outcome, Pulling
from allfast.images.pull_progress import PullProgress
from allfast.images.server_images import split_reference
from allfast.model.base import BaseImage

#: Gives the context of a change: journaled under the base's reference before it is made.
Journal = Callable[[str], AbstractContextManager[None]]


class BasePull:
    """A pull in a thread of its own, by digest: it gives no name to anything.

    Attributes:
        base: what is pulled.
        cause: why it failed, "" where it did not.
        reason: why it was given up.
    """

    def __init__(self, base: BaseImage, engine: Engine, platform: str, journal: Journal) -> None:
        self.base = base
        self.cause = ""
        self.reason = ""
        self._engine, self._platform, self._journal = engine, platform, journal
        self._progress = PullProgress(base.fetched)
        self._mutex = threading.Lock()
        self._connection: UnixConnection | None = None
        self._given_up = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pull", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    @property
    def count(self) -> int:
        """How many layers it brings, the first ones of an image that is built on it."""
        return len(self.base.diff_ids)

    @property
    def pulling(self) -> Pulling:
        """How it stands."""
        return self._progress.pulling

    def wait(self, seconds: float) -> None:
        """Wait for its end, so long at most."""
        self._ended.wait(seconds)

    def give_up(self, reason: str) -> None:
        """Have the engine end it, by ending the request; where it has ended already, it stays as it is."""
        with self._mutex:
            self._given_up = True
            self.reason = self.reason or reason
            if self._connection is not None:
                self._connection.cut()

    def close(self) -> None:
        """Wait for its end, which `give_up` has brought about."""
        self._thread.join()

    def _run(self) -> None:
        try:
            with self._journal(self.base.reference):
                self._pull()
        except (EngineError, EngineUnreachable, AllfastError, ValueError) as error:
            self.cause = str(error) or type(error).__name__
        finally:
            failed = Outcome.GIVEN_UP if self._given_up else Outcome.FAILED
            self._progress.end(failed if self.cause else Outcome.DONE)
            self._ended.set()

    def _pull(self) -> None:
        name, digest = split_reference(self.base.reference)
        with self._engine.stream(
            "POST", "/images/create", opened=self._opened, fromImage=name, tag=digest, platform=self._platform
        ) as answer:
            for event in answer.values():
                self._progress.take(event)
                if refused := error_of(event):  # the HTTP status was sent before
                    raise EngineError(200, refused)

    def _opened(self, connection: UnixConnection) -> None:
        with self._mutex:
            self._connection = connection
            if self._given_up:
                connection.cut()
