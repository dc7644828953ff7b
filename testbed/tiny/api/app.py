"""The api. `/kv/KEY` is kept in Redis, `/file/NAME` in the named volume; `/api` may stand before each path."""

import json
import os
from pathlib import Path

import commit
import serving
import settings
from redis import redis

UPLOADS = Path("/data")
GREETING = Path("/config/greeting.txt")


def info() -> dict[str, object]:
    own = {
        "text": settings.TEXT,
        "commit": commit.COMMIT,
        "host": os.uname().nodename,
        "greeting": GREETING.read_text().strip(),
        "env": {name: value for name, value in sorted(os.environ.items()) if name.startswith("TINY_")},
    }
    return {
        "api": own,
        "worker": json.loads(redis("GET", "worker") or "null"),
        "migrations": int(redis("GET", "migrations") or 0),
    }


def stored(kind: str, name: str) -> bytes | None:
    if kind == "kv":
        return redis("GET", f"kv:{name}")
    path = UPLOADS / Path(name).name
    return path.read_bytes() if path.exists() else None


def store(kind: str, name: str, content: bytes) -> None:
    if kind == "kv":
        redis("SET", f"kv:{name}", content)
    else:
        (UPLOADS / Path(name).name).write_bytes(content)


class Api(serving.Handler):
    def answer(self, method: str, path: str, body: bytes) -> tuple[int, str, bytes]:
        path = path.removeprefix("/api")
        if path == "/health":
            return serving.health()
        if path == "/version":
            return 200, "application/json", serving.as_json({"commit": commit.COMMIT})
        if path == "/info":
            return 200, "application/json", serving.as_json(info())
        kind, _, name = path.removeprefix("/").partition("/")
        if kind not in ("kv", "file") or not name:
            return 404, "application/json", serving.as_json({"error": "no such path"})
        if method != "GET":
            store(kind, name, body)
        content = stored(kind, name)
        return (404 if content is None else 200), "text/plain", content or b""


serving.serve(Api, 8000, "api")
