"""What the agent was reached by, and how that is ended for certain.

Over SSH it is the sshd process that serves this one connection: with it die all that came over the connection,
also the forwarded Docker socket. Locally it is the relay in front of the Docker socket (relay.py).
Linux only: reads /proc.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import List, NamedTuple, Optional, Set

#: How long sshd may take to go by itself before it is killed, in seconds.
GRACE = 2.0
#: Names of the processes that serve one connection: OpenSSH before and since 9.8, and Dropbear.
SERVERS = ("sshd", "sshd-session", "dropbear")


class Process(NamedTuple):
    """A process that cannot be mistaken for a later one with the same number; `start` is in clock ticks since boot."""

    pid: int
    start: int

    def alive(self) -> bool:
        """Whether it still exists and is more than a zombie."""
        fields = _stat(self.pid)
        return fields is not None and int(fields[19]) == self.start and fields[0] not in "ZX"


def of(pid: int) -> Optional[Process]:
    """The process with that number, None without one."""
    fields = _stat(pid)
    return None if fields is None else Process(pid, int(fields[19]))


def parent(pid: int) -> int:
    """The number of the parent process, 0 without one."""
    fields = _stat(pid)
    return 0 if fields is None else int(fields[1])


def serving() -> Optional[Process]:
    """The process that serves the SSH connection by which this one was started; None where that is not certain.

    sshd starts the login's command as a session leader, so its parent is the process that serves the connection. It
    must run as this login, be an SSH server by name, and not listen: ending the listener would lock everybody out.
    """
    candidate = of(parent(os.getsid(0)))
    if candidate is None or candidate.pid <= 1 or _uid(candidate.pid) != os.getuid():
        return None
    if _name(candidate.pid) not in SERVERS or _listens(candidate.pid):
        return None
    return candidate


def end(process: Process) -> None:
    """End a process and wait until it is gone, however long that takes: only then is the forwarded socket dead."""
    deadline = time.monotonic() + GRACE
    number = signal.SIGTERM
    while process.alive():
        if time.monotonic() > deadline:
            number = signal.SIGKILL
        try:
            os.kill(process.pid, number)
        except ProcessLookupError:
            return
        time.sleep(0.01)


def _stat(pid: int) -> Optional[List[str]]:
    """Fields of /proc/PID/stat from the third one (state) on: see proc(5)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    return text[text.rindex(")") + 2 :].split()


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    except OSError:
        return ""


def _uid(pid: int) -> int:
    # Not the owner of /proc/PID: that is root for a process which, like sshd, may not be dumped.
    try:
        lines = Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
    except OSError:
        return -1
    return next((int(line.split()[1]) for line in lines if line.startswith("Uid:")), -1)


def _listens(pid: int) -> bool:
    """Whether it holds a listening TCP socket. One whose files may not be read is not root's, so not the listener."""
    links = []
    try:
        for fd in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed since it was listed
                links.append(str(fd.readlink()))
    except PermissionError:
        return os.getuid() == 0
    except OSError:
        return True
    return bool({link[8:-1] for link in links if link.startswith("socket:[")} & _listening_inodes(pid))


def _listening_inodes(pid: int) -> Set[str]:
    inodes: Set[str] = set()
    for table in ("tcp", "tcp6"):
        try:
            rows = Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
        except OSError:
            continue
        inodes.update(row.split()[9] for row in rows if row.split()[3] == "0A")  # 0A: LISTEN
    return inodes
