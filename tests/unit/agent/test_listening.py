"""Which TCP ports of the server are listened on."""

from __future__ import annotations

import socket
from pathlib import Path

from allfast.agent.listening import listening, processes


def test_what_the_kernel_tells_of_sockets_that_are_there() -> None:
    """One that listens is found, one that is only bound is not; IPv6 too."""
    with socket.socket() as four, socket.socket() as deaf, socket.socket(socket.AF_INET6) as six:
        for one, address in ((four, "127.0.0.1"), (deaf, "127.0.0.1"), (six, "::1")):
            one.bind((address, 0))
        four.listen()
        six.listen()
        found = listening()
        assert ("127.0.0.1", four.getsockname()[1]) in found
        assert ("::1", six.getsockname()[1]) in found
        assert ("127.0.0.1", deaf.getsockname()[1]) not in found


def test_what_containers_publish_is_theirs(tmp_path: Path) -> None:
    table = tmp_path / "tcp"
    row = "   0: {}:{:04X} 00000000:0000 {} 00000000:00000000 00:00000000 00000000     0        0 1 1\n"
    rows = [row.format("00000000", 80, "0A"), row.format("00000000", 8080, "0A"), row.format("00000000", 9, "01")]
    table.write_text("  sl  local_address\n" + "".join(rows))
    published = [{"port": 80, "protocol": "tcp"}, {"port": 8080, "protocol": "udp"}]
    (found,) = processes(published, [table, tmp_path / "not there"])
    assert (found["host_ip"], found["port"], found["container"]) == ("0.0.0.0", 8080, "")
