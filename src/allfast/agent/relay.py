"""A relay in front of the Docker socket, for a target on the laptop itself: what the guard ends there instead of sshd.

The laptop talks to the relay's socket only. When the relay is killed, nothing the laptop sends reaches the engine.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from pathlib import Path
from typing import Tuple

from allfast.agent import session

_BLOCK = 1 << 18


def start(listen: str, target: str) -> Tuple[session.Process, str]:
    """Fork the relay from the socket `listen` to the socket `target`; call it before any thread is started."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(listen)
    Path(listen).chmod(0o600)
    server.listen(128)
    pid = os.fork()
    if pid == 0:
        try:
            _serve(server, target)
        finally:
            os._exit(1)
    server.close()
    process = session.of(pid)
    if process is None:
        raise RuntimeError("the relay ended at once")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no zombie may look like a relay that is still there
    return process, listen


def _serve(server: socket.socket, target: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        os.dup2(null, fd)
    os.closerange(3, server.fileno())
    os.closerange(server.fileno() + 1, 256)
    while True:
        client, _ = server.accept()
        threading.Thread(target=_join, args=(client, target), daemon=True).start()


def _join(client: socket.socket, target: str) -> None:
    engine = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        engine.connect(target)
    except OSError:
        client.close()
        return
    back = threading.Thread(target=_copy, args=(engine, client), daemon=True)
    back.start()
    _copy(client, engine)
    back.join()
    client.close()
    engine.close()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    """Copy to the end, and hand on the end: attached containers close one direction and go on in the other."""
    buffer = memoryview(bytearray(_BLOCK))
    try:
        while True:
            count = source.recv_into(buffer)
            if not count:
                break
            sink.sendall(buffer[:count])
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
