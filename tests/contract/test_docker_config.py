"""What the real Docker CLI tells the engine that it is led to, a hostile one; and which plug-ins it finds."""

from __future__ import annotations

import base64
import json
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from allfast.remote.docker_config import without_logins
from testbed.common import HOST_ENV

IMAGE = "registry.invalid/victim/app:1"
PASSWORD = "s3ntinel-of-the-registry"


class Hostile(socketserver.ThreadingUnixStreamServer):
    """Answers like an engine, and keeps what it is told of logins."""

    daemon_threads = True

    def __init__(self, socket: Path) -> None:
        self.path = socket
        self.told: list[str] = []
        super().__init__(str(socket), Asked)


class Asked(BaseHTTPRequestHandler):
    """One request."""

    server: Hostile

    def do_GET(self) -> None:
        self._answer(b"OK", "text/plain")

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self.server.told.append(self.headers.get("X-Registry-Auth", ""))
        self._answer(b'{"status":"done"}\n', "application/json")

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *args: object) -> None:
        """Nothing is written."""

    def _answer(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Api-Version", "1.41")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@pytest.fixture
def hostile(tmp_path: Path) -> Iterator[Hostile]:
    with Hostile(tmp_path / "s") as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's Docker configuration with a login at the image's registry, and with a plug-in."""
    folder = tmp_path / "user"
    (folder / "cli-plugins").mkdir(parents=True)
    login = base64.b64encode(f"me:{PASSWORD}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {"registry.invalid": {"auth": login}}}))
    plugin = folder / "cli-plugins" / "docker-moored"
    metadata = json.dumps({"SchemaVersion": "0.1.0", "Vendor": "test", "Version": "1", "ShortDescription": "x"})
    plugin.write_text(
        f"#!/bin/sh\nif [ \"$1\" = docker-cli-plugin-metadata ]; then echo '{metadata}'; else echo all fast; fi\n"
    )
    plugin.chmod(0o755)
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    return folder


def docker(config: Path, engine: Hostile, *words: str) -> str:
    environment = {**HOST_ENV, "DOCKER_CONFIG": str(config), "DOCKER_HOST": f"unix://{engine.path}"}
    done = subprocess.run(["docker", *words], env=environment, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


def test_a_server_gets_no_login_of_the_user_at_a_registry(hostile: Hostile, user: Path, tmp_path: Path) -> None:
    docker(user, hostile, "pull", IMAGE)
    (told,) = hostile.told
    assert PASSWORD in base64.urlsafe_b64decode(told + "==").decode(), "with the user's own configuration it does"
    hostile.told.clear()
    docker(without_logins(tmp_path), hostile, "pull", IMAGE)
    (told,) = hostile.told
    assert PASSWORD not in base64.urlsafe_b64decode(told + "==").decode()


def test_the_user_s_plug_ins_are_there(hostile: Hostile, user: Path, tmp_path: Path) -> None:
    made = without_logins(tmp_path)
    assert docker(made, hostile, "moored") == "all fast\n"
    assert oct(made.stat().st_mode & 0o777) == "0o700"
    (user / "cli-plugins").rename(tmp_path / "elsewhere")
    settings = {**json.loads((user / "config.json").read_text()), "cliPluginsExtraDirs": [str(tmp_path / "elsewhere")]}
    (user / "config.json").write_text(json.dumps(settings))
    assert docker(without_logins(tmp_path), hostile, "moored") == "all fast\n"
    assert [file.name for file in made.iterdir()] == ["config.json"]
    (user / "config.json").write_text("no JSON")
    assert docker(without_logins(tmp_path), hostile, "compose", "version").startswith("Docker Compose")
