"""A program of the standard library alone that answers what testbed/traffic.py asks, with its own name in each answer.

    python3 responder.py NAME [PORT]        (with API=URL in the environment: also what the api there calls itself)

`/` and every other path: the name, and the request's path and headers, as JSON · `/slow?2`: the same after 2 s ·
`/events`: an event stream · `/ws`: a WebSocket that answers each text frame · POST: its SHA-256 as a header.
"""

import base64
import hashlib
import json
import os
import sys
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455
NAME = sys.argv[1] if len(sys.argv) > 1 else "responder"


def who() -> dict[str, str]:
    """Our name, and the api's where there is one."""
    if "API" not in os.environ:
        return {"name": NAME}
    with urllib.request.urlopen(os.environ["API"], timeout=10) as reply:
        return {"name": NAME, "api": json.load(reply)["name"]}


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer by path."""
        path, _, query = self.path.partition("?")
        if path.endswith("/events"):
            return self.events()
        if path.endswith("/ws"):
            return self.frames()
        if path.endswith("/slow"):
            time.sleep(min(30.0, float(query)))
        return self.tell({})

    def do_POST(self) -> None:
        """Take the body and tell its digest."""
        left, digest = int(self.headers.get("Content-Length") or 0), hashlib.sha256()
        while left:
            piece = self.rfile.read(min(left, 1 << 16))
            if not piece:
                return
            digest.update(piece)
            left -= len(piece)
        self.tell({"X-Sha256": digest.hexdigest()})

    def tell(self, headers: dict[str, str]) -> None:
        """The usual answer."""
        heard = {**who(), "path": self.path, "headers": {k.lower(): v for k, v in self.headers.items()}}
        body = json.dumps({**heard, "padding": "-" * 2000 if "padded" in self.path else ""}).encode()
        self.send_response(200)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def events(self) -> None:
        """An event every tenth of a second, for ever."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        while True:
            self.wfile.write(b"data: %s\n\n" % json.dumps(who()).encode())
            self.wfile.flush()
            time.sleep(0.1)

    def frames(self) -> None:
        """A WebSocket: short text frames, each answered with the name."""
        accept = hashlib.sha1((self.headers["Sec-WebSocket-Key"] + GUID).encode()).digest()
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(accept).decode())
        self.end_headers()
        self.close_connection = True
        while head := self.rfile.read(2):
            if head[0] & 0x0F == 8:
                return
            self.rfile.read(4 + (head[1] & 0x7F))  # the mask and the text
            text = json.dumps(who()).encode()
            self.wfile.write(bytes([0x81, len(text)]) + text)
            self.wfile.flush()

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """No line for each request."""


class Server(ThreadingHTTPServer):
    """Quiet about clients that hang up."""

    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Only what is no broken connection."""
        if not isinstance(sys.exc_info()[1], OSError):
            TCPServer.handle_error(self, request, client_address)  # type: ignore[arg-type]


if __name__ == "__main__":
    Server(("", int(sys.argv[2]) if len(sys.argv) > 2 else 8000), Handler).serve_forever()
