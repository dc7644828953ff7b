"""Base images that the server pulls by itself, from a registry on this machine that it reaches by a line of its own."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from testbed.common import wait_until
from testbed.link import Link
from testbed.registry import Registry, reachable, registry
from testbed.server import Server
from testbed.tiny_app import TinyApp
from tests.e2e.conftest import file_of
from tests.e2e.harness import Cli, page

pytestmark = pytest.mark.e2e

#: Bits a second at which the base takes half a minute from the laptop.
SLOW = 6e6
#: Bytes: more than all that is the images' own, and what is on its way when the pull overtakes; less than what the
#: server lacks of the base (compressed). It shares a layer with the data service's image.
OWN = 12_000_000


@dataclass(frozen=True)
class Base:
    """The base in the registry, `digest` as the server knows it when it has been pulled."""

    registry: Registry
    digest: str

    @property
    def name(self) -> str:
        """As Dockerfiles name it."""
        return self.registry.name("base:1")


@pytest.fixture(scope="module")
def machine(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server with the image of the data service, and without the base of the others."""
    server = Server(f"e2e-{file_of(request)}").start()
    server.load("redis:8")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def base() -> Iterator[Base]:
    """What the images are built on, in a registry."""
    with registry() as running:
        yield Base(running, running.push("python:3.13-slim", "base:1"))


@pytest.fixture
def server(machine: Server) -> Server:
    """As in all tests; and without any layer of the base."""
    machine.reset(keep_images=True)
    forget_images(machine)
    return machine


@pytest.fixture
def source(server: Server, base: Base) -> Iterator[Link]:
    """The server's line to the registry."""
    with Link(base.registry.port) as line, reachable(server, base.registry.port, line.port):
        yield line


@pytest.fixture
def built_on(app: TinyApp, base: Base) -> TinyApp:
    """The app, built on that base; the target lets the server pull."""
    settings = app.path / "allfast.toml"
    app.write("allfast.toml", settings.read_text().replace('branch = "main"', 'branch = "main"\npull_bases = true'))
    compose = app.path / "compose.yaml"
    app.write("compose.yaml", compose.read_text().replace("BASE: python:3.13-slim", f"BASE: {base.name}"))
    dockerfile = (app.path / "api/Dockerfile").read_text()
    app.write("api/Dockerfile", dockerfile.replace("BASE=python:3.13-slim", f"BASE={base.name}"))
    app.commit("Build on the registry's base")
    return app


@pytest.fixture
def line(server: Server) -> Iterator[Link]:
    """The laptop's line to the server."""
    with Link(server.port(22)) as found:
        yield found


@pytest.fixture
def cli(built_on: TinyApp, server: Server, line: Link, tmp_path: Path) -> Cli:
    """The command on a laptop that reaches the server by that line alone."""
    return Cli(built_on.path, server, tmp_path / "cache", ALLFAST_SSH_CONFIG=str(line.ssh_config(server)))


def forget_images(server: Server) -> None:
    """Remove all images of the server but that of the data service."""
    listed = server.docker("image", "ls", "--all", "--no-trunc", "--format", "{{.ID}} {{.Repository}}").stdout
    others = {words.split()[0] for words in listed.splitlines() if words.split()[1] != "redis"}
    if others:
        server.docker("image", "rm", "--force", *others)


def layers(server: Server) -> set[str]:
    """All layers that the server's engine has, whoever needs them."""
    return set(server.exec(["ls", "/var/lib/docker/image/overlay2/layerdb/sha256"]).stdout.split())


def has(server: Server, reference: str) -> bool:
    """Whether the server has an image of that name."""
    return server.docker("image", "inspect", reference, check=False).returncode == 0


Events = list[dict[str, Any]]


def shipped(cli: Cli) -> Events:
    """The events of a deploy until all images are on the server; it goes no further."""
    with cli.started("deploy", "--json", "--yes", "--quick") as deploy:
        deploy.until(lambda event: event["event"] == "stage-ended" and event["stage"] == "ship")
        deploy.send(signal.SIGKILL)
        return deploy.events


def sent(events: Events) -> int:
    """Bytes that went for images."""
    return sum(event["sent"] for event in events if event["event"] == "shipped")


def told(events: Events) -> Events:
    """What was said of pulls, but for how far one was while it was waited for."""
    return [event for event in events if event["event"] == "pull" and event["state"] != "pulling"]


def states(events: Events) -> list[str]:
    """How pulls went."""
    return [event["state"] for event in told(events)]


def test_the_server_pulls_what_the_laptop_would_send_slowly(
    built_on: TinyApp, cli: Cli, line: Link, source: Link, server: Server, base: Base
) -> None:
    """One pull for both images; nothing of it has a name afterwards, and its layers go with those images."""
    before = layers(server)
    line.rate = SLOW
    first = cli.deploy("--quick")
    assert first.result["outcome"] == "done"
    assert states(first.events) == ["began", "done"]
    assert {event["image"] for event in told(first.events)} == {base.digest}
    assert first.result["wire_bytes"] < OWN < told(first.events)[1]["bytes"]
    assert not has(server, base.digest)
    journal = journal_of(server)
    assert [step for step, _ in journal if "pull" in step] == ["pull base image", "remove pulled bases"]

    passed = source.down
    built_on.say("web", "two")
    second = cli.deploy()
    assert page(server.url())["web"]["text"] == "two"
    assert told(second.events) == []
    assert source.down == passed, "the registry was not asked for anything"

    server.reset(keep_images=True)
    forget_images(server)
    assert layers(server) == before


def test_a_registry_that_does_not_move_is_not_waited_for(
    cli: Cli, line: Link, source: Link, base: Base, server: Server
) -> None:
    """It takes the connection, and is silent. That is noticed before all is sent, which takes longer."""
    line.rate = SLOW
    source.stall()
    events = shipped(cli)
    assert states(events) == ["began", "given-up"]
    assert "has not moved" in told(events)[1]["cause"], told(events)
    assert sent(events) > OWN
    source.go_on()
    assert not has(server, base.digest)


def test_what_the_registry_refuses_is_sent(cli: Cli, server: Server, base: Base) -> None:
    """The digest is gone there, by the time the server asks: what it reaches is another registry, an empty one."""
    with registry() as empty, reachable(server, base.registry.port, empty.port):
        events = shipped(cli)
    assert states(events) == ["began", "failed"]
    assert "manifest unknown" in told(events)[1]["cause"], told(events)
    assert sent(events) > OWN


def test_without_the_key_nothing_is_pulled(built_on: TinyApp, cli: Cli, source: Link) -> None:
    """A server needs no registry."""
    settings = (built_on.path / "allfast.toml").read_text()
    built_on.write("allfast.toml", settings.replace("pull_bases = true\n", ""))
    built_on.commit("Send all")
    passed = source.down
    events = shipped(cli)
    assert told(events) == []
    assert sent(events) > OWN
    assert source.down == passed


def test_an_image_that_was_there_stays(cli: Cli, server: Server, source: Link, base: Base) -> None:
    """Somebody has pulled the base before."""
    server.docker("pull", base.name)
    passed = source.down
    done = cli.deploy("--quick")
    assert done.result["outcome"] == "done"
    assert told(done.events) == []
    assert done.result["wire_bytes"] < OWN
    assert source.down == passed
    assert has(server, base.digest)
    assert has(server, base.name)


def test_what_a_killed_laptop_had_pulled_goes(
    built_on: TinyApp, cli: Cli, line: Link, source: Link, server: Server, base: Base
) -> None:
    """It died between the pull and the images that are built on it."""
    dockerfile = (built_on.path / "web/Dockerfile").read_text()
    built_on.write("web/Dockerfile", f"{dockerfile}RUN head -c 10000000 /dev/urandom >/tmp/model.bin\n")
    built_on.commit("With a model")
    line.rate = SLOW / 4
    with cli.started("deploy", "--json", "--yes", "--quick") as deploy:
        deploy.until(lambda event: event["event"] == "pull")
        wait_until(lambda: has(server, base.digest), "the server has pulled the base", 120)
        deploy.send(signal.SIGKILL)
        deploy.end()
    line.rate = None
    assert has(server, base.digest)
    cli("recover", "--wait")
    assert not has(server, base.digest)
    assert "remove pulled bases" in [step for step, _ in journal_of(server)]


def journal_of(server: Server) -> list[tuple[str, str]]:
    """Steps and outcomes of the ledger."""
    script = (
        "import json, sqlite3, sys; db = sqlite3.connect(sys.argv[1]);"
        "print(json.dumps(db.execute('SELECT step, outcome FROM journal ORDER BY id').fetchall()))"
    )
    path = "/var/lib/allfast/tiny-pull-bases/ledger.sqlite3"
    return [tuple(row) for row in json.loads(server.exec(["python3", "-c", script, path]).stdout)]
