"""The laptop's end of a connection with a real agent's loop at the other: threads, interrupts, what is told."""

import io
import random
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from allfast.agent import requests
from allfast.agent.protocol import AgentError, Kind
from allfast.agent.requests import Call
from allfast.errors import LockLostError, RemoteError
from allfast.remote import channel as remote_channel
from allfast.remote.call import Call as RemoteCall
from allfast.remote.channel import Channel
from allfast.remote.failures import AgentRefusal
from allfast.remote.server import Server
from tests.unit.remote.line import Line, connected, table

#: More than the buffer before the wire has room for, however well it is compressed.
LARGE = random.Random(1).randbytes(200_000).hex()


class Agent:
    """What the agent of these tests carries out."""

    def __init__(self) -> None:
        self.done: list[Any] = []
        self.slow = 0.0
        self.go = threading.Event()
        self.noted = threading.Event()

    def put(self, call: Call) -> None:
        """Keep a value; -1 fails, -2 finds the lock lost, both when they may."""
        time.sleep(self.slow)  # a thread of its own would be overtaken
        if call.args["value"] < 0:
            assert self.go.wait(10)
        if call.args["value"] == -1:
            raise AgentError(Kind.DISK_FULL, "no room")
        if call.args["value"] == -2:
            raise AgentError(Kind.LOCK_LOST, "it was replaced")
        self.done.append(call.args["value"])

    def echo(self, call: Call) -> Any:
        """The arguments, and what has been done."""
        call.note({"half": True})
        return [call.args, list(self.done), call.body.read().hex() if call.body else ""]

    def slow_one(self, call: Call) -> None:
        """It notes something when it may."""
        assert self.go.wait(10)
        call.note({"late": True})
        self.noted.set()

    def refuse(self, call: Call) -> None:
        """A failure of its own."""
        raise AgentError(Kind.NOT_FOUND, "not there")


class Pressed(dict[str, Any]):
    """Arguments at which Ctrl-C is pressed, while they are encoded."""

    def items(self) -> Any:
        """Where the encoder looks."""
        raise KeyboardInterrupt


class Torn(io.BytesIO):
    """A body in the middle of which Ctrl-C is pressed."""

    def read(self, size: int | None = -1) -> bytes:
        """The first piece, and no other."""
        if self.tell():
            raise KeyboardInterrupt
        return super().read(100)


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> Agent:
    one = Agent()
    nothing = {"lock": lambda _: {"unfinished": None}, "unlock": one.echo}
    known = {"put": one.put, "echo": one.echo, "refuse": one.refuse, "body": one.echo, "slow": one.slow_one, **nothing}
    monkeypatch.setattr(requests, "REQUESTS", table(known, "body"))
    return one


@pytest.fixture
def channel(agent: Agent, line: Line) -> Iterator[Channel]:
    with connected(line) as one:
        yield one


def press() -> None:
    """Ctrl-C, as a signal's handler raises it."""
    raise KeyboardInterrupt


def test_what_a_shell_prints_is_skipped(agent: Agent, line: Line) -> None:
    with connected(line, b"Welcome!\n\0\xff\nlast: ") as channel:
        assert channel.hello == {"hostname": "server"}
        assert channel.call("echo", {"a": 1})[0] == {"a": 1}


def test_each_thread_gets_its_own_answers(channel: Channel) -> None:
    """Large and small ones, with bodies and without, with beats between them: one stream, in one order."""

    def ask(number: int) -> None:
        body, size = random.Random(number).randbytes(number * 300), number % 3
        notes: list[Any] = []
        for _ in range(10):
            args = {"number": number, "text": LARGE[: number * 1000]}
            if size:
                found = channel.call("body", args, body=io.BytesIO(body), size=len(body), note=notes.append)
            else:
                found = channel.call("echo", args, note=notes.append)
            assert found[0] == args
            assert found[2] == (body.hex() if size else "")
            channel._outlet.beat()
        assert notes == [{"half": True}] * 10

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(ask, range(12)))


@pytest.mark.parametrize("message", [{}, {"text": LARGE}], ids=["small", "large"])
def test_an_interrupt_before_a_message_leaves_the_connection(channel: Channel, message: dict[str, Any]) -> None:
    with pytest.raises(KeyboardInterrupt):
        channel.call("echo", Pressed(a=1, **message))
    assert channel.call("echo", message)[0] == message


def test_an_interrupt_while_a_buffered_message_leaves_keeps_it(channel: Channel, line: Line, agent: Agent) -> None:
    channel.await_hello()
    line.sink.press = press
    with pytest.raises(KeyboardInterrupt):
        channel.tell("put", {"value": 1})
    line.sink.press = None
    assert channel.call("echo")[1] == [1]


def test_an_interrupt_between_packing_and_writing_is_the_end(channel: Channel, line: Line) -> None:
    """Of a small message, too: those after it could not be unpacked, or would be unpacked as something else."""
    channel.await_hello()
    pack = channel._outlet._writer.frame

    def frame(encoded: bytes) -> bytes:
        pack(encoded)
        raise KeyboardInterrupt

    channel._outlet._writer.frame = frame  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        channel.call("echo")
    assert line.was_cut.is_set()
    with pytest.raises(RemoteError, match="interrupted while something was sent"):
        channel.call("echo")


def test_an_interrupt_within_a_large_message_is_the_end(channel: Channel, line: Line) -> None:
    channel.await_hello()
    line.sink.press = press
    with pytest.raises(KeyboardInterrupt):
        channel.call("echo", {"text": LARGE})
    assert line.was_cut.is_set()


def test_an_interrupt_within_a_body_is_the_end(channel: Channel, line: Line) -> None:
    with pytest.raises(KeyboardInterrupt):
        channel.call("body", body=Torn(bytes(1000)), size=1000)
    assert line.was_cut.is_set()


def test_nothing_follows_a_message_in_pieces(line: Line) -> None:
    """Whoever waited for his turn meanwhile sends nothing: the agent would unpack it as something else."""
    told: list[bool] = []
    outlet = line.channel._outlet
    outlet._when_torn = lambda: told.append(True)
    with pytest.raises(KeyboardInterrupt):
        outlet.send(b"{}", Torn(bytes(1000)))
    with pytest.raises(BrokenPipeError):
        outlet.send(b"{}")
    with pytest.raises(BrokenPipeError):
        outlet.beat()
    line.buffer.flush()
    assert told == [True]
    assert len(line.agent.recv(1000)) < 4 + 10 + 100 + 1


def test_what_is_no_message_ends_the_connection(agent: Agent, line: Line) -> None:
    with connected(line) as channel:
        channel.await_hello()
        line.agent.sendall(b"\0\0\0\2no")
        with pytest.raises(RemoteError, match="server: the agent's output is not what it should be: a message that"):
            channel.call("echo", {"text": LARGE})
        assert line.was_cut.wait(10)


def test_what_the_laptop_sends_and_is_no_message_ends_the_agent(
    channel: Channel, line: Line, capsys: pytest.CaptureFixture[str]
) -> None:
    channel.await_hello()
    line.laptop.sendall(b"\xff\xff\xff\xff")
    assert channel._ended.wait(10)
    assert "what the laptop sent is not what it should be: a message of 4294967295 bytes" in capsys.readouterr().err


def test_what_is_told_is_done_before_what_comes_after_it(channel: Channel, agent: Agent) -> None:
    """Also where another thread asks."""
    agent.slow = 0.002
    with ThreadPoolExecutor(1) as pool:
        for number in range(30):
            channel.tell("put", {"value": number})
            if number % 10 == 9:
                assert pool.submit(channel.call, "echo").result(10)[1] == list(range(number + 1))
    assert channel.call("echo")[1] == list(range(30))


def test_what_has_a_body_waits_for_nothing_that_was_told(channel: Channel, line: Line, agent: Agent) -> None:
    """And says nothing of what became of that."""
    reached = threading.Event()

    def put(_: Call) -> None:
        reached.set()
        agent.go.wait(10)

    requests.REQUESTS.update(table({"put": put}))
    channel.tell("put", {"value": 1})
    assert reached.wait(10)
    assert channel.call("body", body=io.BytesIO(b"x"), size=1)[2] == b"x".hex()
    line.agent.shutdown(socket.SHUT_RDWR)
    assert channel._ended.wait(10)
    agent.go.set()
    with pytest.raises(RemoteError, match="it ended"):
        channel.settle()


def test_an_error_of_what_was_told_is_raised_once(channel: Channel, agent: Agent) -> None:
    """By the next call, whose own work is done; the first one alone, and as no error of that call's kind."""
    channel.tell("put", {"value": -1})
    agent.go.set()
    with pytest.raises(RemoteError, match="server: no room") as caught:
        channel.call("put", {"value": 1})
    assert not isinstance(caught.value, AgentRefusal)
    assert channel.call("echo")[1] == [1]
    channel.check()


def test_the_error_of_a_call_comes_before_that_of_what_was_told(channel: Channel, agent: Agent) -> None:
    channel.tell("put", {"value": -1})
    agent.go.set()
    with pytest.raises(AgentRefusal, match="not there"):
        channel.call("refuse")
    channel.call("echo", settle=False)
    with pytest.raises(RemoteError, match="no room"):
        channel.check()
    channel.settle()


def test_a_told_error_is_raised_when_something_else_is_told(channel: Channel, agent: Agent) -> None:
    channel.tell("put", {"value": -1})
    agent.go.set()
    channel.call("echo", settle=False)  # it is known now
    with pytest.raises(RemoteError, match="no room"):
        channel.tell("put", {"value": 7})
    assert channel.call("echo")[1] == [7]


def test_a_lock_that_is_lost_is_so_for_all(channel: Channel, agent: Agent) -> None:
    channel.tell("put", {"value": -2})
    agent.go.set()
    for _ in range(2):
        with pytest.raises(LockLostError, match="it was replaced"):
            channel.call("echo")
    with pytest.raises(LockLostError):
        channel.tell("put", {"value": 1})
    with pytest.raises(LockLostError):
        channel.check()


def test_a_connection_that_is_lost_is_so_for_what_is_told(channel: Channel, line: Line) -> None:
    channel.await_hello()
    line.agent.shutdown(socket.SHUT_RDWR)
    assert channel._ended.wait(10)
    with pytest.raises(RemoteError, match="it ended"):
        channel.tell("put", {"value": 1})
    channel.settle()  # nothing was told whose end is not known


def server_of(line: Line) -> Server:
    return Server("server", None, line.channel)  # type: ignore[arg-type]


def test_the_end_of_the_lock_tells_what_failed(channel: Channel, line: Line, agent: Agent) -> None:
    server = server_of(line)
    with pytest.raises(RemoteError, match="no room"), server.lock("test"):
        channel.tell("put", {"value": -1})
        agent.go.set()
    with server.lock("again"):
        pass


def test_the_error_of_the_block_counts_at_the_end_of_the_lock(channel: Channel, line: Line, agent: Agent) -> None:
    with pytest.raises(ValueError, match="mine"), server_of(line).lock("test"):
        channel.tell("put", {"value": -1})
        agent.go.set()
        raise ValueError("mine")


def test_a_lock_whose_end_finds_it_lost(channel: Channel, line: Line, agent: Agent) -> None:
    with pytest.raises(LockLostError, match="it was replaced"), server_of(line).lock("test"):
        channel.tell("put", {"value": -2})
        agent.go.set()


def test_a_connection_that_ends_before_it_is_known_what_became_of_it(
    channel: Channel, line: Line, agent: Agent
) -> None:
    """The end of the lock says so; where all is known it says nothing, as nothing was lost."""
    reached, go = threading.Event(), threading.Event()

    def put(_: Call) -> None:
        reached.set()
        go.wait(10)

    requests.REQUESTS.update(table({"put": put}))
    server = server_of(line)
    with pytest.raises(LockLostError, match="it ended"), server.lock("test"):
        channel.tell("put", {"value": 1})
        assert reached.wait(10)
        line.agent.shutdown(socket.SHUT_RDWR)
        go.set()


def test_a_lock_of_which_all_is_known_may_end_with_the_connection(channel: Channel, line: Line) -> None:
    with server_of(line).lock("test"):
        channel.tell("put", {"value": 1})
        channel.call("echo")
        line.agent.shutdown(socket.SHUT_RDWR)
        assert channel._ended.wait(10)


def test_what_taking_the_lock_waits_for_is_told(monkeypatch: pytest.MonkeyPatch, agent: Agent, line: Line) -> None:
    holder = {"who": {"user": "ann", "host": "laptop"}, "since": 1.0, "doing": "deploy"}

    def take(call: Call) -> Any:
        call.note({"waiting_for": holder})
        call.note({"settling": 7})
        return {"unfinished": None}

    monkeypatch.setattr(requests, "REQUESTS", table({"lock": take, "unlock": agent.echo}))
    told: list[str] = []
    with (
        connected(line),
        server_of(line).lock("test", True, lambda one: told.append(one.doing), lambda: told.append("settling")),
    ):
        assert told == ["deploy", "settling"]


def test_who_cannot_bear_a_note_hears_of_it_alone(channel: Channel) -> None:
    """As where what is printed goes nowhere: the connection's thread hears for all others, too."""

    def fail(_: dict[str, Any]) -> None:
        raise BrokenPipeError("nobody reads")

    with pytest.raises(BrokenPipeError, match="nobody reads"):
        channel.call("echo", {"a": 1}, note=fail)
    assert channel.call("echo", {"a": 2})[0] == {"a": 2}


class Interrupted(threading.Event):
    """Ctrl-C is pressed while it is waited for."""

    def wait(self, timeout: float | None = None) -> bool:
        """Not to its end."""
        raise KeyboardInterrupt


def test_who_was_interrupted_hears_nothing_more(
    agent: Agent, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """His request is still under way."""
    notes: list[Any] = []
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(remote_channel, "Call", partial(RemoteCall, done=Interrupted()))
        channel.call("slow", note=notes.append)
    agent.go.set()
    assert agent.noted.wait(10)
    channel.call("echo")  # its answer comes after the note
    assert notes == []
