"""A deploy that is interrupted, killed or cut off: visitors keep what they had (promises 1, 5 and 6)."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.common import run, wait_until
from testbed.server import Server
from testbed.tiny_app import TinyApp, make_repo_for
from tests.e2e.conftest import file_of, forget_builds
from tests.e2e.harness import SECONDS, Cli, Outcome, page
from tests.e2e.looks import loose_volumes

pytestmark = pytest.mark.e2e

Event = dict[str, Any]
Stage = tuple[dict[str, Any], Callable[[Event], bool], signal.Signals]


class Deployed:
    """A deployed app, a laptop whose processes and temporary files can be told from all others, and how to slow it."""

    def __init__(self, app: TinyApp, server: Server, cache: Path, temporary: Path) -> None:
        self.app, self.server, self.temporary = app, server, temporary
        self.cli = Cli(app.path, server, cache, TMPDIR=str(temporary))
        self.number = 0

    def text(self) -> str:
        """What visitors read."""
        return str(page(self.server.url())["web"]["text"])

    def containers(self) -> set[str]:
        return set(self.server.docker("ps", "--quiet", "--no-trunc").stdout.split())

    def running_images(self) -> set[str]:
        found = self.server.docker("ps", "--format", "{{.Names}} {{.Image}}").stdout
        return set(found.splitlines())

    def children(self) -> list[str]:
        """Processes that a command of this laptop started, and that are still there."""
        mark, found = f"TMPDIR={self.temporary}".encode(), []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (process / "environ").read_bytes().split(b"\0"):
                    found.append((process / "cmdline").read_text().replace("\0", " "))
            except OSError:
                continue
        return found

    def change(self, **slow: Any) -> str:
        """Commit a change that makes one stage slow; the text that would be served with it."""
        self.number += 1
        files = {"web/Dockerfile": "", "api/migrate.py": "", "allfast.toml": ""}
        for name in files:
            self.app.git("checkout", "--quiet", self.base, "--", name)
        for name, line in slow.items():
            path = {"docker": "web/Dockerfile", "migrate": "api/migrate.py"}.get(name)
            if path:
                old = (self.app.path / path).read_text()
                head = old + line if name == "docker" else line + old
                self.app.write(path, head)
        if "version" in slow:
            toml = (self.app.path / "allfast.toml").read_text()
            self.app.write("allfast.toml", toml.replace('path = "/version"', 'path = "/nothing"'))
        self.app.set("web", "START_SECONDS", slow.get("start", 0.0))
        return self.text_of(f"change {self.number}")

    def text_of(self, text: str) -> str:
        self.app.say("web", text)
        return text

    @property
    def base(self) -> str:
        return self.app.git("rev-list", "--max-parents=0", "HEAD") if self.number == 0 else self._base

    def remember(self) -> None:
        self._base = self.app.head()
        self.number = 1


@pytest.fixture(scope="module")
def deployed(
    request: pytest.FixtureRequest, machine: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployed]:
    """Deployed once; each test ends with a deploy that works."""
    name = f"tiny-{file_of(request)}"
    forget_builds(name)
    app = make_repo_for(machine, tmp_path_factory.mktemp("app") / "app")
    app.write("allfast.toml", (app.path / "allfast.toml").read_text().replace('app = "tiny"', f'app = "{name}"'))
    app.commit("Name it")
    # ssh's sockets need a short path
    temporary = Path(tempfile.mkdtemp(prefix="af-", dir="/tmp"))
    one = Deployed(app, machine, tmp_path_factory.mktemp("cache"), temporary)
    one.remember()
    one.cli.deploy()
    yield one
    shutil.rmtree(temporary)


def begins(stage: str) -> Callable[[Event], bool]:
    return lambda event: event["event"] == "stage-began" and event["stage"] == stage


def sleeps(event: Event) -> bool:
    return event["event"] == "build-step" and "sleep 60" in event["text"]


def container(service: str, state: str) -> Callable[[Event], bool]:
    return lambda event: event["event"] == "container" and (event["service"], event["state"]) == (service, state)


#: What makes a stage slow, the event by which a test knows that it is in it, and the signal that it gets then.
BEFORE_THE_ROLLOUT: dict[str, Stage] = {
    "build": ({"docker": "RUN sleep 60\n"}, sleeps, signal.SIGINT),
    "ship": (
        {"docker": "RUN head -c 150000000 /dev/urandom >/tmp/blob\n"},
        lambda event: event["event"] == "ship-progress",
        signal.SIGTERM,
    ),
    "one-shots": ({"migrate": "import time; time.sleep(60)\n"}, container("migrate", "running once"), signal.SIGHUP),
}
FROM_THE_ROLLOUT_ON: dict[str, Stage] = {
    "rollout": ({"start": 60.0}, container("web", "starting"), signal.SIGINT),
    "verify": ({"version": True}, begins("verify"), signal.SIGTERM),
}


def interrupted(one: Deployed, ended: Outcome) -> None:
    """What is true after every interrupt."""
    assert ended.code == 130, ended.err + ended.out
    assert ended.result["outcome"] == "interrupted"
    assert "Traceback" not in ended.err
    assert not one.children()
    assert not list(one.temporary.iterdir())
    runs = one.cli("history", "--json").out
    assert '"interrupted"' in runs.splitlines()[0][:600], runs[:800]


def next_deploy_works(one: Deployed) -> Outcome:
    text = one.change()
    ended = one.cli.deploy()
    assert ended.result["proven"]
    assert one.text() == text
    assert loose_volumes(one.server) == set(), "no volume is left of a container that was replaced, whoever did it"
    return ended


@pytest.mark.parametrize("stage", BEFORE_THE_ROLLOUT)
def test_an_interrupt_before_the_rollout_changes_nothing(deployed: Deployed, stage: str) -> None:
    slow, wanted, number = BEFORE_THE_ROLLOUT[stage]
    containers, text = deployed.containers(), deployed.text()
    deployed.change(**slow)
    with deployed.cli.started("deploy", "--json", "--yes") as started:
        started.until(wanted)
        started.send(number)
        ended = started.end()
    interrupted(deployed, ended)
    assert deployed.containers() == containers
    assert deployed.text() == text
    next_deploy_works(deployed)


@pytest.mark.parametrize("stage", FROM_THE_ROLLOUT_ON)
def test_an_interrupt_from_the_rollout_on_puts_the_old_release_back(deployed: Deployed, stage: str) -> None:
    slow, wanted, number = FROM_THE_ROLLOUT_ON[stage]
    images, text = deployed.running_images(), deployed.text()
    deployed.change(**slow)
    with deployed.cli.started("deploy", "--json", "--yes") as started:
        started.until(wanted)
        started.send(number)
        started.until(lambda event: event["event"] == "note" and "putting" in event["text"])
        for again in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            started.send(again)
        ended = started.end()
    interrupted(deployed, ended)
    assert deployed.running_images() == images
    assert deployed.text() == text
    next_deploy_works(deployed)


def test_a_closed_terminal_stops_no_put_back(deployed: Deployed) -> None:
    """With SIGHUP comes that nothing can be written any more."""
    images, text = deployed.running_images(), deployed.text()
    deployed.change(start=60.0)
    with deployed.cli.started("deploy", "--json", "--yes") as started:
        started.until(container("web", "starting"))
        process = started.process
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stderr.close()
        started.send(signal.SIGHUP)
        assert process.wait(SECONDS) == 130
        process.stdout = process.stderr = None  # there is nothing to be read any more
    assert deployed.running_images() == images
    assert deployed.text() == text
    assert not deployed.children()


@pytest.mark.parametrize("stage", ["ship", "rollout"])
def test_after_a_sigkill_the_next_deploy_puts_it_right_and_says_so(deployed: Deployed, stage: str) -> None:
    slow, wanted, _ = {**BEFORE_THE_ROLLOUT, **FROM_THE_ROLLOUT_ON}[stage]
    live, text = live_of(deployed), deployed.text()
    deployed.change(**slow)
    with deployed.cli.started("deploy", "--json", "--yes") as started:
        started.until(wanted)
        started.send(signal.SIGKILL)
        assert started.end().code == -signal.SIGKILL
    wait_until(lambda: not deployed.children(), "children to be gone", 60, lambda: "\n".join(deployed.children()))
    wait_until(lambda: free(deployed), "the lock to be free", 60)
    for left in deployed.temporary.iterdir():
        shutil.rmtree(left)
    status = deployed.cli("status")
    assert "never ended: deploy" in status.out
    assert deployed.app.git("rev-parse", "--short=7", "HEAD") in status.out
    if stage == "ship":
        assert deployed.text() == text
    ended = next_deploy_works(deployed)
    notes = [event["text"] for event in ended.events if event["event"] == "note"]
    assert any("never ended: bringing back" in note for note in notes), notes
    recover = next(e["text"] for e in ended.events if e["event"] == "stage-ended" and e["stage"] == "recover")
    assert recover == ("nothing was changed" if stage == "ship" else f"{live} serves again (web)")
    assert "never ended" not in deployed.cli("status").out


def test_a_connection_that_is_cut_in_the_rollout(deployed: Deployed) -> None:
    live = live_of(deployed)
    deployed.change(start=60.0)
    with deployed.cli.started("deploy", "--json", "--yes") as started:
        started.until(container("web", "starting"))
        (ssh,) = run(["pgrep", "-P", str(started.process.pid), "-x", "ssh"]).stdout.split()
        os.kill(int(ssh), signal.SIGKILL)
        ended = started.end()
    assert ended.code == 1
    error = next(event for event in ended.events if event["event"] == "error")
    assert "the lock is lost" in error["message"]
    assert "half done" in error["message"]
    assert "allfast" in error["hint"]
    assert "Traceback" not in ended.err
    assert not deployed.children()
    wait_until(lambda: free(deployed), "the lock to be free", 60)
    back = deployed.cli("rollback", "--json", "--yes", live)
    assert any(f"{live} serves again" in e.get("text", "") for e in back.events if e["event"] == "stage-ended")
    next_deploy_works(deployed)


def test_what_compose_left_half_way_stands_in_no_deploys_way(deployed: Deployed) -> None:
    """Ended while it replaces a container, Compose leaves the successor under a name that it will want again."""
    leave_half(deployed.server, f"{deployment(deployed)}-web-1")
    next_deploy_works(deployed)
    assert "_" not in deployed.server.docker("ps", "--all", "--format", "{{.Names}}").stdout


def leave_half(server: Server, name: str) -> None:
    """Make a successor of a container as Compose does, and go no further."""
    (old,) = json.loads(server.docker("inspect", name).stdout)
    labels = [word for key, value in old["Config"]["Labels"].items() for word in ("--label", f"{key}={value}")]
    server.docker("create", "--name", f"{old['Id'][:12]}_{name}", *labels, old["Image"])


def deployment(one: Deployed) -> str:
    return one.app.path.joinpath("allfast.toml").read_text().split('"')[1]


def live_of(one: Deployed) -> str:
    return str(json.loads(one.cli("status", "--json").out)["live"]["id"])


def free(one: Deployed) -> bool:
    """Is the lock free? Asked by flock(1), not by allfast."""
    held = ["flock", "-n", "-E", "99", f"/var/lib/allfast/{deployment(one)}/lock", "true"]
    return one.server.exec(held, check=False).returncode == 0
