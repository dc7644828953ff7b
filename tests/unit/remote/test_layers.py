"""Layers on their way to an agent that refuses batches, or takes its time: the sender is told, or can be stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from allfast.agent import requests
from allfast.agent.protocol import AgentError, Kind
from allfast.agent.receive import WINDOW
from allfast.agent.requests import Call
from allfast.errors import AllfastError, LockLostError, RemoteError
from allfast.remote import layers
from allfast.remote.channel import Channel
from allfast.remote.hearing import Work, Works
from allfast.remote.layers import Arrival, GoOn, LayerRequests
from tests.unit.remote.line import Line, connected, table

LAYER = "sha256:" + "1" * 64
BATCH = b"batch"


class Agent:
    """It works on everything until it is told that no more of a layer comes, or the test is over."""

    def __init__(self) -> None:
        self.refusal: AgentError | None = None
        self.batches: list[bytes] = []
        self.over = threading.Event()
        self.noted: list[dict[str, Any]] = []  # at once
        self.more: list[dict[str, Any]] = []  # when it `may`
        self.may = threading.Event()

    def work(self, call: Call) -> dict[str, Any]:
        """Until the end."""
        for note in self.noted:
            call.note(note)
        if self.more:
            assert self.may.wait(30)
        for note in self.more:
            call.note(note)
        assert self.over.wait(30)
        return {"damaged": [], "refused": "", "image": None}

    def batch(self, call: Call) -> None:
        """Take a batch, if it is not refused."""
        if self.refusal is not None:
            raise self.refusal
        assert call.body is not None
        self.batches.append(call.body.read())
        if not self.batches[-1]:
            self.over.set()


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Agent]:
    one = Agent()
    known = dict.fromkeys(("receive_layer", "warm_layer", "layer_index", "load_image"), one.work)
    monkeypatch.setattr(requests, "REQUESTS", table({**known, "layer_batch": one.batch}, "layer_batch"))
    yield one
    one.over.set()


@pytest.fixture
def channel(agent: Agent, line: Line) -> Iterator[Channel]:
    with connected(line) as one:
        yield one
        agent.over.set()


def ends(work: Callable[[], object]) -> BaseException | None:
    """What a work raises, in a thread that does not outlive a test that hangs."""
    found: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - whatever it is
            found.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive(), "it waits for ever"
    return found[0] if found else None


def sending(channel: Channel, count: int, go_on: Callable[[], None] = lambda: None) -> Callable[[], object]:
    """Sends a layer of so many batches."""
    arrival = Arrival(LAYER, 1000, 0, "zlib")
    return lambda: LayerRequests(channel).receive(arrival, [BATCH] * count, lambda _: None, go_on)


@pytest.mark.parametrize("count", [1, 2 * WINDOW], ids=["for the answer", "for room"])
@pytest.mark.parametrize(
    ("kind", "error"), [(Kind.LOCK_LOST, LockLostError), (Kind.INTERNAL, RemoteError)], ids=["lock", "other"]
)
def test_a_batch_that_is_refused_ends_the_sending(
    count: int, kind: str, error: type[AllfastError], channel: Channel, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The receiver never hears of it, and waits; where it was the lock, so is the connection for all others."""
    monkeypatch.setattr(layers, "GRACE", 0.1)
    agent.refusal = AgentError(kind, "the lock was removed, say")
    caught = ends(sending(channel, count))
    assert type(caught) is error
    assert "the lock was removed" in str(caught)
    if kind == Kind.LOCK_LOST:
        with pytest.raises(LockLostError):
            channel.check()


class Unwanted(Exception):  # noqa: N818 - nothing went wrong
    """It is not wanted any more."""


def refuse() -> None:
    """In place of what lets a waiting go on."""
    raise Unwanted


@pytest.mark.parametrize("count", [1, 2 * WINDOW], ids=["for the answer", "for room"])
def test_who_waits_for_a_layer_to_be_made_can_be_stopped(count: int, channel: Channel, agent: Agent) -> None:
    """As while the server reads a base from its engine. It is told that no more comes, and seen done with the layer."""
    assert isinstance(ends(sending(channel, count, refuse)), Unwanted)
    assert agent.over.is_set()
    assert agent.batches[-1] == b""


@pytest.mark.parametrize("request_", [LayerRequests.warm, LayerRequests.index])
def test_who_waits_for_one_request_can_be_stopped(request_: Callable[..., object], channel: Channel) -> None:
    """As while the server reads a layer from its engine, or makes an index of one."""
    assert isinstance(ends(lambda: request_(LayerRequests(channel), LAYER, refuse)), Unwanted)


def test_one_that_is_not_stopped_waits(channel: Channel, agent: Agent) -> None:
    asked: list[bool] = []

    def go_on() -> None:
        asked.append(True)
        agent.over.set()

    assert ends(sending(channel, 1, go_on)) is None
    assert ends(lambda: LayerRequests(channel).warm(LAYER, go_on)) is None
    assert asked


READING = {"work": "reading", "done": 3, "total": 9, "seconds": 1.5}
WORK = Work("reading", 3, 9, 1.5)
Asked = Callable[[LayerRequests, GoOn, Works], object]
ASKED: dict[str, Asked] = {
    "warm": lambda asking, go_on, works: asking.warm(LAYER, go_on, works),
    "load": lambda asking, _, works: asking.load(b"{}", [], [], 0, works),
    "receive": lambda asking, go_on, works: asking.receive(
        Arrival(LAYER, 1000, 0, "zlib"), [BATCH], lambda _: None, go_on, works
    ),
}


@pytest.mark.parametrize("what", ASKED)
def test_what_the_server_is_at_is_heard_by_who_waits(what: str, channel: Channel, agent: Agent) -> None:
    heard: list[Work] = []

    def works(work: Work) -> None:
        heard.append(work)
        agent.over.set()

    agent.noted = [READING]
    assert ends(lambda: ASKED[what](LayerRequests(channel), lambda: None, works)) is None
    assert heard == [WORK, replace(WORK, over=True)]


def test_a_batch_that_is_carried_out_ends_what_was_before_it(channel: Channel, agent: Agent) -> None:
    """A base is read, and the layer goes on."""
    heard: list[Work] = []
    made: list[int] = []

    def works(work: Work) -> None:
        heard.append(work)
        (agent.over if work.over else agent.may).set()

    agent.noted, agent.more = [READING], [{"at": 500}]
    arrival = Arrival(LAYER, 1000, 0, "zlib")
    asking = LayerRequests(channel)
    assert ends(lambda: asking.receive(arrival, [BATCH], made.append, lambda: None, works)) is None
    assert heard == [WORK, replace(WORK, over=True)]
    assert made == [500]


@pytest.mark.parametrize("what", ["warm", "receive"])
def test_who_waits_no_more_hears_that_it_is_over_and_no_more(
    what: str, channel: Channel, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent is still at work on it, and notes that."""
    monkeypatch.setattr(layers, "GRACE", 0.1)
    heard: list[Work] = []
    agent.noted = agent.more = [READING]

    def go_on() -> None:
        if heard:
            raise Unwanted

    assert isinstance(ends(lambda: ASKED[what](LayerRequests(channel), go_on, heard.append)), Unwanted)
    agent.may.set()
    agent.over.set()
    channel.call("layer_index", {"layer": LAYER})
    assert heard == [WORK, replace(WORK, over=True)]


@pytest.mark.parametrize("what", ["warm", "receive"])
def test_whatever_goes_wrong_with_the_answer_ends_the_wait(
    what: str, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else could tell who waits."""

    def fail(*_: object, **__: object) -> None:
        raise MemoryError("an answer that is too large")

    asking = LayerRequests(channel)
    with monkeypatch.context() as patched, pytest.raises(MemoryError, match="too large"):
        patched.setattr(channel, "call", fail)
        if what == "warm":
            asking.warm(LAYER, lambda: None)
        else:
            asking.receive(Arrival(LAYER, 10, 0, "zlib"), [], lambda _: None, lambda: None)
