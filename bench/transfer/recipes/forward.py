"""Runs on the laptop's engine container: its loopback port 5000 leads to the registry's socket.

python3 forward.py SOCKET
"""

import socket
import sys
import threading


def copy(source: socket.socket, sink: socket.socket) -> None:
    """All bytes of one direction, and its end."""
    buffer = memoryview(bytearray(1 << 18))
    try:
        while count := source.recv_into(buffer):
            sink.sendall(buffer[:count])
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def join(client: socket.socket) -> None:
    """One connection."""
    with client, socket.socket(socket.AF_UNIX) as registry:
        registry.connect(sys.argv[1])
        back = threading.Thread(target=copy, args=(registry, client))
        back.start()
        copy(client, registry)
        back.join()


listener = socket.create_server(("127.0.0.1", 5000), backlog=64)
while True:
    threading.Thread(target=join, args=(listener.accept()[0],), daemon=True).start()
