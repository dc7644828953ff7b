"""An HTTP server that ends well: at SIGTERM it takes no more requests and finishes those it has."""

import json
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import settings

#: A test makes this file to end the wait before the start.
START = Path("/tmp/start")


class Handler(BaseHTTPRequestHandler):
    """Answers `self.answer(method, path, body) -> (status, type, bytes)`; no log line for a healthy health check."""

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            status, kind, content = self.answer(self.command, self.path, body)
        except (OSError, ValueError) as error:
            status, kind, content = 502, "application/json", as_json({"error": f"{type(error).__name__}: {error}"})
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_PUT = do_POST = do_GET  # noqa: N815

    def log_request(self, code: object = "-", size: object = "-") -> None:
        if self.path != "/health" or str(int(code)) != "200":
            super().log_request(int(code), size)


def as_json(value: object) -> bytes:
    return json.dumps(value).encode() + b"\n"


def health() -> tuple[int, str, bytes]:
    return (200 if settings.HEALTHY else 503), "application/json", as_json({"healthy": settings.HEALTHY})


def serve(handler: type[Handler], port: int, name: str) -> None:
    if settings.CRASH:
        print(f"{name}: cannot start: the settings say so", file=sys.stderr)
        sys.exit(3)
    until = time.monotonic() + settings.START_SECONDS
    while time.monotonic() < until and not START.exists():
        time.sleep(0.05)
    server = ThreadingHTTPServer(("", port), handler)
    server.daemon_threads = False
    # shutdown() waits for the loop, which runs in this very thread: it needs one of its own
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"{name}: serving {settings.TEXT!r} on port {port}", flush=True)
    server.serve_forever(poll_interval=0.1)
    server.server_close()
    print(f"{name}: ended in good order", flush=True)
