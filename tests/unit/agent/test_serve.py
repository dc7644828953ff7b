"""What an agent was told, on a disk that is slow: in order, all of it, and with no living laptop taken for dead."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace
from typing import cast

import pytest

from allfast.agent import requests
from allfast.agent.requests import Call, Context
from allfast.agent.serve import _Loop, _Wire
from tests.unit.remote.line import Line, table

SILENCE = 0.6


class Agent:
    """An agent on a line, which carries out `put`s: each takes so many `seconds`."""

    def __init__(self, line: Line) -> None:
        self.done: list[int] = []
        self.rested: list[int] = []
        self.reached, self.died = threading.Event(), threading.Event()
        self.seconds = 0.25
        fd = os.dup(line.agent.fileno())
        self.wire = _Wire(fd, fd, SILENCE)
        self.loop = _Loop(self.wire, cast(Context, SimpleNamespace(rest=lambda: self.rested.extend(self.done))))

    def put(self, call: Call) -> None:
        """Keep a value."""
        self.reached.set()
        time.sleep(self.seconds)
        self.done.append(call.args["value"])

    def serve(self) -> bool:
        """Until the end; whether there was a goodbye."""
        self.wire.greet({"hello": {"hostname": "server"}})
        goodbye = self.loop.run()
        self.loop.rest()
        return goodbye

    def die(self, _: int) -> None:
        """In place of `os._exit`, after which a thread does nothing either."""
        self.died.set()
        threading.Event().wait()


@pytest.fixture
def line() -> Iterator[Line]:
    one = Line()
    yield one
    one.cut()
    assert one.channel._ended.wait(10)
    one.close()


@pytest.fixture
def agent(line: Line, monkeypatch: pytest.MonkeyPatch) -> Agent:
    one = Agent(line)
    monkeypatch.setattr(requests, "REQUESTS", table({"put": one.put, "done": lambda _: list(one.done)}))
    monkeypatch.setattr(os, "_exit", one.die)
    return one


def living(line: Line, over: threading.Event) -> None:
    """Send beats."""
    while not over.wait(0.1):
        line.channel._outlet.beat()


def test_a_living_laptop_is_not_taken_for_dead_on_a_slow_disk(agent: Agent, line: Line) -> None:
    over = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        pool.submit(agent.serve)
        line.channel.open(b"")
        line.channel.await_hello()
        agent.wire.watch(lambda: None)
        pool.submit(living, line, over)
        try:
            for value in range(4):
                line.channel.tell("put", {"value": value})
            assert line.channel.call("done") == list(range(4))
            assert not agent.died.is_set()
        finally:
            over.set()
            line.channel.close()
            assert agent.died.wait(10)  # of the silence after the end; no watch outlives its test


@pytest.mark.parametrize(
    ("end", "goodbye"), [(lambda line: line.channel.close(), True), (Line.cut, False)], ids=["goodbye", "cut"]
)
def test_what_was_told_is_done_before_an_agent_ends(
    end: Callable[[Line], None], goodbye: bool, agent: Agent, line: Line
) -> None:
    agent.seconds = 0.1
    with ThreadPoolExecutor(1) as pool:
        serving: Future[bool] = pool.submit(agent.serve)
        line.channel.open(b"")
        for value in range(3):
            line.channel.tell("put", {"value": value})
        assert agent.reached.wait(10)
        end(line)
        assert serving.result(10) is goodbye
    assert agent.rested == list(range(3))
