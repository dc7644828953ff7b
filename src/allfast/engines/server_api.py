"""The server's Engine API as it is asked from the laptop: what it refuses is said as a person is told it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from allfast.agent.engine import LOOK_AT_ENGINE, Engine, EngineError, EngineUnreachable
from allfast.agent.stopping import stop
from allfast.errors import RemoteError, RolloutError


class ServerApi:
    """The engine of a server, at the other end of the connection.

    Args:
        engine: the Engine API.
        check: raises the connection's own error where that is why the engine does not answer.

    Attributes:
        engine: the same; what is asked there is asked within `asking`.
    """

    def __init__(self, engine: Engine, check: Callable[[], object]) -> None:
        self.engine = engine
        self._check = check

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Raise the engine's errors as those that a person is told.

        Raises:
            RolloutError: the engine refused.
            RemoteError: it does not answer.
        """
        try:
            yield
        except EngineError as error:
            hint = LOOK_AT_ENGINE
            raise RolloutError(f"the server's engine refused: {error.message}", hint=hint) from error
        except EngineUnreachable as error:
            self._check()
            hint = "look at the server (systemctl status docker), then run the command again"
            raise RemoteError("the server's engine does not answer", hint=hint, evidence=(str(error),)) from error

    def quietly(self, method: str, path: str, fine: Collection[int] = (304, 404), **query: Any) -> int:
        """Ask for something that may already be so (a stopped or removed container): these answers are `fine`, too.

        Returns:
            200, or that of `fine` which came.
        """
        with self.asking():
            try:
                with self.engine.stream(method, path, **query) as answer:
                    answer.read()
            except EngineError as error:
                if error.status not in fine:
                    raise
                return error.status
        return 200

    def stop(self, container: str) -> None:
        """Stop a container gracefully, unless it has stopped or is gone."""
        with self.asking():
            stop(self.engine, container)

    def get(self, path: str, **query: Any) -> Any:
        """The JSON answer of a GET."""
        with self.asking():
            return self.engine.get(path, **query)

    def find(self, path: str) -> Mapping[str, Any]:
        """What the engine knows of a container, a volume ...; nothing of one that is not there."""
        with self.asking():
            try:
                found: Mapping[str, Any] = self.engine.get(path)
            except EngineError as error:
                if error.status != 404:
                    raise
                return {}
        return found

    def container(self, identity: str) -> Mapping[str, Any]:
        """What the engine knows of a container; nothing of one that is gone."""
        return self.find(f"/containers/{identity}/json")
