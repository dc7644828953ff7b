"""Whatever changes the server lies in a journal step: a crash at any point leaves a note of what was about to be done.

A relay in front of the server's engine writes down each request that changes something, whoever makes it: the laptop
and its Compose over the forwarded socket, the agent, the process that retires releases. The requests to the agent are
written down on the laptop. All are on one clock, and so is the journal.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chaos.bed import LEDGER, checkout, forget_builds
from testbed.common import wait_until
from testbed.server import Server
from testbed.tiny_app import TinyApp
from tests.e2e.conftest import file_of
from tests.e2e.harness import Cli

pytestmark = pytest.mark.e2e

LOG = "/run/changes.log"
#: Stands in the engine's place; the first line of each request is found in the stream, whatever is around it.
RELAY = f"""
import os, re, shutil, socket, threading, time
FIRST = re.compile(rb"(POST|PUT|DELETE) (/[!-~]*) HTTP/1[.]1\\r\\n")
def copy(source, sink, log):
    rest = b""
    try:
        while data := source.recv(1 << 16):
            if log:
                rest += data
                for found in FIRST.finditer(rest):
                    log.write("%.6f %s %s\\n" % (time.time(), found[1].decode(), found[2].decode()))
                    log.flush()
                rest = rest[rest.rfind(b"\\n") + 1:][-4096:]
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass
def serve(client):
    engine = socket.socket(socket.AF_UNIX)
    engine.connect("/run/docker-real.sock")
    back = threading.Thread(target=copy, args=(engine, client, None), daemon=True)
    back.start()
    copy(client, engine, open("{LOG}", "a"))
    back.join()
    client.close()
    engine.close()
door = socket.socket(socket.AF_UNIX)
door.bind("/run/docker.sock")
shutil.chown("/run/docker.sock", "root", "docker")
os.chmod("/run/docker.sock", 0o660)
door.listen(100)
while True:
    threading.Thread(target=serve, args=(door.accept()[0],), daemon=True).start()
"""

#: What may be asked of the agent outside of a step, and why.
OUTSIDE = {
    "mint": "the run is recorded under the release's id: an id is given out, and is used or not",
    "begin_run": "the journal itself",
    "update_run": "the journal itself",
    "begin_step": "the journal itself",
    "end_step": "the journal itself",
    "add_phase": "the journal itself",
}
#: Requests of the engine's API that change nothing, although they are no GET.
ASKING = re.compile(r"/containers/[^/]+/wait")


@pytest.fixture(scope="module")
def machine(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server with the images that the releases and the proxy are made from."""
    server = Server(f"e2e-{file_of(request)}").start()
    server.load("redis:8", "python:3.13-slim", "caddy:2")
    yield server
    server.stop()


@pytest.fixture
def app(server: Server, tmp_path: Path) -> TinyApp:
    """The tiny app with strategy side-by-side; two releases are kept."""
    forget_builds("tiny-journal")
    return checkout(server, tmp_path / "app", "tiny-journal")


@contextmanager
def watched(server: Server) -> Iterator[None]:
    """All requests to the engine pass the relay."""
    server.exec(["bash", "-c", f"rm -f {LOG}; mv /run/docker.sock /run/docker-real.sock"])
    server.exec(
        ["bash", "-c", 'nohup python3 -c "$0" </dev/null >/run/relay.log 2>&1 & echo $! >/run/relay.pid', RELAY]
    )
    try:
        wait_until(lambda: server.docker("version", check=False).returncode == 0, "the relay answers", 20)
        yield
    finally:
        server.exec(["bash", "-c", "kill $(cat /run/relay.pid); mv /run/docker-real.sock /run/docker.sock"])


class Witness:
    """Commands whose requests to the agent are written down."""

    def __init__(self, cli: Cli, server: Server, file: Path) -> None:
        self._cli, self._server, self._file = cli, server, file

    def __call__(self, *argv: str, code: int = 0) -> None:
        """Run a command."""
        done = subprocess.run(
            [sys.executable, "-m", "chaos.witness", str(self._file), *argv],
            cwd=self._cli.path,
            env=self._cli.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr

    def changes(self) -> list[tuple[float, str]]:
        """When, and what: all of the agent and of the engine, in time's order."""
        asked = [line.split(maxsplit=1) for line in self._file.read_text().splitlines()]
        engine = [line.split(maxsplit=1) for line in self._server.exec(["cat", LOG]).stdout.splitlines()]
        kept = [(when, what) for when, what in asked if what not in OUTSIDE]
        kept += [(when, what) for when, what in engine if not ASKING.search(what)]
        return sorted((float(when), what) for when, what in kept)

    def steps(self) -> list[tuple[float, float, str]]:
        """Begin, end and name of each step in the journal."""
        path = "/var/lib/allfast/tiny-journal/ledger.sqlite3"
        script = LEDGER.replace("SELECT run, step, outcome FROM", "SELECT began, ended, step FROM")
        found = json.loads(self._server.exec(["python3", "-c", script, path]).stdout)["journal"]
        return [(began, ended, step) for began, ended, step in found]


def test_each_change_lies_in_a_step(app: TinyApp, allfast: Cli, server: Server, tmp_path: Path) -> None:
    """Three deploys, so that a release is removed; a rollback; a canary; a deploy that fails; a recovery."""
    witness = Witness(allfast, server, tmp_path / "asked")
    with watched(server):
        began = time.time()
        for text in ("one", "two", "three"):
            app.say("web", text)
            witness("deploy", "--yes")
        witness("rollback", "--yes")
        witness("deploy", "--yes", "--canary", "10")
        witness("deploy", "--yes", "--canary", "20")
        witness("rollback", "--yes")
        witness("deploy", "--yes", "--canary", "10")
        witness("promote", "--yes")
        app.set("web", "CRASH", value=True)
        app.commit("It crashes")
        witness("deploy", "--yes", code=1)
        live = json.loads(allfast("status", "--json").out)["live"]["id"]
        own = ["--host", "unix:///run/docker-real.sock"]  # what the test does itself is nobody's step
        listed = server.docker(*own, "ps", "-q", "--filter", f"label=allfast.release={live}", "--filter", "name=web")
        server.docker(*own, "rm", "--force", listed.stdout.strip())
        witness("recover")
        changes, steps = [one for one in witness.changes() if one[0] > began], witness.steps()
    kinds = {what.partition(" ")[0] for _, what in changes}
    assert {
        "POST",
        "DELETE",
        "proxy_switch",
        "proxy_canary",
        "put_release",
        "set_state",
        "prune",
        "remove_release",
    } <= kinds, kinds
    assert any("/images/load" in what for _, what in changes), "what goes over the forwarded socket is seen"
    assert any("/containers/create" in what for _, what in changes), "what Compose asks for is seen"
    outside = [what for when, what in changes if not any(start <= when <= end for start, end, _ in steps)]
    assert outside == [], outside
