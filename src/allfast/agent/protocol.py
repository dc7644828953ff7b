"""What the laptop and the agent say to each other: messages, and typed errors.

The agent begins with one line of text; what a shell prints before it is skipped:
    allfast-agent need | error KIND | {"hello": {...}}
`need` asks for the agent's zip file, as raw bytes; a hello comes after it. After the hello every message, in both
directions, is a frame (messages.py): a length of 4 bytes, big endian, and so many bytes of the direction's one stream
of raw deflate (RFC 1951), flushed at the end of the message, without the bytes 00 00 ff ff that end the flush. Its
context is kept over all messages of the connection. Unpacked, a message is one JSON object.

Laptop to agent:
    {"id": 7, "request": "name", "args": {...}}              a request (agent/requests.py has the table)
    {"id": 7, "request": "name", "args": {...}, "body": N}   the same; exactly N raw bytes follow its frame
    {"id": 0, "request": "name", "args": {...}, "body": N}   the same; nobody waits for its answer but an error
    {"request": "name", "args": {...}, "told": true}         a request that is answered only where it fails
    {}                                                       a beat: "I am alive"

Agent to laptop:
    {"id": 7, "result": ...} or {"id": 7, "error": {"kind": ..., "message": ..., "hint": ...}}
    {"id": 7, "note": {...}}                                 while request 7 is under way
    {"error": {...}}                                         something that was told failed; with id 0: one of those
    {}                                                       a beat

Requests that are told are carried out one after the other, as they were sent, and before any request without a body
that was sent after them begins. A request with a body waits for none of them: it is a batch of a layer or a set of
files, which nothing that is told concerns; it is carried out before any request that was sent after it begins. All
others run beside one another. What is no message ends the connection. Both sides take silence of the other for death,
so each sends a beat several times within that time.
"""

from __future__ import annotations

from typing import Any, Dict

#: Grows when a laptop and an agent of different versions could misunderstand each other. They cannot meet, since
#: the agent is named by its hash; it stands in the hello for people who read a trace.
PROTOCOL = 2
#: Starts the agent's first line, so that it can be told from what a login shell prints.
MARK = "allfast-agent "
BEATS_PER_SILENCE = 6


class Kind:
    """The kinds of errors; the laptop maps each to an exception (remote/failures.py), never by message text."""

    LOCK_HELD = "lock-held"
    LOCK_LOST = "lock-lost"
    NOT_LOCKED = "not-locked"
    CANNOT_FENCE = "cannot-fence"
    OLDER_ALLFAST = "older-allfast"
    FOREIGN_DEPLOYMENT = "foreign-deployment"
    NO_PYTHON = "no-python"
    OLD_PYTHON = "old-python"
    INCOMPLETE_PYTHON = "incomplete-python"
    NO_SQLITE = "no-sqlite"
    NO_DOCKER = "no-docker"
    DOCKER_PERMISSION = "docker-permission"
    DOCKER_SILENT = "docker-silent"
    ENGINE = "engine"
    NO_STATE = "no-state"
    STATE_PERMISSION = "state-permission"
    DISK_FULL = "disk-full"
    NOT_FOUND = "not-found"
    BAD_DIGEST = "bad-digest"
    BAD_REQUEST = "bad-request"
    BROKEN_LEDGER = "broken-ledger"
    PROXY = "proxy"
    INTERNAL = "internal"


class AgentError(Exception):
    """A failure that is reported to the laptop; `details` is data for the laptop's code (say, who holds the lock)."""

    def __init__(self, kind: str, message: str, hint: str = "", details: Any = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.hint = hint
        self.details = details

    def to_json(self) -> Dict[str, Any]:
        """The error as it stands in an answer."""
        return {"kind": self.kind, "message": self.message, "hint": self.hint, "details": self.details}


def disk_full(cause: str, hint: str = "free space on the server: docker system df") -> AgentError:
    """That a disk of the server is full, by what was said of it."""
    return AgentError(Kind.DISK_FULL, f"the server's disk is full: {cause}", hint)
