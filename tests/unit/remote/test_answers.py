"""What is no answer of an agent: from a server that is broken, or means harm."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from allfast.agent.messages import Writer
from allfast.agent.protocol import MARK
from allfast.errors import RemoteError
from tests.unit.remote.line import Line


@pytest.mark.parametrize(
    "said",
    [
        b"no JSON",
        b"[" * 100_000,
        b"{}",
        b"[]",
        b'{"hello": 5}',
        b'{"hello": null}',
        b'{"hello": null, "error": {"kind": []}}',
        b"error",
        b"error nothing-known",
    ],
)
def test_a_greeting_of_another_form_ends_the_connection_at_once(line: Line, said: bytes) -> None:
    line.agent.sendall(MARK.encode() + said + b"\n")
    line.channel.open(b"")
    with pytest.raises(RemoteError, match="server: the agent's output is not what it should be: an answer of another"):
        line.channel.call("echo")


@pytest.mark.parametrize(
    "said",
    [
        b'{"error": 5}',
        b'{"error": {}}',
        b'{"error": {"kind": []}}',
        b'{"id": []}',
        b'{"id": 1}',
        b'{"id": 1, "error": null}',
        b'{"id": 1, "error": {"kind": "x"}}',
        b'{"id": 1, "note": {}}',
        b'{"id": 1, "note": {"refused": 1}}',
        b'{"id": 1, "result": ' + b"[" * 100_000,
    ],
)
def test_an_answer_of_another_form_is_an_error_at_once(line: Line, said: bytes) -> None:
    """Not the end of the thread that listens, and then silence."""

    def note(value: dict[str, Any]) -> None:
        if value["refused"]:
            raise RemoteError("the agent's output is not what it should be")

    line.agent.sendall(MARK.encode() + b'{"hello": {"hostname": "server"}}\n')
    line.channel.open(b"")

    def answer() -> None:
        line.agent.recv(4)
        line.agent.sendall(Writer().frame(said))

    asked = threading.Thread(target=answer, daemon=True)
    asked.start()
    with pytest.raises(RemoteError, match="the agent's output is not what it should be"):
        line.channel.call("echo", note=note)
    asked.join(10)
    line.cut()
    assert line.channel._ended.wait(10)
