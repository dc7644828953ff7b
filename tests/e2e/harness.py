"""Runs the real `allfast` command as a process of its own, as a person or CI would."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.common import wait_until
from testbed.server import Server

ALLFAST = (sys.executable, "-m", "allfast")
SECONDS = 300.0


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """The JSON lines of stdout."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def result(self) -> dict[str, Any]:
        """The last event, which is the result."""
        last = self.events[-1]
        assert last["event"] == "result", last
        return last

    @property
    def plan(self) -> dict[str, Any]:
        """The last plan among the events."""
        return [e for e in self.events if e["event"] == "plan"][-1]["plan"]  # type: ignore[no-any-return]

    def service(self, name: str) -> dict[str, Any]:
        """The plan's line of a service."""
        return next(s for s in self.plan["services"] if s["service"] == name)


class Cli:
    """`allfast` in a checkout, with the test servers' ssh config and a clean environment of its own."""

    def __init__(self, path: Path, server: Server, cache: Path, **environment: str) -> None:
        self.path = path
        kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "DOCKER_HOST", "TMPDIR")}
        self.environment = {
            **kept,
            "ALLFAST_SSH_CONFIG": str(server.ssh_config),
            "XDG_CACHE_HOME": str(cache),
            "PYTHONPATH": os.pathsep.join(sys.path),
            **environment,
        }

    def __call__(self, *argv: str, code: int | None = 0, **environment: str) -> Outcome:
        """Run a command to its end; `code` is the exit code it must have (None: any)."""
        done = subprocess.run(
            [*ALLFAST, *argv],
            cwd=self.path,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        outcome = Outcome(done.returncode, done.stdout, done.stderr)
        if code is not None:
            assert outcome.code == code, f"exit {outcome.code} instead of {code}\n{outcome.out}\n{outcome.err}"
        return outcome

    def deploy(self, *argv: str, code: int | None = 0, **environment: str) -> Outcome:
        """`allfast deploy --json --yes`."""
        return self("deploy", "--json", "--yes", *argv, code=code, **environment)

    @contextmanager
    def started(self, *argv: str, **environment: str) -> Iterator[Started]:
        """A command that runs beside the test; ended, if it still runs, at the end of the block."""
        process = subprocess.Popen(
            [*ALLFAST, *argv],
            cwd=self.path,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=_hear_hangups,
        )
        started = Started(process)
        try:
            yield started
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            started.end()


def _hear_hangups() -> None:
    """The suite itself may run under nohup, whose ignored SIGHUP its children would inherit."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


class Started:
    """A command under way, run with `--json`: its events are read as they come."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.events: list[dict[str, Any]] = []
        self._lines: list[str] = []

    def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Read events until one is as wanted; it fails at the end of the output."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.append(line)
            event: dict[str, Any] = json.loads(line)
            self.events.append(event)
            if wanted(event):
                return event
        raise AssertionError(f"it ended before that:\n{''.join(self._lines)}\n{self.end().err}")

    def send(self, number: int) -> None:
        """Send a signal to the allfast process alone."""
        self.process.send_signal(number)

    def end(self) -> Outcome:
        """Wait for the end; the whole output."""
        out, err = self.process.communicate(timeout=SECONDS)
        self._lines.append(out or "")
        return Outcome(self.process.returncode, "".join(self._lines), err or "")


def page(url: str, path: str = "/") -> dict[str, Any]:
    """The JSON that a URL answers."""
    with urllib.request.urlopen(url + path, timeout=10) as reply:
        value: dict[str, Any] = json.load(reply)
        return value


def serves(url: str, check: Callable[[dict[str, Any]], bool], seconds: float = 60.0) -> dict[str, Any]:
    """Wait until the URL's answer is as wanted (a container was replaced a moment ago)."""
    found: dict[str, Any] = {}

    def good() -> bool:
        try:
            found.update(page(url))
        except (OSError, urllib.error.URLError, ValueError):
            return False
        return check(found)

    wait_until(good, f"{url} answers as wanted; last: {found}", seconds)
    return found


def secrets_free(text: str, secrets: Mapping[str, str]) -> None:
    """Assert that none of the secrets is in a text."""
    found = [name for name, secret in secrets.items() if secret in text]
    assert not found, f"{found} in: {text[:2000]}"
