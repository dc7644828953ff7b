"""A server's disk that becomes full while an image travels: named, nothing changed, and it gets its space back."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

from testbed.link import Link
from testbed.server import Server
from testbed.snapshot import FOLDERS
from testbed.tiny_app import TinyApp
from testbed.trouble import full_disk
from tests.e2e.conftest import file_of
from tests.e2e.harness import Cli, page
from tests.e2e.looks import name_of

#: On the disk that can be full, which is also that of the engine's images.
STATE = "/var/lib/docker/state"
#: What a run that changed nothing adds: itself, in the ledger.
OWN = ("*/ledger.sqlite3*", "*/lock*")
SIZE = 60_000_000
MIB = 1 << 20


@pytest.fixture(scope="module")
def machine(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Its engine's disk is small."""
    server = Server(f"e2e-{file_of(request)}", disk="1500m").start()
    server.load("redis:8", "python:3.13-slim")
    yield server
    server.stop()


def test_a_disk_that_becomes_full_while_an_image_travels(app: TinyApp, server: Server, tmp_path: Path) -> None:
    settings = (app.path / "allfast.toml").read_text().replace(f'"{server.name}"', f'"{server.name}-root"')
    app.write(
        "allfast.toml", settings.replace("[targets.production]\n", f'[targets.production]\nstate_dir = "{STATE}"\n')
    )
    app.commit("The state lies on the engine's disk")
    with Link(server.port(22)) as link:
        cli = Cli(app.path, server, tmp_path / "cache", ALLFAST_SSH_CONFIG=str(link.ssh_config(server)))
        cli.deploy()
        before = server.snapshot((*FOLDERS, STATE), OWN)
        dockerfile = (app.path / "web/Dockerfile").read_text()
        app.write("web/Dockerfile", f"{dockerfile}RUN head -c {SIZE} /dev/urandom >/tmp/model.bin\n")
        app.say("web", "with a model")

        link.rate = 30e6
        with cli.started("deploy", "--json", "--yes") as deploy:
            deploy.until(lambda event: event["event"] == "ship-progress" and 3 * event["sent"] > event["total"])
            with full_disk(server, left=4 * MIB):
                ended = deploy.end()
                assert page(server.url())["web"]["text"] == "web one"
                layers = server.exec(["find", f"{STATE}/{name_of(app)}/layers", "-type", "f"]).stdout.split()
        assert ended.code == 1
        (error,) = (event for event in ended.events if event["event"] == "error")
        assert "disk is full" in error["message"]
        assert f"{STATE}/{name_of(app)}/layers" in f"{error['message']} {error['evidence']}"
        assert "make room" in error["hint"]
        assert not [path for path in layers if not fnmatch(path, "*.index")], "it gets its space back"
        after = server.snapshot((*FOLDERS, STATE), OWN)
        assert [change for change in before.changes(after) if "/layers/" not in change] == []

        link.rate = None
        assert cli.deploy().result["outcome"] == "done"
        assert page(server.url())["web"]["text"] == "with a model"
