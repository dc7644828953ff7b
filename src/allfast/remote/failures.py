"""From the agent's kinds of errors to exceptions: one table, and never a look at the words."""

from __future__ import annotations

from typing import Any

from allfast.agent.engine import EngineError, EngineUnreachable
from allfast.agent.messages import Damaged
from allfast.agent.protocol import Kind
from allfast.errors import AllfastError, AttentionError, LockHeldError, LockLostError, RefusedError, RemoteError

_EXCEPTIONS: dict[str, type[AllfastError]] = {
    Kind.LOCK_HELD: LockHeldError,
    Kind.LOCK_LOST: LockLostError,
    Kind.OLDER_ALLFAST: RefusedError,
    Kind.FOREIGN_DEPLOYMENT: RefusedError,
    Kind.BROKEN_LEDGER: AttentionError,
}

_INSTALL_PYTHON = "install Python 3.9 or later on the server, as root: apt-get install python3, or dnf install python3"

#: What the start script and `__main__` may say before there is JSON: kind -> (message, hint).
_START = {
    Kind.NO_PYTHON: ("there is no python3 on {host}", _INSTALL_PYTHON),
    Kind.OLD_PYTHON: ("the python3 on {host} is {detail}; allfast needs 3.9 or later", _INSTALL_PYTHON),
    Kind.NO_SQLITE: (
        "the python3 on {host} has no sqlite3 module",
        "install the whole of Python on the server, as root: apt-get install python3 libpython3-stdlib,"
        " or dnf install python3-libs",
    ),
    Kind.INCOMPLETE_PYTHON: ("the python3 on {host} lacks the module {detail}", _INSTALL_PYTHON),
}


#: What reading an answer of another form than the agent's raises.
MALFORMED = (ValueError, LookupError, TypeError, AttributeError, RecursionError)


class AgentRefusal(RemoteError):  # noqa: N818 - it reads better where it is caught
    """An error of the agent that is no error of a person's: `kind` and `details` are for code that can go on."""

    def __init__(self, kind: str, message: str, *, hint: str = "", details: Any = None) -> None:
        super().__init__(message, hint=hint)
        self.kind = kind
        self.details = details


def from_agent(host: str, error: dict[str, Any]) -> AllfastError:
    """The exception for an agent's error."""
    found = _EXCEPTIONS.get(error["kind"])
    message = f"{host}: {error['message']}"
    if found is not None:
        return found(message, hint=error["hint"])
    return AgentRefusal(error["kind"], message, hint=error["hint"], details=error["details"])


def result_of(host: str, answer: dict[str, Any]) -> Any:
    """The result of an answer. Raises the exception for the error that it has in place of one."""
    try:
        if "error" not in answer:
            return answer["result"]
        failure = from_agent(host, answer["error"])
    except MALFORMED as error:
        raise not_understood(host, error) from error
    raise failure


def from_start(host: str, words: list[str]) -> AllfastError:
    """The exception for the words after `error` of a start that failed."""
    kind, detail = words[0], " ".join(words[1:])
    message, hint = _START[kind]
    return AgentRefusal(kind, message.format(host=host, detail=detail), hint=hint)


def not_understood(host: str, error: Exception) -> AllfastError:
    """The exception for what the agent cannot have said; `error` is what came of reading it, and may be one already."""
    if isinstance(error, AllfastError):
        return error
    said = error if isinstance(error, Damaged) else f"an answer of another form ({type(error).__name__}: {error})"
    return RemoteError(
        f"{host}: the agent's output is not what it should be: {said}",
        hint="run the command again; where that says the same, something else answers in the agent's place",
    )


def from_engine(error: Exception) -> RemoteError | None:
    """The exception for an error of an engine's API; None for any other error."""
    if isinstance(error, EngineUnreachable):
        hint = "run the command again; then look at `docker info`"
        return RemoteError(f"the engine does not answer: {error}", hint=hint)
    if isinstance(error, EngineError):
        return RemoteError(f"the engine refused: {error.message}", hint="look at `docker info` and the engine's log")
    return None
