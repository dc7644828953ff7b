"""A request to an agent that is under way (channel.py)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from allfast.errors import AllfastError
from allfast.remote.failures import MALFORMED

Note = Callable[[dict[str, Any]], None]


@dataclass(slots=True)
class Call:
    """Once it is `done` it has an `answer`, or the connection is lost; `failure`: the first that a note has led to."""

    note: Note | None = None
    done: threading.Event = field(default_factory=threading.Event)
    answer: dict[str, Any] | None = None
    failure: Exception | None = None

    def hear(self, note: dict[str, Any]) -> None:
        """The agent notes something. Raises what says that this is not what it should be.

        Any other failure is the caller's own: it is raised where the call ends, and all others go on listening.
        """
        if self.note is None:
            return
        try:
            self.note(note)
        except (AllfastError, *MALFORMED):
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is
            self.failure = self.failure or error
