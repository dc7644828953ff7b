"""A line in front of a server's SSH, as a relay on a loopback port: counted, and slow, long, cut or frozen at will.

The rate is that of the whole line in each direction, shared by its connections; the delay comes on top of each
round trip, half of it on each way. Both ends speak TCP to the relay and not to each other, so what a long line does to
one TCP connection (slow start, windows, losses) is not in it: only bytes, rate and delay are.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import struct
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Literal

from testbed.common import state_folder
from testbed.server import Server

BLOCK = 1 << 18
#: A shaped line hands on what it carries in this many seconds at a time.
GRAIN = 0.005
#: Blocks that are under way in one direction of a connection; more are not read from the sender.
UNDER_WAY = 64
#: Of the relay's ends: a sender shall not think that megabytes have gone which only lie in the kernel.
KERNEL_BUFFER = 1 << 18


class Lane:
    """One direction of the line."""

    def __init__(self) -> None:
        self.passed = 0  # bytes
        self._free = 0.0  # when the line will have carried what was given to it
        self._mutex = threading.Lock()

    def leaves(self, size: int, rate: float | None) -> float:
        """When (monotonic seconds) the last of `size` more bytes has gone onto the line of `rate` bits a second."""
        with self._mutex:
            now = time.monotonic()
            self._free = max(now, self._free) + (size * 8 / rate if rate else 0.0)
            return self._free


class Link:
    """The line to a loopback `port`; a context, whose end ends all connections.

    Attributes:
        rate: bits a second in each direction, None without a limit; may be changed at any time.
        delay: seconds that are added to a round trip; may be changed at any time.
        up, down: bytes that have passed so far, to the server and from it, of all connections.
        cuts: how often the line was cut.
    """

    def __init__(self, port: int, *, rate: float | None = None, delay: float = 0.0) -> None:
        self.rate, self.delay, self.cuts = rate, delay, 0
        self._target = port
        self._up, self._down = Lane(), Lane()
        self._state = threading.Condition()
        self._connections: set[_Connection] = set()
        self._stalled = False
        self._limit: tuple[int, Literal["cut", "stall"]] | None = None
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_BUFFER)
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def __enter__(self) -> Link:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    @property
    def up(self) -> int:
        """Bytes that have gone to the server."""
        return self._up.passed

    @property
    def down(self) -> int:
        """Bytes that have come from the server."""
        return self._down.passed

    def ssh_config(self, server: Server) -> Path:
        """For `ssh -F`: the server's own names and keys, by way of this line (whose target must be its port 22)."""
        file = state_folder("servers", server.name) / f"config-{self.port}"
        file.write_text(
            f"Host {server.name} {server.name}-*\n"
            f"Port {self.port}\n"
            f"HostKeyAlias [127.0.0.1]:{server.port(22)}\n"
            f'Host *\nInclude "{server.ssh_config}"\n'
        )
        return file

    # Trouble

    def cut(self) -> None:
        """End all connections now; new ones are taken."""
        with self._state:
            self._cut()

    def cut_after(self, count: int) -> None:
        """Once: cut the line when that many more bytes have gone to the server; not one more arrives."""
        self._set_limit(count, "cut")

    def stall(self, after: int = 0) -> None:
        """Freeze the line when that many more bytes have gone to the server: connections stay, and nothing passes."""
        self._set_limit(after, "stall")

    def go_on(self) -> None:
        """End a stall, and forget a limit that was not reached."""
        with self._state:
            self._stalled, self._limit = False, None
            self._state.notify_all()

    @property
    def stalled(self) -> bool:
        """Does nothing pass at present?"""
        return self._stalled

    def close(self) -> None:
        """End all connections and take no more."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        with self._state:
            for connection in tuple(self._connections):
                connection.end()
                connection.drop()
            self._state.notify_all()

    # What connections ask

    def room(self, lane: Lane, wanted: int, connection: _Connection) -> int:
        """How many of `wanted` bytes may pass now, which are counted; waits while the line is frozen. 0: it is cut."""
        with self._state:
            while self._stalled and not connection.ended.is_set():
                self._state.wait()
            if connection.ended.is_set():
                return 0
            if lane is self._up and self._limit:
                wanted = min(wanted, self._limit[0] - lane.passed)
            lane.passed += wanted
            return wanted

    def after(self, lane: Lane) -> None:
        """Some bytes have passed: is the limit reached?"""
        if lane is self._up and self._limit:
            with self._state:
                self._act()

    def forget(self, connection: _Connection) -> None:
        """It has ended by itself."""
        with self._state:
            self._connections.discard(connection)

    def _set_limit(self, count: int, what: Literal["cut", "stall"]) -> None:
        with self._state:
            self._limit = (self._up.passed + count, what)
            self._act()

    def _act(self) -> None:
        if self._limit is None or self._up.passed < self._limit[0]:
            return
        what, self._limit = self._limit[1], None
        if what == "cut":
            self._cut()
        else:
            self._stalled = True

    def _cut(self) -> None:
        self.cuts += 1
        for connection in tuple(self._connections):
            connection.end()
        self._state.notify_all()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target), timeout=10)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            connection = _Connection(self, client, server)
            with self._state:
                self._connections.add(connection)
            connection.start(self._up, self._down)


class _Connection:
    """One connection through the line: a reader and a writer in each direction, and between them what is under way."""

    def __init__(self, link: Link, client: socket.socket, server: socket.socket) -> None:
        self.ended = threading.Event()
        self._link, self._client, self._server = link, client, server
        self._left = 2  # directions that have not ended
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def start(self, up: Lane, down: Lane) -> None:
        """Begin to carry."""
        for lane, source, sink in ((up, self._client, self._server), (down, self._server, self._client)):
            way: queue.Queue[tuple[float, bytes]] = queue.Queue(UNDER_WAY)
            threading.Thread(target=self._read, args=(lane, source, way), daemon=True).start()
            threading.Thread(target=self._write, args=(lane, sink, way), daemon=True).start()

    def end(self) -> None:
        """Cut: the client sees an end or a reset, the server reads what has passed and then the end."""
        if self.ended.is_set():
            return
        self.ended.set()
        with contextlib.suppress(OSError):
            # A client that waits for room in our buffers would go on waiting after an orderly end
            self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._client.shutdown(socket.SHUT_RDWR)
            self._client.close()
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_WR)  # it is read on, and thrown away, until it ends

    def drop(self) -> None:
        """Wait for nothing more from the server."""
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)

    def _read(self, lane: Lane, source: socket.socket, way: queue.Queue[tuple[float, bytes]]) -> None:
        """Take from the sender no faster than the line carries."""
        with contextlib.suppress(OSError):
            while data := source.recv(self._block()):
                leaves = lane.leaves(len(data), self._link.rate)
                self.ended.wait(max(0.0, leaves - time.monotonic() - GRAIN))
                way.put((leaves + self._link.delay / 2, data))
        way.put((time.monotonic() + self._link.delay / 2, b""))

    def _block(self) -> int:
        rate = self._link.rate
        return max(1500, min(BLOCK, int(rate / 8 * GRAIN))) if rate else BLOCK

    def _write(self, lane: Lane, sink: socket.socket, way: queue.Queue[tuple[float, bytes]]) -> None:
        """Give to the receiver what has arrived; after the end, or a cut, only take away what is under way."""
        while True:
            arrives, data = way.get()
            if not data:
                break
            self.ended.wait(max(0.0, arrives - time.monotonic()))
            self._give(lane, sink, memoryview(data))
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
        with self._link._state:
            self._left -= 1
            last = not self._left
        if last:
            self._link.forget(self)
            self._client.close()
            self._server.close()

    def _give(self, lane: Lane, sink: socket.socket, data: memoryview) -> None:
        while data and (count := self._link.room(lane, len(data), self)):
            try:
                sink.sendall(data[:count])
            except OSError:
                return self.end()
            data = data[count:]
            self._link.after(lane)
        return None
