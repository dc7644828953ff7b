"""Which process made something that may outlive it: told so that another one sees whether it is still at work.

    <boot id of the machine>/<its PID namespace>/<number>/<start, in clock ticks since boot>

Elsewhere (another machine, a container with numbers of its own, a machine without /proc) nobody can tell.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Optional

from allfast.agent import session

_FORM = re.compile(r"([0-9a-f-]{36}/[0-9]+)/([1-9][0-9]{0,8})/([0-9]{1,18})")


def of(pid: int) -> str:
    """The process with that number; "" where it cannot be told so that it is known again."""
    place, process = _place(), session.of(pid)
    return f"{place}/{process.pid}/{process.start}" if place and process is not None else ""


def is_alive(owner: str) -> Optional[bool]:
    """Whether that process is; None where it cannot be told from here."""
    found = _FORM.fullmatch(owner)
    if found is None or found[1] != _place():
        return None
    process = session.Process(int(found[2]), int(found[3]))
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's
    # /proc may be mounted so that it hides what is not one's own (hidepid)
    return None if session.of(process.pid) is None else process.alive()


def _place() -> str:
    """Where numbers of processes mean the same: this machine since it was started, and the PID namespace."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return ""
