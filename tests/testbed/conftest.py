"""Servers for the tests of the test bed itself: started once, reset by the tests that change them."""

from collections.abc import Iterator

import pytest

from testbed.server import Server


@pytest.fixture(scope="session")
def server(worker_id: str) -> Iterator[Server]:
    """A usual server, reached as root; test files run side by side, so each process of tests has its own."""
    yield from _started(Server(f"bed-{worker_id}"))


@pytest.fixture(scope="session")
def containerd_server(worker_id: str) -> Iterator[Server]:
    """A server with the containerd store, reached as deploy."""
    yield from _started(Server(f"bed-containerd-{worker_id}", store="containerd", login="deploy"))


@pytest.fixture(params=["overlay2", "containerd"])
def each_server(request: pytest.FixtureRequest, server: Server, containerd_server: Server) -> Server:
    """A server of either store, as new."""
    chosen = server if request.param == "overlay2" else containerd_server
    chosen.reset()
    return chosen


def _started(server: Server) -> Iterator[Server]:
    server.start()
    yield server
    server.stop()
