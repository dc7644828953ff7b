"""A small HTTP client that never retries anything: HTTP/1.1, event streams and WebSockets on asyncio streams.

All methods raise `OSError`, `EOFError`, `TrafficError` or `TimeoutError` when the other side does not do as it must.
"""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache

PATIENCE = 20.0


class TrafficError(Exception):
    """The other side answered, but not as it must."""


@dataclass(frozen=True)
class Target:
    """Where to connect to, which host to ask for ("" as the address), and the authority (PEM) that HTTPS is checked by.

    Without one it is plain HTTP.
    """

    address: str
    port: int
    host: str = ""
    root: str = ""

    @property
    def authority(self) -> str:
        """The Host header."""
        return self.host or f"{self.address}:{self.port}"

    async def connect(self, protocol: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect; with HTTPS agree on `protocol` (ALPN)."""
        name = (self.host or self.address) if self.root else None
        tls = _tls(self.root, protocol) if self.root else None
        work = asyncio.open_connection(self.address, self.port, ssl=tls, server_hostname=name)
        reader, writer = await asyncio.wait_for(work, PATIENCE)
        agreed: ssl.SSLObject | None = writer.get_extra_info("ssl_object")
        if agreed is not None and agreed.selected_alpn_protocol() != protocol:
            await hang_up(writer)
            raise TrafficError(f"the server does not speak {protocol}")
        return reader, writer


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """Close a connection, and wait a moment for the other side to see it."""
    writer.close()
    with suppress(OSError, TimeoutError):
        await asyncio.wait_for(writer.wait_closed(), 1)


@cache
def _tls(root: str, protocol: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=root)
    context.set_alpn_protocols([protocol])
    return context


@dataclass(frozen=True)
class Reply:
    """An answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


class Connection:
    """One connection, one request at a time."""

    def __init__(self, target: Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._target = target
        self._reader = reader
        self._writer = writer
        self._ended = False

    @classmethod
    async def open(cls, target: Target) -> Connection:
        """Connect."""
        return cls(target, *await target.connect("http/1.1"))

    @property
    def ended(self) -> bool:
        """Whether the other side has said that this connection is at its end."""
        return self._ended or self._reader.at_eof()

    async def settle(self) -> None:
        """Take notice of what the other side has said since the last answer."""
        await asyncio.sleep(0)

    async def aclose(self) -> None:
        """Hang up."""
        await hang_up(self._writer)

    async def ask(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Reply:
        """One request and its whole answer."""
        return await asyncio.wait_for(self._ask(method, path, body, headers or {}), PATIENCE)

    async def _ask(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        length = {"Content-Length": str(len(body))} if body or method != "GET" else {}
        self._send(method, path, {**length, **headers})
        for start in range(0, len(body), 1 << 16):
            if self._writer.is_closing():
                raise EOFError("the connection was ended within the body")
            self._writer.write(body[start : start + (1 << 16)])
            await self._writer.drain()
        reply = await self._head()
        found = b"".join([piece async for piece in self._body(reply)])
        self._ended = self._ended or reply.headers.get("connection", "").lower() == "close"
        return Reply(reply.status, reply.headers, found)

    async def events(self, path: str) -> AsyncIterator[bytes]:
        """The data of the events of a stream, until the server ends it in good order."""
        self._send("GET", path, {"Accept": "text/event-stream"})
        reply = await asyncio.wait_for(self._head(), PATIENCE)
        if reply.status != 200 or not reply.headers.get("content-type", "").startswith("text/event-stream"):
            raise TrafficError(f"no event stream but {reply.status}")
        text = b""
        body = self._body(reply)
        while True:
            try:
                text += await asyncio.wait_for(anext(body), PATIENCE)
            except StopAsyncIteration:
                return
            *events, text = text.split(b"\n\n")
            for event in events:
                yield b"\n".join(line[6:] for line in event.split(b"\n") if line.startswith(b"data: "))

    async def frames(self, path: str, pace: float = 0.1) -> AsyncIterator[bytes]:
        """What a WebSocket answers to a text frame every `pace` seconds, until the server ends it between two."""
        key = base64.b64encode(os.urandom(16)).decode()
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        self._send("GET", path, {**upgrade, "Sec-WebSocket-Key": key})
        reply = await asyncio.wait_for(self._head(), PATIENCE)
        if reply.status != 101:
            raise TrafficError(f"no WebSocket but {reply.status}")
        while True:
            self._writer.write(b"\x81\x84" + bytes(4) + b"ping")  # final, text; masked by zeros; four bytes
            try:
                opcode, data = await asyncio.wait_for(self._frame(), PATIENCE)
            except asyncio.IncompleteReadError as error:
                if not error.partial:
                    return  # its process has ended between two frames
                raise
            if opcode == 8:
                code = struct.unpack(">H", data[:2])[0] if len(data) >= 2 else 1005
                if code == 1000:
                    return
                raise TrafficError(f"the WebSocket was closed with code {code}")
            yield data
            await asyncio.sleep(pace)

    async def _frame(self) -> tuple[int, bytes]:
        first, size = await self._reader.readexactly(2)
        if size == 126:
            (size,) = struct.unpack(">H", await self._reader.readexactly(2))
        return first & 0x0F, await self._reader.readexactly(size)

    def _send(self, method: str, path: str, headers: Mapping[str, str]) -> None:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self._target.authority}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._writer.write("\r\n".join([*lines, "", ""]).encode())

    async def _head(self) -> Reply:
        text = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = text.strip().split("\r\n")
        pairs = (line.partition(":") for line in lines)
        return Reply(int(first.split()[1]), {name.strip().lower(): value.strip() for name, _, value in pairs})

    async def _body(self, reply: Reply) -> AsyncIterator[bytes]:
        if reply.headers.get("transfer-encoding", "").lower() == "chunked":
            while size := int(await self._reader.readuntil(b"\r\n"), 16):
                yield await self._reader.readexactly(size)
                await self._reader.readexactly(2)
            await self._reader.readexactly(2)
        elif "content-length" in reply.headers:
            left = int(reply.headers["content-length"])
            yield await self._reader.readexactly(left)
        else:
            self._ended = True
            while piece := await self._reader.read(1 << 16):
                yield piece
