"""The worker: tells in Redis, ten times a second, who it is, until SIGTERM; /tmp/works is there once it did."""

import json
import os
import pathlib
import signal
import threading

import commit
import settings
from redis import redis

ending = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: ending.set())
print(f"worker: working as {settings.WORKER_TEXT!r}", flush=True)
beat = 0
while not ending.wait(0.1):
    beat += 1
    redis(
        "SET",
        "worker",
        json.dumps({"text": settings.WORKER_TEXT, "commit": commit.COMMIT, "host": os.uname().nodename, "beat": beat}),
    )
    pathlib.Path("/tmp/works").touch()
print("worker: ended in good order", flush=True)
