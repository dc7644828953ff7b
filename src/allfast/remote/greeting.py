"""The agent's first words on its output, behind whatever a login shell prints before them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import IO, Any

from allfast.agent.protocol import MARK
from allfast.remote.failures import MALFORMED, from_agent, from_start, not_understood

#: Bytes of a login shell's own words that are skipped before the agent's first line.
_MAX_CHATTER = 1 << 16


def hello(host: str, source: IO[bytes], need: Callable[[], None]) -> dict[str, Any] | None:
    """Skip what is not the agent's until its hello, and read that; None where the output ends before.

    `need` is called when the agent has to be sent. Raises `AllfastError`: why it does not start.
    """
    skipped = 0
    while skipped <= _MAX_CHATTER:
        line = _line(source)
        if not line:
            return None
        before, mark, rest = line.decode(errors="replace").partition(MARK)
        skipped += len(before)
        if not mark:
            continue
        if rest.startswith("need"):
            need()
        else:
            return _read(host, rest)
    return None


def _read(host: str, said: str) -> dict[str, Any]:
    try:
        if said.startswith("error"):
            raise from_start(host, said.split()[1:])
        message = json.loads(said)
        if message["hello"] is None:
            raise from_agent(host, message["error"])
        return dict(message["hello"])
    except MALFORMED as error:
        raise not_understood(host, error) from error


def _line(source: IO[bytes]) -> bytes:
    """One line, without its end where it is the last one or very long; nothing after the last one."""
    try:
        return source.readline(_MAX_CHATTER)
    except (OSError, ValueError):
        return b""
