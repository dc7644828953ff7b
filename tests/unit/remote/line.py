"""A laptop's channel and an agent's loop, both as they are, with a socket pair between them in SSH's place."""

import io
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, cast

from allfast.agent.requests import Call, Context, Request
from allfast.agent.serve import _Loop, _Wire
from allfast.errors import RemoteError
from allfast.remote.channel import Channel

Requests = dict[str, Callable[[Call], Any]]


class Sink(io.FileIO):
    """The laptop's way to the agent; `press` is called before each write, and may interrupt."""

    press: Callable[[], None] | None = None

    def write(self, data: Any) -> int:
        """What a signal finds under way."""
        if self.press is not None:
            self.press()
        return super().write(data) or 0


class Line:
    """Both ends of a connection."""

    def __init__(self) -> None:
        self.laptop, self.agent = socket.socketpair()
        self.sink = Sink(os.dup(self.laptop.fileno()), "w")
        self.buffer = io.BufferedWriter(self.sink)
        self.output = os.fdopen(os.dup(self.laptop.fileno()), "rb")
        self.was_cut = threading.Event()
        self.channel = Channel("server", self.buffer, self.output, 60.0, lambda: RemoteError("it ended"), self.cut)

    def cut(self) -> None:
        """End it."""
        self.was_cut.set()
        self.laptop.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close all files."""
        with suppress(OSError):  # what was interrupted is still in the buffer
            self.buffer.close()
        self.sink.close()
        for file in (self.output, self.laptop, self.agent):
            file.close()

    def serve(self, before: bytes = b"") -> None:
        """An agent's life; `before` is what a shell prints."""
        self.agent.sendall(before)
        fd = os.dup(self.agent.fileno())  # stays open: a late answer must not go to what has the same number then
        wire = _Wire(fd, fd, 60.0)
        wire.greet({"hello": {"hostname": "server"}})
        _Loop(wire, cast(Context, None)).run()
        self.agent.shutdown(socket.SHUT_RDWR)


@contextmanager
def connected(line: Line, before: bytes = b"") -> Iterator[Channel]:
    """The channel of a line, with an agent at its end."""
    agent = threading.Thread(target=line.serve, args=(before,), daemon=True)
    agent.start()
    line.channel.open(b"")
    try:
        yield line.channel
    finally:
        line.sink.press = None
        if agent.is_alive():
            line.channel.close()
        line.cut()
        agent.join(10)
        assert not agent.is_alive()
        assert line.channel._ended.wait(10)


def table(requests: Requests, *bodies: str) -> dict[str, Request]:
    """The agent's table of requests; `bodies` are those that have one."""
    return {name: Request(run, changes=False, body=name in bodies) for name, run in requests.items()}
