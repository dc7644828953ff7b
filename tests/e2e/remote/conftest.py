"""Bare servers of each kind: one for each file, as new for each test."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from testbed.server import Server
from tests.e2e.conftest import file_of

KINDS = ("overlay2", "containerd", "bullseye")


@pytest.fixture(scope="module")
def servers(request: pytest.FixtureRequest) -> Iterator[Callable[[str], Server]]:
    """Servers by kind, as new; started when first asked for."""
    with ExitStack() as stack:
        started: dict[str, Server] = {}

        def get(kind: str) -> Server:
            if kind not in started:
                choice = {"suite": kind} if kind == "bullseye" else {"store": kind}
                started[kind] = Server(f"remote-{file_of(request)}-{kind}", **choice).start()  # type: ignore[arg-type]
                stack.callback(started[kind].stop)
            else:
                started[kind].reset()
            return started[kind]

        yield get


@pytest.fixture
def server(servers: Callable[[str], Server]) -> Server:
    return servers("overlay2")


@pytest.fixture(params=KINDS)
def each(request: pytest.FixtureRequest, servers: Callable[[str], Server]) -> Server:
    return servers(request.param)
