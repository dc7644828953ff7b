"""The real command line, with a list of what it asked of the agent: `python -m chaos.witness FILE ARGUMENTS...`.

Each line of FILE is the time (epoch seconds) and the name of a request that changes something.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from allfast.agent.requests import REQUESTS
from allfast.cli import app
from allfast.remote.channel import Channel


def install(file: Path) -> None:
    """Write each request down before it goes out."""
    send = Channel._send

    def sent(self: Channel, message: dict[str, Any], body: Any = None) -> None:
        request = REQUESTS.get(message["request"])
        if request is not None and request.changes:
            with file.open("a") as out:
                out.write(f"{time.time():.6f} {message['request']}\n")
        send(self, message, body)

    Channel._send = sent  # type: ignore[method-assign]


if __name__ == "__main__":
    install(Path(sys.argv[1]))
    app(sys.argv[2:], prog_name="allfast")
