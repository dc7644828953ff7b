"""Child processes that are ended together: each has a process group of its own, and dies with its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from allfast.errors import BuildError

#: Seconds that a process has to end by itself when it is told to.
GRACE = 5.0


class Processes:
    """The builds under way; for several threads."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self._ended = False

    @contextmanager
    def started(self, words: Sequence[str], environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
        """Start a process with pipes for its input and for all that it writes; the block waits for its end.

        Raises `BuildError` where all have been ended.
        """
        process = self._start(words, environment)
        try:
            yield process
        finally:
            if process.stdout is not None:
                process.stdout.close()
            with self._guard:
                self._running.discard(process)

    def end(self) -> None:
        """End all of them, and let none begin any more; they get `GRACE` seconds."""
        with self._guard:
            self._ended = True
            processes = tuple(self._running)
        _signal(processes, signal.SIGTERM)
        deadline = time.monotonic() + GRACE
        for process in processes:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _signal([process], signal.SIGKILL)

    def _start(self, words: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[str]:
        with self._guard:
            if self._ended:
                raise BuildError("not begun: all builds are ended")
            process = subprocess.Popen(
                _dies_with_parent(words),
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                process_group=0,
            )
            self._running.add(process)
            return process


def _signal(processes: Iterable[subprocess.Popen[str]], number: int) -> None:
    for process in processes:
        # The docker command is one process and its plugin another: the group has both.
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            continue


#: Asks the kernel for SIGTERM when the parent thread ends, and makes sure that it has not ended before.
_WRAPPER = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 15)
if os.getppid() != int(sys.argv[1]):
    sys.exit(143)
os.execvp(sys.argv[2], sys.argv[2:])
"""


def _dies_with_parent(words: Sequence[str]) -> Sequence[str]:
    """The same command, ended by the kernel when this process is gone, even by SIGKILL (Linux; elsewhere as it is)."""
    if not sys.platform.startswith("linux"):
        return words
    return [sys.executable, "-I", "-S", "-c", _WRAPPER, str(os.getpid()), *words]
