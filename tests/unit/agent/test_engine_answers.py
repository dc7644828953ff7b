"""Answers of an engine that are too long, cut off, or none."""

from __future__ import annotations

import errno
import os
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from allfast.agent import answer as answer_module
from allfast.agent import engine
from allfast.agent.engine import Engine, EngineUnreachable

VERSION = b'{"ApiVersion": "1.45"}'


def sized(body: bytes, size: int | None = None) -> bytes:
    """An answer that says how long it is."""
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body) if size is None else size, body)


def chunked(*parts: bytes) -> bytes:
    """An answer in chunks."""
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks


@contextmanager
def answering(tmp_path: Path, answer: bytes) -> Iterator[Engine]:
    """An engine that gives its version, and then on each connection that answer, and ends it."""
    given = iter((sized(VERSION), answer, answer))

    def serve() -> None:
        with suppress(OSError):  # closed at the end, or the other side has had enough
            for one in given:
                client, _ = server.accept()
                with client:
                    client.recv(4096)
                    with suppress(OSError):
                        client.sendall(one)

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "docker.sock"))
        server.listen()
        serving = threading.Thread(target=serve, daemon=True)
        serving.start()
        client = Engine(str(tmp_path / "docker.sock"), timeout=30.0)
        yield client
        client.close()
        server.shutdown(socket.SHUT_RDWR)
        serving.join(10)


@pytest.mark.parametrize("answer", [sized(b'{"a": 1}'), chunked(b'{"a"', b": 1}", b"")])
def test_a_usual_answer(tmp_path: Path, answer: bytes) -> None:
    with answering(tmp_path, answer) as client:
        assert client.get("/x") == {"a": 1}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (sized(b"1" * 300_000), "an answer of more than 200000 bytes"),
        (chunked(*[b"1" * 30_000] * 10, b""), "an answer of more than 200000 bytes"),
        (sized(b"[1", 3), "IncompleteRead"),
        (chunked(b"[1"), "IncompleteRead"),
        (sized(b"no"), "no JSON"),
        (sized(b"[" * 100_000), "no JSON"),
    ],
)
def test_an_answer_that_is_none(tmp_path: Path, answer: bytes, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "MAX_ANSWER", 200_000, raising=False)
    with answering(tmp_path, answer) as client, pytest.raises(EngineUnreachable, match=said):
        client.get("/x")


def test_a_value_without_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_module, "MAX_VALUE", 200_000)
    with (
        answering(tmp_path, chunked(b'{"a": 1}\n', b"1" * 300_000, b"")) as client,
        pytest.raises(EngineUnreachable, match="a line of more than 200000 bytes"),
        client.stream("POST", "/images/create") as answer,
    ):
        list(answer.values())


def test_what_the_reader_of_an_answer_raises_stays_what_it_is(tmp_path: Path) -> None:
    """His own disk is full, say: a file that an answer is written into."""
    with (
        answering(tmp_path, sized(b"1" * 300_000)) as client,
        pytest.raises(OSError, match="No space left") as caught,
        client.stream("GET", "/images/get") as answer,
    ):
        answer.read(1000)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert caught.value.errno == errno.ENOSPC


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.EPIPE])
def test_what_the_body_of_a_request_raises_stays_what_it_is(number: int, tmp_path: Path) -> None:
    """It is read while it is sent, and not by the engine."""

    def body() -> Iterator[bytes]:
        if number:  # at once: an engine that has had enough may end the connection before the next piece
            raise OSError(number, os.strerror(number))
        yield b""

    with (
        answering(tmp_path, sized(b"{}")) as client,
        pytest.raises(OSError, match=re.escape(os.strerror(number))) as caught,
        client.stream("POST", "/images/load", body()),
    ):
        pass
    assert caught.value.errno == number


@pytest.mark.parametrize("answer", [b"", chunked(b"1")], ids=["none", "some"])
def test_an_answer_that_is_cut_is_an_error_of_the_engine(answer: bytes, tmp_path: Path) -> None:
    """However it is read."""
    for read in (lambda one: one.read(), lambda one: list(one.chunks()), lambda one: list(one.values())):
        with (
            answering(tmp_path, answer) as client,
            pytest.raises(EngineUnreachable, match=r"docker\.sock"),
            client.stream("GET", "/events") as given,
        ):
            read(given)
        (tmp_path / "docker.sock").unlink()


def test_a_stream_of_bytes_has_no_such_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images and logs."""
    monkeypatch.setattr(engine, "MAX_ANSWER", 200_000, raising=False)
    with answering(tmp_path, sized(b"1" * 300_000)) as client, client.stream("GET", "/images/get") as answer:
        assert len(answer.read()) == 300_000
