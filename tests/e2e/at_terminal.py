"""A command that a person runs at a terminal: it asks, and the person answers."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e.harness import ALLFAST, SECONDS, Cli


class Person:
    """Somebody before a terminal in which a command runs."""

    def __init__(self, process: subprocess.Popen[bytes], screen: int) -> None:
        self.process = process
        self._screen = screen
        self._shown = ""
        self._read = 0

    def until(self, text: str) -> None:
        """Wait until the text is shown, after what was waited for before."""
        deadline = time.monotonic() + SECONDS
        while text not in self._shown[self._read :]:
            ready, _, _ = select.select([self._screen], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"{text!r} is not shown: {self._shown}"
            try:
                piece = os.read(self._screen, 65536)
            except OSError:  # the terminal's last user has gone
                piece = b""
            assert piece, f"it ended before {text!r} was shown: {self._shown}"
            self._shown += piece.decode(errors="replace")
        self._read = self._shown.index(text, self._read) + len(text)

    def type(self, text: str) -> None:
        """Type a line."""
        os.write(self._screen, f"{text}\n".encode())


@contextmanager
def at_terminal(cli: Cli, *argv: str) -> Iterator[Person]:
    """Run `allfast` in a checkout, at a terminal; killed, if it still runs, at the end of the block."""
    screen, terminal = pty.openpty()
    environment = {**cli.environment, "TERM": "xterm", "COLUMNS": "200"}
    process = subprocess.Popen(
        [*ALLFAST, *argv],
        cwd=cli.path,
        env=environment,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    try:
        yield Person(process, screen)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        os.close(screen)
