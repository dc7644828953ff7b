"""What is asked from the laptop and from the server, of an application that answers byte by byte."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from allfast.agent.fetch import fetch
from allfast.remote.http import CouldNotAsk, get

BEGUN = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
#: More than is waited for, though it has an end: so that a test without the guard has one.
DRIPS = 200
PAUSE = 0.02
TIMEOUT = 0.2


@pytest.fixture(params=[BEGUN, BEGUN + b"Content-Length: %d\r\n\r\n" % DRIPS], ids=["headers", "body"])
def dripping(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of an application whose answer begins so, and goes on in single bytes."""
    over = threading.Event()

    def serve() -> None:
        client, _ = server.accept()
        with client:
            client.recv(4096)
            client.sendall(request.param)
            for _ in range(DRIPS):
                if over.wait(PAUSE):
                    return
                client.sendall(b"a")

    with socket.create_server(("127.0.0.1", 0)) as server:
        serving = threading.Thread(target=serve, daemon=True)
        serving.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        over.set()
        serving.join(10)


def test_an_answer_that_drips_is_none_on_the_server(dripping: str) -> None:
    answer = fetch(dripping, {}, TIMEOUT)
    assert (answer["status"], answer["error"]) == (0, "no whole answer in 0.6 s")


def test_an_answer_that_drips_is_none_on_the_laptop(dripping: str) -> None:
    with pytest.raises(CouldNotAsk, match=r"no whole answer in 0\.6 s"):
        get(dripping, TIMEOUT)
