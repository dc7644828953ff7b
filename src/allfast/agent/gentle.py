"""Work in the background of a server: the site that runs there goes first."""

from __future__ import annotations

import contextlib
import os
import platform
import threading

#: The niceness of such a thread, at least; 19 would be the most.
NICE = 10
#: The number of the system call ioprio_set (Linux, by the machine's name), and the lowest of its best-effort levels.
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30, "riscv64": 30}
_LOWEST = 2 << 13 | 7


def yield_to_others() -> None:
    """Give this thread a low priority for the processor and the disk, as far as the system lets us."""
    thread = threading.get_native_id()
    with contextlib.suppress(OSError):
        nice = os.getpriority(os.PRIO_PROCESS, thread)
        os.setpriority(os.PRIO_PROCESS, thread, max(nice, NICE))
    number = _IOPRIO_SET.get(platform.machine())
    if number is not None:
        import ctypes  # here: every start of an agent would pay for it

        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).syscall(number, 1, thread, _LOWEST)
