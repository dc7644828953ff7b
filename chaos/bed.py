"""What a case happens to: a server with the tiny app on it, its visitors, and a laptop that can be killed at a step."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from allfast.model import labels
from testbed.common import machine_lock, run, wait_until
from testbed.server import Server
from testbed.tiny_app import TinyApp, make_repo_for
from testbed.traffic import Mix, Report, Target, Traffic
from tests.e2e.harness import Cli, Outcome, page

#: About 20 requests a second, from clients that do not retry.
MIX = Mix(keep_alive=3, new=1, slow=0, uploads=0, events=0, websockets=0, pace=0.2)
KEEP = 2
KEEP_WARM = "10m"

#: The state folder is on the engine's small disk.
STATE_ON_DISK = (
    "mkdir -p /var/lib/docker/allfast /var/lib/allfast; mount --bind /var/lib/docker/allfast /var/lib/allfast"
)

LEDGER = """
import json, sqlite3, sys
db = sqlite3.connect("file:%s?mode=ro" % sys.argv[1], uri=True)
rows = lambda sql: [list(row) for row in db.execute(sql)]
print(json.dumps({
    "releases": rows("SELECT id, state, data FROM releases WHERE data NOT NULL ORDER BY n"),
    "runs": rows("SELECT id, kind, release, outcome, ended, message FROM runs ORDER BY id"),
    "journal": rows("SELECT run, step, outcome FROM journal ORDER BY id"),
}))
"""


@dataclass(frozen=True)
class Ledger:
    """The ledger's rows, read with SQLite and not with allfast."""

    releases: dict[str, tuple[str, dict[str, Any]]]  # id -> state, the release
    runs: list[list[Any]]  # id, kind, release, outcome, ended, message
    journal: list[list[Any]]  # run, step, outcome

    @property
    def live(self) -> str:
        """The id of the live release."""
        return next((id_ for id_, (state, _) in self.releases.items() if state == "live"), "")

    def steps(self) -> list[str]:
        """The steps of the newest run; the second one of a name has `#2`."""
        names: list[str] = []
        for run_, step, _ in self.journal:
            if run_ == self.runs[-1][0]:
                number = sum(name.partition("#")[0] == step for name in names) + 1
                names.append(step if number == 1 else f"{step}#{number}")
        return names


class Bed:
    """A server and a checkout; releases are told apart by the text that both of their services say."""

    def __init__(self, server: Server, app: TinyApp, name: str, cache: Path) -> None:
        self.server, self.app, self.name = server, app, name
        self.cli = Cli(app.path, server, cache)
        self.folder = f"/var/lib/allfast/{name}"
        self._number = 0
        self._texts: dict[str, str] = {}  # commit -> text

    def change(self) -> str:
        """Commit a change of both services; the text by which visitors know the release."""
        self._number += 1
        text = f"r{self._number}"
        self.app.set("api", "TEXT", text)
        self._texts[self.app.say("web", text)] = text
        return text

    def text_of(self, release: str) -> str:
        """What a release says."""
        return self._texts[self.ledger().releases[release][1]["commit"]["sha"]]

    def cool(self, release: str) -> None:
        """Remove what runs of a release, as when its time to be warm is over."""
        label = f"label=com.docker.compose.project={self.name}-{release}"
        for kind, words in (("container", ["--all"]), ("network", [])):
            listed = self.server.docker(kind, "ls", "--quiet", *words, "--filter", label).stdout.split()
            if listed:
                self.server.docker(kind, "rm", "--force", *listed)

    def killed(self, step: str, place: str, *argv: str) -> Outcome:
        """A command whose process kills itself at that place of a step; its lock is free at the end."""
        with self.laptop(step, place, *argv) as process:
            out, err = process.communicate(timeout=300)
        wait_until(self.free, "the lock of a dead laptop to be free", 60)
        return Outcome(process.returncode, out, err)

    def laptop(self, step: str, place: str, *argv: str, do: str = "") -> subprocess.Popen[str]:
        """A command to which something happens at that place of a step: SIGKILL, or the shell command `do`."""
        return subprocess.Popen(
            [sys.executable, "-m", "chaos.laptop", step, place, *argv, "--json", "--yes"],
            cwd=self.app.path,
            env={**self.cli.environment, **({"CHAOS_DO": do} if do else {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def free(self) -> bool:
        """Is the lock free? Asked by flock(1), not by allfast."""
        held = ["flock", "-n", "-E", "99", f"{self.folder}/lock", "true"]
        return self.server.exec(held, check=False).returncode == 0

    def ledger(self) -> Ledger:
        """What stands in it now."""
        out = self.server.exec(["python3", "-c", LEDGER, f"{self.folder}/ledger.sqlite3"]).stdout
        found = json.loads(out)
        releases = {id_: (state, json.loads(data)) for id_, state, data in found["releases"]}
        return Ledger(releases, found["runs"], found["journal"])

    def status(self) -> dict[str, Any]:
        """`allfast status`."""
        value: dict[str, Any] = json.loads(self.cli("status", "--json").out)
        return value

    def text(self) -> str:
        """What visitors read."""
        return str(page(self.server.url())["web"]["text"])

    def glimpse(self) -> str:
        """What visitors read, "" where nobody answers."""
        with suppress(OSError, ValueError, KeyError):
            return self.text()
        return ""

    def clear(self) -> None:
        """Make the server one on which nothing was ever deployed."""
        self.server.reset(keep_images=True)
        images = self.server.docker("images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
        if mine := [name for name in images if name.startswith(f"{self.name}/")]:
            self.server.docker("rmi", "--force", *mine)

    def visitors(self) -> Traffic:
        """The load, from now on; the release that serves now is live."""
        return Traffic(Target("127.0.0.1", self.server.port(80)), named, MIX, live=self.text())


class Nobody:
    """In place of visitors, where there is nothing to visit yet, or where a gap belongs to the strategy."""

    def __enter__(self) -> Nobody:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    @contextmanager
    def switching(self, release: str) -> Iterator[None]:
        """As `Traffic.switching`."""
        del release
        yield

    def wait_for(self, more: int) -> None:
        """As `Traffic.wait_for`."""

    def report(self) -> Report:
        """As `Traffic.report`."""
        return Report(0.0, {}, (), ())


def named(body: bytes) -> tuple[str, ...]:
    """The releases that an answer is from: that of its web, and that of its api. ValueError without an api."""
    value = json.loads(body)
    if "api" not in value:
        raise ValueError("the web does not reach its api")
    return (value["web"]["text"], value["api"]["text"])


@contextmanager
def bed(name: str, folder: Path, disk: str | None = None, strategy: str = "side-by-side") -> Iterator[Bed]:
    """A new server with a first release, images and state on a `disk` of that size; all is removed at the end."""
    server = Server(name, disk=disk).start()
    try:
        if disk:
            server.exec(["sh", "-c", STATE_ON_DISK])
        server.load("redis:8", "python:3.13-slim", "caddy:2")
        forget_builds(name)
        made = Bed(server, checkout(server, folder / "app", name, strategy), name, folder / "cache")
        made.change()
        made.cli.deploy()
        yield made
    finally:
        server.stop()
        forget_builds(name)


def checkout(server: Server, path: Path, name: str, strategy: str = "side-by-side") -> TinyApp:
    """The tiny app under that name, with a command of its own before each release."""
    app = make_repo_for(server, path, strategy=strategy)
    text = (app.path / "allfast.toml").read_text().replace('app = "tiny"', f'app = "{name}"')
    text = text.replace("default_target", f'keep = {KEEP}\nkeep_warm = "{KEEP_WARM}"\ndefault_target')
    app.write("allfast.toml", text.replace("[services.api]", '[services.api]\nbefore = "sleep 1"'))
    app.commit("Name it")
    return app


def forget_builds(name: str) -> None:
    """Remove the app's images from this machine's engine."""
    with machine_lock("prune"):  # the engine refuses a second one beside it
        run(["docker", "image", "prune", "--all", "--force", "--filter", f"label={labels.DEPLOYMENT}={name}"])
