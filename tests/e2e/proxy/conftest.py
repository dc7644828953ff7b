"""A server for each file, with the proxy and responders instead of an application."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from testbed import bases
from testbed.server import Server
from tests.e2e.conftest import file_of
from tests.e2e.edge import Town, town


@pytest.fixture(scope="module")
def machine(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server with the proxy's image and that of the responders."""
    bases.ensure([bases.CADDY, bases.PYTHON])
    server = Server(f"e2e-{file_of(request)}").start()
    server.load(bases.CADDY.tag, bases.PYTHON.tag)
    yield server
    server.stop()


@pytest.fixture
def chat(server: Server) -> Iterator[Town]:
    """The deployment `chat`, without a proxy yet."""
    with town(server, "chat") as one:
        yield one
