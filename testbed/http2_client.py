"""HTTP/2 for the load: one connection, one request at a time, and never a second try."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, ResponseReceived, StreamEnded, StreamReset
from h2.exceptions import ProtocolError

from testbed.http_client import PATIENCE, Reply, Target, TrafficError, hang_up

#: A frame's head: three bytes of its length, its type, its flags, four bytes of its stream (RFC 9113, 4.1).
HEAD = 9
GOAWAY = 7


class Http2Connection:
    """As `http_client.Connection`; over TLS it insists on h2, without TLS it speaks it at once (prior knowledge)."""

    def __init__(self, target: Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._target = target
        self._reader = reader
        self._writer = writer
        self._protocol = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self._protocol.initiate_connection()
        self._ended = False
        self._last_stream = 1 << 31  # that the server will answer
        self._unread = b""
        self._pending: list[Event] = []

    @classmethod
    async def open(cls, target: Target) -> Http2Connection:
        """Connect."""
        return cls(target, *await target.connect("h2"))

    @property
    def ended(self) -> bool:
        """Whether the other side has said that it takes no more requests here."""
        return self._ended or self._reader.at_eof()

    async def aclose(self) -> None:
        """Hang up."""
        await hang_up(self._writer)

    async def settle(self) -> None:
        """Take notice of what the other side has said since the last answer."""
        while not self.ended:
            try:
                await asyncio.wait_for(self._receive(), 0.001)
            except (OSError, EOFError, ProtocolError):  # time is over; or it is broken, as the next request will find
                return

    async def ask(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Reply:
        """One request and its whole answer."""
        try:
            return await asyncio.wait_for(self._ask(method, path, body, headers or {}), PATIENCE)
        except ProtocolError as error:
            raise TrafficError(f"against the protocol: {error}") from error

    async def _ask(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        stream = self._protocol.get_next_available_stream_id()
        scheme = "https" if self._target.root else "http"
        first = {":method": method, ":path": path, ":authority": self._target.authority, ":scheme": scheme}
        self._protocol.send_headers(stream, [*first.items(), *headers.items()], end_stream=not body)
        if body:
            self._protocol.send_data(stream, body, end_stream=True)
        self._flush()
        status, found, content = 0, dict[str, str](), bytearray()
        while True:
            for event in await self._events():
                if isinstance(event, ResponseReceived):
                    found = {_text(name): _text(value) for name, value in event.headers or []}
                    status = int(found.pop(":status"))
                elif isinstance(event, DataReceived):
                    content += event.data or b""
                elif isinstance(event, StreamReset):
                    raise TrafficError(f"the stream was reset with code {event.error_code}")
                elif isinstance(event, StreamEnded):
                    return Reply(status, found, bytes(content))
            if self._last_stream < stream:
                raise TrafficError("the connection was ended (GOAWAY) below the request")

    async def _events(self) -> list[Event]:
        if not self._pending:
            await self._receive()
        events, self._pending = self._pending, []
        return events

    async def _receive(self) -> None:
        data = await self._reader.read(1 << 16)
        if not data:
            self._ended = True
            raise EOFError("the connection was ended")
        for event in (event for frame in self._frames(data) for event in self._protocol.receive_data(frame)):
            if isinstance(event, DataReceived):
                self._protocol.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
            self._pending.append(event)
        self._flush()

    def _frames(self, data: bytes) -> Iterator[bytes]:
        """The whole frames but GOAWAY: h2 refuses all that comes after it, also the answers that it promises."""
        self._unread += data
        while len(self._unread) >= (size := HEAD + int.from_bytes(self._unread[:3])):
            frame, self._unread = self._unread[:size], self._unread[size:]
            if frame[3] == GOAWAY:
                self._ended, self._last_stream = True, int.from_bytes(frame[HEAD : HEAD + 4]) & 0x7FFFFFFF
            else:
                yield frame

    def _flush(self) -> None:
        self._writer.write(self._protocol.data_to_send())


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode()
