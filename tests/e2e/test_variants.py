"""The same deploy on other servers, from other engines, and by other logins; one short deploy each."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from testbed.engine import Engine
from testbed.server import Server
from testbed.tiny_app import TinyApp, make_repo_for
from tests.e2e.conftest import forget_builds
from tests.e2e.harness import Cli, page
from tests.e2e.looks import containers


@contextmanager
def running(name: str, **options: str) -> Iterator[Server]:
    """A server of its own for one test."""
    server = Server(f"e2e-variants-{name}", **options).start()  # type: ignore[arg-type]
    try:
        server.load("redis:8", "python:3.13-slim")
        yield server
    finally:
        server.stop()


def checkout(server: Server, path: Path, name: str) -> TinyApp:
    """The tiny app under a name of its own, not built yet."""
    forget_builds(name)
    app = make_repo_for(server, path)
    app.write("allfast.toml", (app.path / "allfast.toml").read_text().replace('app = "tiny"', f'app = "{name}"'))
    app.commit("Name it")
    return app


def there_and_back(allfast: Cli, app: TinyApp, server: Server) -> tuple[str, str]:
    """A first deploy, a changed line, and back: the first release, and what the page of the second said."""
    first = allfast.deploy()
    assert first.result["proven"]
    text = f"web two {uuid.uuid4().hex}"  # a local engine that outlives the test has the image of the last time
    app.say("web", text)
    second = allfast.deploy()
    assert second.service("web")["method"] == "quick"
    assert page(server.url())["web"]["text"] == text
    back = allfast("rollback", "--yes", "--json")
    assert back.result["release"] == first.result["release"]
    assert page(server.url())["web"]["text"] == "web one"
    return first.result["release"], text


def test_docker_group_logins(tmp_path: Path) -> None:
    """Without root and without sudo; a second login of the docker group sees and continues the same state."""
    with running("login", login="deploy") as server:
        app = checkout(server, tmp_path / "app", "tiny-variants-login")
        allfast = Cli(app.path, server, tmp_path / "cache")
        first, second = there_and_back(allfast, app, server)
        settings = (app.path / "allfast.toml").read_text()
        app.write("allfast.toml", settings.replace(f'"{server.name}"', f'"{server.name}-ops"'))
        app.commit("By another login")
        ops = Cli(app.path, server, tmp_path / "cache-ops")
        status = ops("status", "--json").events[0]
        assert status["live"]["id"] == first
        assert status["drift"] == {}
        before = containers(server, app)
        changed = ops.deploy()
        assert changed.service("web")["method"] == "reuse", "it was built for the release that was rolled back"
        assert changed.result["wire_bytes"] == 0
        assert page(server.url())["web"]["text"] == second
        assert containers(server, app)["api"] == before["api"]
        assert ops("rollback", first, "--yes", "--json").result["outcome"] == "done"
        assert len(ops("history", "--json").events[0]) == 5
        app.write("allfast.toml", settings)
        app.say("api", "api three")
        assert allfast.deploy().result["proven"], "and the first login goes on"
        guest = app.path / "allfast.toml"
        guest.write_text(settings.replace(f'"{server.name}"', f'"{server.name}-guest"'))
        refused = ops("status", code=None)
        assert refused.code != 0
        assert "docker" in refused.err


@pytest.mark.parametrize(("name", "options"), [("containerd", {"store": "containerd"}), ("old", {"suite": "bullseye"})])
def test_servers(name: str, options: dict[str, str], tmp_path: Path) -> None:
    """A server with the containerd store; the oldest server (Engine 20.10, Python 3.9)."""
    with running(name, **options) as server:
        app = checkout(server, tmp_path / "app", f"tiny-variants-{name}")
        there_and_back(Cli(app.path, server, tmp_path / "cache"), app, server)


@pytest.mark.parametrize("store", ["overlay2", "containerd"])
def test_local_engine_with_the_containerd_store(store: str, tmp_path: Path) -> None:
    """A laptop whose engine has the containerd store, to a server with either store."""
    local = Engine("containerd").start()
    with running(f"from-containerd-{store}", store=store) as server:
        app = checkout(server, tmp_path / "app", f"tiny-variants-local-{store}")
        allfast = Cli(app.path, server, tmp_path / "cache", DOCKER_HOST=local.host)
        there_and_back(allfast, app, server)
