"""The lock of a deployment: an flock on `<state>/lock`, held by the agent and its guard, and by nothing that can stick.

Beside it, `lock.holder` says who holds it; what stands there counts only while the flock is held.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
from pathlib import Path
from typing import Any, Callable, Dict, Optional

from allfast.agent import state
from allfast.agent.guard import Guard
from allfast.agent.protocol import AgentError, Kind

FILE = "lock"
HOLDER = "lock.holder"
#: The user that a process of ours on the server calls itself; it holds the lock for seconds, and is waited for.
SERVANT = "allfast"
Json = Dict[str, Any]

#: Somebody who only looks (`holder`) has the flock for an instant: seconds for which a refusal is tried again.
_GLANCE = 0.2
#: Who takes or lets go of the lock has said nothing yet, or nothing any more: seconds for which that may last.
UNKNOWN = "?"
_CHANGE = 5.0


class Lock:
    """The lock of one deployment's folder, as seen by one agent."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._folder = Path()
        self._fd = -1
        self._mutex = threading.Lock()

    def take(self, folder: Path, who: Json, doing: str, wait: bool, note: Callable[[Json], None]) -> None:
        """Take the lock of `folder`, the deployment's state folder, which exists.

        With `wait`, wait for it and tell by `note` who is waited for. Raises `AgentError` lock-held.
        """
        if self._guard.target is None:
            raise AgentError(
                Kind.CANNOT_FENCE,
                "the process that serves this SSH connection cannot be told for certain,"
                " so a stalled deploy could not be stopped",
                "use OpenSSH's sshd on the server, without a program between it and the login's shell",
            )
        if self._fd >= 0:
            raise AgentError(Kind.BAD_REQUEST, "this connection holds the lock already")
        fd = os.open(folder / FILE, os.O_RDWR | os.O_CREAT, 0o660)
        try:
            if os.fstat(fd).st_uid == os.getuid():
                os.fchmod(fd, 0o660)
            _wait_for(fd, folder, wait, note)
            with self._mutex:
                self._guard.hold(fd)
                self._folder, self._fd = folder, fd
        except BaseException:
            os.close(fd)
            raise
        write_holder(folder, who, doing)

    def check(self) -> None:
        """Raise `AgentError` unless this agent holds the lock of the folder that is there now."""
        with self._mutex:
            if self._fd < 0:
                raise AgentError(Kind.NOT_LOCKED, "changes need the lock, and this connection does not hold it")
            if not _same_file(self._fd, self._folder / FILE):
                raise AgentError(
                    Kind.LOCK_LOST,
                    f"the lock {self._folder / FILE} was removed or replaced while it was held",
                    "find out who removed it; deploys of one app must share one state folder",
                )

    def release(self) -> None:
        """Let go, on purpose; nothing happens when it is not held."""
        with self._mutex:
            if self._fd < 0:
                return
            (self._folder / HOLDER).unlink(missing_ok=True)
            self._guard.release()
            os.close(self._fd)
            self._fd = -1


def write_holder(folder: Path, who: Json, doing: str) -> None:
    """Say who holds the lock from now on."""
    state.write(folder / HOLDER, json.dumps({"who": who, "since": time.time(), "doing": doing}).encode())


def holder(folder: Path) -> Optional[Json]:
    """Who holds the lock of a state folder, None when nobody does. Changes nothing."""
    try:
        fd = os.open(folder / FILE, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read_holder(folder)
    finally:
        os.close(fd)
    return None


def _wait_for(fd: int, folder: Path, wait: bool, note: Callable[[Json], None]) -> None:
    told: Optional[Json] = None
    refusal = time.monotonic() + _GLANCE
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            now = _read_holder(folder)
        else:
            return
        user = now["who"]["user"]
        changing = user == UNKNOWN and time.monotonic() < refusal + _CHANGE
        if time.monotonic() > refusal and not changing:
            if not wait and user != SERVANT:
                raise AgentError(Kind.LOCK_HELD, _sentence(now), "wait for it (--wait), or ask who holds it", now)
            if now != told:
                note({"waiting_for": now})
                told = now
        time.sleep(0.02 if told is None else 0.2)


def _read_holder(folder: Path) -> Json:
    try:
        found: Json = json.loads((folder / HOLDER).read_text())
    except (OSError, ValueError):  # taken an instant ago, or about to be let go
        found = {"who": {"user": UNKNOWN, "host": "?"}, "since": time.time(), "doing": "?"}
    return found


def _sentence(found: Json) -> str:
    seconds = max(0, int(time.time() - found["since"]))
    who = found["who"]
    return f"{who['user']}@{who['host']} holds the lock for {seconds} s: {found['doing']}"


def _same_file(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except OSError:
        return False
