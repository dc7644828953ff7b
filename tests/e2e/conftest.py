"""One server for each test file, reset for each test; one checkout of the tiny app for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from allfast.model import labels
from testbed.common import machine_lock, run
from testbed.server import Server
from testbed.tiny_app import TinyApp, make_repo_for
from tests.e2e.harness import Cli


@pytest.fixture(scope="module")
def machine(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server for the tests of one file, with the image of the data service and the base of the others."""
    server = Server(f"e2e-{file_of(request)}").start()
    server.load("redis:8", "python:3.13-slim")
    yield server
    server.stop()


@pytest.fixture
def server(machine: Server) -> Server:
    """The file's server, without anything that an earlier test left."""
    machine.reset(keep_images=True)
    return machine


@pytest.fixture
def app(request: pytest.FixtureRequest, server: Server, tmp_path: Path) -> TinyApp:
    """A checkout of the tiny app, pushed, on a laptop that has not built it yet; its name is that of the test file."""
    return named_app(request, server, tmp_path / "app")


def named_app(
    request: pytest.FixtureRequest, server: Server, path: Path, *, strategy: str = "recreate", top: str = ""
) -> TinyApp:
    """As the fixture `app`, at `path`; `top` are more lines for the top of its allfast.toml."""
    name = f"tiny-{file_of(request)}"
    forget_builds(name)
    app = make_repo_for(server, path, strategy=strategy)
    settings = app.path / "allfast.toml"
    app.write("allfast.toml", settings.read_text().replace('app = "tiny"', f'app = "{name}"\n{top}'))
    app.commit("Name it")
    return app


@pytest.fixture
def allfast(app: TinyApp, server: Server, tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """The command in that checkout."""
    return Cli(app.path, server, tmp_path_factory.mktemp("cache"))


def file_of(request: pytest.FixtureRequest) -> str:
    """`some-thing` of tests/e2e/test_some_thing.py: files may run side by side, so each has its own names."""
    name: str = request.module.__name__
    return name.rpartition(".")[2].removeprefix("test_").replace("_", "-")


def forget_builds(deployment: str) -> None:
    """Remove a deployment's images from the local engine, as if they had never been built here."""
    with machine_lock("prune"):  # the engine refuses a second one beside it
        run(["docker", "image", "prune", "--all", "--force", "--filter", f"label={labels.DEPLOYMENT}={deployment}"])
