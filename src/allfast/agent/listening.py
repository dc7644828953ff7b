"""Who listens on the server's TCP ports, as the kernel tells it: also processes that are in no container."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Any, Dict, Iterable, List, Tuple

TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_LISTENS = "0A"
_WORD = 4


def processes(containers: List[Dict[str, Any]], tables: Iterable[Path] = TABLES) -> List[Dict[str, Any]]:
    """The listening ports that none of `containers` (port holders) publishes, in the same form, without a container."""
    published = {one["port"] for one in containers if one["protocol"] == "tcp"}
    return [
        {"host_ip": address, "port": port, "protocol": "tcp", "container": "", "project": "", "deployment": ""}
        for address, port in listening(tables)
        if port not in published
    ]


def listening(tables: Iterable[Path] = TABLES) -> List[Tuple[str, int]]:
    """Address and port of each listening TCP socket, sorted; a table that is not there has none."""
    found = set()
    for table in tables:
        try:
            lines = table.read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            words = line.split()
            if len(words) > 3 and words[3] == _LISTENS:
                address, _, port = words[1].partition(":")
                found.add((_address(bytes.fromhex(address)), int(port, 16)))
    return sorted(found)


def _address(raw: bytes) -> str:
    """The text of an address whose 32-bit words are in the machine's own order."""
    if sys.byteorder == "little":
        raw = b"".join(raw[at : at + _WORD][::-1] for at in range(0, len(raw), _WORD))
    return socket.inet_ntop(socket.AF_INET if len(raw) == _WORD else socket.AF_INET6, raw)
