"""What visitors notice: a warm rollback, and changes of version under load, by allfast and by plain Compose."""

from __future__ import annotations

import json
import subprocess
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.bed import Bed, environment, forget_images
from bench.measure import Figure
from testbed.common import run, wait_until
from testbed.load_app import COMPOSE, LoadApp, make_load_app, named
from testbed.server import Server
from testbed.traffic import Mix, Report, Target, Traffic

NAME = "allfast-bench-load"  # of the server, and of the app: so of its images, too
PLAIN = f"{NAME}-plain"
PORT, PLAIN_PORT = 80, 8080
#: About 100 requests a second where the machine gives them.
MIX = Mix(keep_alive=12, new=4, slow=5, uploads=1, events=1, websockets=1, pace=0.15)


@dataclass(frozen=True)
class Yard(Bed):
    """A server with one application twice: deployed by allfast, behind its proxy, and by plain Compose."""

    app: LoadApp
    plain: Path  # the folder of plain Compose's file

    def compose_up(self, name: str) -> None:
        """What a person does without allfast; the images are on the server already."""
        words = ["docker", "compose", "--project-name", PLAIN, "up", "--detach", "--quiet-pull"]
        env = {**self.server.env(), "DOCKER_HOST": f"ssh://{self.server.name}", "RELEASE": name}
        subprocess.run(words, cwd=self.plain, env=env, capture_output=True, check=True)

    def bring(self, name: str) -> None:
        """Have the images of the commit, the release of that name, on the server for plain Compose."""
        tags = [f"{PLAIN}/{service}:{name}" for service in ("web", "api")]
        for tag, service in zip(tags, ("web", "api"), strict=True):
            words = ["--quiet", "--label", f"allfast.deployment={NAME}", "--tag", tag, str(self.app.path / service)]
            run(["docker", "build", *words], timeout=300)
        self.server.load(*tags)

    def traffic(self, port: int) -> Traffic:
        """Load on a port, beginning with what it serves now."""
        return Traffic(Target("127.0.0.1", self.server.port(port)), named, MIX, live=self.served(port), may_end=True)

    def served(self, port: int) -> str:
        """The release that answers."""
        with urllib.request.urlopen(self.server.url(port), timeout=10) as reply:
            return str(json.load(reply)["name"])


@contextmanager
def yard() -> Iterator[Yard]:
    """Such a server with two releases, the first of them warm; all of it is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="allfast-bench-") as folder:
        server = Server(NAME).start()
        try:
            server.load("python:3.13-slim", "caddy:2")
            app = make_load_app(server, Path(folder) / "app", NAME, "http://load.test")
            made = Yard(server, app, environment(server.ssh_config, Path(folder) / "cache"), Path(folder) / "plain")
            made.plain.mkdir()
            (made.plain / "compose.yaml").write_text(_plain())
            made.bring("r0")
            made.events("deploy", "--yes")
            made.compose_up("r0")
            made.app.release("r1")
            made.events("deploy", "--yes")
            yield made
        finally:
            server.stop()
            forget_images(NAME)


def _plain() -> str:
    """The application's Compose file without a build, with a port of its own."""
    text = COMPOSE.replace('expose: ["8000"]', f'ports: ["{PLAIN_PORT}:8000"]')
    for service in ("web", "api"):
        text = text.replace(f"build: {service}", f"image: {PLAIN}/{service}:${{RELEASE}}")
    return text


def rollback(yard: Yard, runs: int) -> Iterator[Figure]:
    """Rollbacks to a release that is warm, and forth again."""
    switch, whole = [], []
    live = yard.events("deploy", "--yes")[-1]["release"]  # nothing to do
    for _ in range(runs):
        result = yard.events("rollback", "--yes")[-1]
        switch.append(float(result["to_switch"]))
        whole.append(float(result["seconds"]))
        yard.events("rollback", live, "--yes")
    yield Figure("warm rollback, to switch", "from taking the lock to the switch", tuple(switch), 1.0)
    yield Figure("  whole command", "allfast rollback", tuple(whole))


def versions(yard: Yard, runs: int) -> Iterator[Figure]:
    """Changes of version under about 100 requests a second, by allfast and by `docker compose up -d`, in turns."""
    ways: dict[str, tuple[int, Callable[[str], object]]] = {
        "allfast deploy": (PORT, lambda _: yard.events("deploy", "--yes")),
        "docker compose up -d": (PLAIN_PORT, yard.compose_up),
    }
    reports: dict[str, list[Report]] = {way: [] for way in ways}
    for number in range(runs):
        name = f"v{number}"
        yard.app.release(name)
        yard.bring(name)
        for way, (port, change) in ways.items():
            with yard.traffic(port) as traffic:
                with traffic.switching(name):
                    change(name)
                    wait_until(partial(_serves, yard, port, name), f"{way} to serve {name}", 60)
                traffic.wait_for(50)
            reports[way].append(traffic.report())
            print(f"  {way}: {str(reports[way][-1]).splitlines()[0]}", flush=True)
    for way, found in reports.items():
        target = 1 if way.startswith("allfast") else None
        failed, mixed = tuple(len(one.failures) for one in found), tuple(len(one.mixed) for one in found)
        yield Figure(f"{way}: failed", "requests without a good answer, for each change", failed, target, unit="")
        yield Figure("  mixed", "answers of two releases, or of the wrong one", mixed, target, unit="")
        yield Figure("  answers a second", "good ones", tuple(one.total / one.seconds for one in found), unit="")


def _serves(yard: Yard, port: int, name: str) -> bool:
    try:
        return yard.served(port) == name
    except OSError:
        return False


CASES: dict[str, Callable[[Yard, int], Iterator[Figure]]] = {"rollback": rollback, "versions": versions}
RUNS = {"rollback": 5, "versions": 5}
