"""The laptop of a case: the real command line, to which something happens at one place of one journal step.

    python -m chaos.laptop STEP[#N] PLACE ARGUMENTS...

PLACE is `before` (nothing is in the journal yet), `in` (the step is in the journal, and its first change was asked for:
nobody waits for the answer), or `after` (all its changes are made, the journal does not know). STEP is a step's name,
`#2` is the second one of that name, and `end of run` stands for the record of the run's end.

What happens is SIGKILL, or the shell command of CHAOS_DO, after which this process goes on.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from allfast.agent import engine
from allfast.agent.engine import Engine
from allfast.agent.requests import REQUESTS
from allfast.cli import app
from allfast.engines import compose
from allfast.engines.compose import ComposeEngine
from allfast.remote.channel import Channel
from allfast.remote.server import Server

END = "end of run"
#: Requests that belong to the journal, or to a lock of its own: none is a step's change.
NO_CHANGE = {"begin_step", "end_step", "add_phase", "proxy_lock", "proxy_unlock"}


def die() -> None:
    """End this process as `kill -9` does."""
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()  # another thread may be the one that the signal finds first


class Killer:
    """Knows where the process is to die, and whether it is there."""

    def __init__(self, step: str, place: str) -> None:
        name, _, number = step.partition("#")
        self._name, self._left, self._place = name, int(number or 1), place
        self._do = os.environ.get("CHAOS_DO", "")
        self.armed = False  # within the step, and its first change is what is waited for

    @contextmanager
    def around(self, name: str, made: Callable[[], Any]) -> Iterator[None]:
        """A step of that name, which `made` puts into the journal."""
        self._left -= name == self._name
        here = name == self._name and self._left == 0
        if here and self._place == "before":
            self.now()
        with made():
            self.armed |= here and self._place == "in"  # steps may lie beside one another
            yield
            if here and (self.armed or self._place == "after"):
                self.now()  # also where the step had nothing to change

    def asked(self, method: str) -> None:
        """A request has gone out."""
        if self.armed and method != "GET":
            self.now()

    def now(self) -> None:
        """Have it happen, once."""
        self.armed = False
        if not self._do:
            die()
        subprocess.run(["bash", "-c", self._do], check=False, stdout=subprocess.DEVNULL)


def install(killer: Killer) -> None:
    """Put the killer where steps are made and where changes are asked for."""
    step, end_run, send, exchange, run = (
        Server.step,
        Server.end_run,
        Channel._send,
        engine._exchange,
        ComposeEngine._compose,
    )

    @contextmanager
    def stepped(self: Server, name: str, detail: Mapping[str, Any] | None = None) -> Iterator[None]:
        with killer.around(name, lambda: step(self, name, detail)):
            yield

    @contextmanager
    def nothing() -> Iterator[None]:
        yield

    def ended(self: Server, *args: Any, **more: Any) -> None:
        with killer.around(END, nothing):
            end_run(self, *args, **more)

    def sent(self: Channel, message: dict[str, Any], body: Any = None) -> None:
        send(self, message, body)
        request = REQUESTS.get(message["request"])
        if request is not None and request.changes and message["request"] not in NO_CHANGE:
            killer.asked("POST")

    def exchanged(connection: Any, method: str, url: str, body: Any, headers: dict[str, str]) -> Any:
        if killer.armed and method != "GET":
            if "CHAOS_DO" not in os.environ:  # what goes on asks as always, once it has happened
                chunked = "Transfer-Encoding" in headers
                connection.request(method, url, body=body, headers=headers, encode_chunked=chunked)
            killer.asked(method)
        return exchange(connection, method, url, body, headers)

    def composed(self: ComposeEngine, words: Any, document: str, meanwhile: Callable[[], object]) -> None:
        there = states(self._api.engine) if killer.armed else set()

        def look() -> None:
            if killer.armed and states(self._api.engine) != there:
                killer.now()  # Compose has begun to change something, and is left alone with it
            meanwhile()

        run(self, words, document, look)

    Server.step, Server.end_run = stepped, ended  # type: ignore[method-assign]
    Channel._send, engine._exchange, ComposeEngine._compose = sent, exchanged, composed  # type: ignore[method-assign]
    compose.POLL_SECONDS = 0.02


def states(api: Engine) -> set[tuple[str, str]]:
    """The server's networks, and its containers and what they do."""
    networks = {(one["Id"], "") for one in api.get("/networks")}
    return networks | {(one["Id"], one["State"]) for one in api.get("/containers/json", all=True)}


if __name__ == "__main__":
    install(Killer(sys.argv[1], sys.argv[2]))
    app(sys.argv[3:], prog_name="allfast")
