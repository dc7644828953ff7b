"""What the server is asked about its ports."""

from __future__ import annotations

import socket

from allfast.agent.fetch import accepting


def test_one_port_that_accepts_is_enough() -> None:
    """Bound is not listening."""
    with socket.socket() as deaf, socket.socket() as open_:
        deaf.bind(("127.0.0.1", 0))
        open_.bind(("127.0.0.1", 0))
        open_.listen()
        silent, listening = deaf.getsockname()[1], open_.getsockname()[1]
        assert not accepting("127.0.0.1", [silent], 2.0)
        assert accepting("127.0.0.1", [silent, listening], 2.0)
