"""The line of the test bed: counted, shaped, cut and frozen. Times are held from below only: a machine may be slow."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from testbed.common import wait_until
from testbed.link import Link

SECONDS = 20.0


class Sink:
    """A server that keeps what it gets, and answers each connection's whole input with `answer`."""

    def __init__(self, answer: bytes = b"") -> None:
        self.got = b""
        self.ends = 0
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                try:
                    while data := connection.recv(65536):
                        self.got += data
                    connection.sendall(self._answer)
                except OSError:
                    pass
                self.ends += 1

    def close(self) -> None:
        """Take no more."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@contextmanager
def line(sink: Sink, *, rate: float | None = None, delay: float = 0.0) -> Iterator[Link]:
    """A line to the sink; both are gone at the end."""
    try:
        with Link(sink.port, rate=rate, delay=delay) as link:
            yield link
    finally:
        sink.close()


def send(link: Link, data: bytes) -> bytes:
    """Send all, and return the whole answer."""
    with socket.create_connection(("127.0.0.1", link.port), timeout=SECONDS) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(65536), b""))


@pytest.mark.parametrize(("rate", "delay"), [(None, 0.0), (80e6, 0.0), (None, 0.02), (80e6, 0.02)])
def test_bytes_pass_unchanged_and_are_counted(rate: float | None, delay: float) -> None:
    data = bytes(range(256)) * 4000
    sink = Sink(b"well" * 1000)
    with line(sink, rate=rate, delay=delay) as link:
        assert send(link, data) == b"well" * 1000
        assert sink.got == data
        assert (link.up, link.down) == (len(data), 4000)


def test_the_rate_is_that_of_the_line_not_of_a_connection() -> None:
    rate, size = 40e6, 500_000
    with line(Sink(), rate=rate) as link:
        began = time.monotonic()
        senders = [threading.Thread(target=send, args=(link, bytes(size))) for _ in range(4)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join(SECONDS)
        assert link.up == 4 * size
        assert time.monotonic() - began > 0.9 * 4 * size * 8 / rate


def test_the_delay_comes_on_top_of_a_round_trip() -> None:
    with line(Sink(b"well"), delay=0.2) as link:
        began = time.monotonic()
        assert send(link, b"?") == b"well"
        assert time.monotonic() - began > 0.19


def test_a_line_is_cut_at_a_byte_and_can_be_used_again() -> None:
    sink = Sink()
    with line(sink) as link:
        link.cut_after(12_345)
        with (
            pytest.raises((ConnectionResetError, BrokenPipeError)),
            socket.create_connection(("127.0.0.1", link.port), timeout=SECONDS) as client,
        ):
            while True:
                client.sendall(bytes(10_000))
        wait_until(lambda: sink.ends == 1, "the server to see the end", SECONDS)
        assert (link.cuts, link.up, len(sink.got)) == (1, 12_345, 12_345)
        send(link, b"again")
        assert sink.got.endswith(b"again")
        assert link.cuts == 1


def test_a_frozen_line_keeps_its_connections_and_goes_on() -> None:
    sink = Sink()
    with line(sink) as link, socket.create_connection(("127.0.0.1", link.port), timeout=SECONDS) as client:
        link.stall(after=1000)
        client.sendall(bytes(5000))
        wait_until(lambda: link.stalled, "the stall", SECONDS)
        assert (link.up, link.cuts) == (1000, 0)
        link.go_on()
        wait_until(lambda: len(sink.got) == 5000, "the rest", SECONDS)
        assert sink.ends == 0


def test_a_frozen_line_can_be_cut_and_closed() -> None:
    sink = Sink()
    with line(sink) as link, socket.create_connection(("127.0.0.1", link.port), timeout=SECONDS) as client:
        client.sendall(b"gone")
        wait_until(lambda: sink.got == b"gone", "the line to carry", SECONDS)
        link.stall()
        client.sendall(b"lost")
        link.cut()
        with suppress(ConnectionResetError):  # either is an end
            assert client.recv(10) == b""
        wait_until(lambda: sink.ends == 1, "the server to see the end", SECONDS)
        assert sink.got == b"gone"
