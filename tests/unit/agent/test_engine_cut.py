"""A request to an engine that is ended from another thread, whatever the engine does meanwhile."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from allfast.agent.engine import Engine, EngineUnreachable, UnixConnection

BEGUN = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
VERSION = b'{"ApiVersion": "1.45"}'


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[tuple[socket.socket, Engine]]:
    """A socket that a test answers on, and the client of it, which knows the version."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "docker.sock"))
        server.listen()
        engine = Engine(str(tmp_path / "docker.sock"), timeout=30.0)
        asking = threading.Thread(target=engine.version)
        asking.start()
        client, _ = server.accept()
        client.recv(4096)
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(VERSION), VERSION))
        asking.join()
        yield server, engine
        client.close()
        engine.close()


@pytest.mark.parametrize("begun", [b"", BEGUN, BEGUN + b'b\r\n{"id": "a"}\r\n'])
def test_a_request_that_is_cut(listening: tuple[socket.socket, Engine], begun: bytes) -> None:
    """Before the answer, and within it: the one side hears of an error, the other of an end."""
    server, engine = listening
    opened: list[UnixConnection] = []
    caught: list[Exception] = []

    def ask() -> None:
        try:
            with engine.stream("POST", "/images/create", opened=opened.append) as answer:
                for _ in answer.values():
                    pass
        except EngineUnreachable as error:
            caught.append(error)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    client, _ = server.accept()
    with client:
        client.settimeout(30)
        assert client.recv(4096).startswith(b"POST /v1.45/images/create")
        client.sendall(begun)
        opened[0].cut()
        asking.join(30)
        assert not asking.is_alive()
        assert len(caught) == 1
        assert client.recv(4096) == b""


def test_one_that_is_cut_before_it_begins(listening: tuple[socket.socket, Engine]) -> None:
    _, engine = listening
    caught: list[Exception] = []

    def ask() -> None:
        try:
            with engine.stream("POST", "/images/create", opened=UnixConnection.cut):
                pass
        except EngineUnreachable as error:
            caught.append(error)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(30)
    assert len(caught) == 1
