"""What is measured on: a test server, the tiny app on it, and the installed `allfast` command."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from testbed.common import HOST_ENV, run
from testbed.server import Server
from testbed.tiny_app import TinyApp, make_repo_for

NAME = "allfast-bench"  # of the server, and of the app: so of its images, too


@dataclass(frozen=True)
class Bed:
    """A server that the tiny app was deployed to, and the environment that commands see."""

    server: Server
    app: TinyApp
    environment: dict[str, str]

    def timed(self, *argv: str) -> float:
        """Wall-clock seconds of a command that must succeed, from its start to its end."""
        began = time.monotonic()
        subprocess.run(
            argv, cwd=self.app.path, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, check=True
        )
        return time.monotonic() - began

    def events(self, *argv: str) -> list[dict[str, Any]]:
        """The events of a command run with `--json`."""
        done = subprocess.run(
            ["allfast", *argv, "--json"],
            cwd=self.app.path,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"allfast {' '.join(argv)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def own_start(self, service: str) -> float:
        """Seconds from the start of a service's container to the end of its first passing health check.

        Both moments are the engine's own (`State.StartedAt`, `State.Health.Log`); the log keeps the last five checks.
        """
        listed = self.server.docker("ps", "-q", "--filter", f"label=com.docker.compose.service={service}").stdout
        state = json.loads(self.server.docker("inspect", listed.strip()).stdout)[0]["State"]
        passed = next(check for check in state["Health"]["Log"] if check["ExitCode"] == 0)
        return (_moment(passed["End"]) - _moment(state["StartedAt"])).total_seconds()


def _moment(text: str) -> datetime:
    """An engine's time: its nanoseconds are cut to microseconds."""
    head, dot, tail = text.partition(".")
    if not dot:
        return datetime.fromisoformat(text)
    digits = tail[: len(tail) - len(tail.lstrip("0123456789"))]
    return datetime.fromisoformat(f"{head}.{digits[:6]:0<6}{tail[len(digits) :]}")


def environment(config: Path | None, cache: Path) -> dict[str, str]:
    """As a person's shell: Python may keep its compiled modules, which `make` forbids."""
    kept = {name: value for name, value in HOST_ENV.items() if name != "PYTHONDONTWRITEBYTECODE"}
    named = {"ALLFAST_SSH_CONFIG": str(config)} if config else {}
    return {**kept, **named, "XDG_CACHE_HOME": str(cache)}


@contextmanager
def bed() -> Iterator[Bed]:
    """A new server with the tiny app deployed and its build cache warm; all of it is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="allfast-bench-") as folder:
        server = Server(NAME).start()
        try:
            server.load("redis:8", "python:3.13-slim")
            app = make_repo_for(server, Path(folder) / "app")
            text = (app.path / "allfast.toml").read_text()
            app.write("allfast.toml", text.replace('app = "tiny"', f'app = "{NAME}"'))
            app.commit("Name it")
            made = Bed(server, app, environment(server.ssh_config, Path(folder) / "cache"))
            made.events("deploy", "--yes")
            yield made
        finally:
            server.stop()
            forget_images(NAME)


def forget_images(deployment: str) -> None:
    """Remove a deployment's images from this machine's engine."""
    label = f"label=allfast.deployment={deployment}"
    run(["docker", "image", "prune", "--all", "--force", "--filter", label])
