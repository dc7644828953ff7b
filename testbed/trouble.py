"""What can be wrong with a server: each is a context in which a running server has that trouble, and then no more."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from testbed.common import wait_until
from testbed.server import Server

SUFFIX = ".testbed-hidden"
#: A pattern that matched nothing stands for itself; a link whose target is hidden is there all the same.
THERE = '{ [ -e "$file" ] || [ -L "$file" ]; }'


@contextmanager
def hidden(server: Server, *patterns: str) -> Iterator[None]:
    """Without the files that match shell patterns."""
    # A name that is in use can be moved away all the same: what runs goes on with the file it has.
    _shell(server, f'for file in {" ".join(patterns)}; do {THERE} && mv "$file" "$file{SUFFIX}"; done; true')
    try:
        yield
    finally:
        suffixed = " ".join(pattern + SUFFIX for pattern in patterns)
        _shell(server, f'for file in {suffixed}; do {THERE} && mv "$file" "${{file%{SUFFIX}}}"; done; true')


@contextmanager
def without_python(server: Server) -> Iterator[None]:
    """No python3 at all."""
    with hidden(server, "/usr/bin/python3", "/usr/bin/python3.[0-9]", "/usr/bin/python3.[0-9][0-9]"):
        yield


@contextmanager
def without_sqlite(server: Server) -> Iterator[None]:
    """A python3 that has no sqlite3."""
    with hidden(server, "/usr/lib/python3*/lib-dynload/_sqlite3*.so"):
        yield


@contextmanager
def without_docker(server: Server) -> Iterator[None]:
    """No Docker: no engine, no client, no socket."""
    server.stop_dockerd()
    try:
        with hidden(server, "/usr/bin/docker", "/usr/sbin/dockerd", "/run/docker.sock"):
            yield
    finally:
        server.start_dockerd()


@contextmanager
def stopped_engine(server: Server) -> Iterator[None]:
    """Docker is installed, but its engine does not run."""
    server.stop_dockerd()
    try:
        yield
    finally:
        server.start_dockerd()


@contextmanager
def changed_host_key(server: Server) -> Iterator[None]:
    """The server has another host key than the one that known_hosts has."""
    key = "/etc/ssh/ssh_host_ed25519_key"
    _shell(server, f"rm {key} {key}.pub && ssh-keygen -q -t ed25519 -N '' -f {key}")
    _read_host_key_again(server)
    try:
        yield
    finally:
        _shell(server, "install -m 600 /testbed/ssh_host_ed25519_key /testbed/ssh_host_ed25519_key.pub /etc/ssh")
        _read_host_key_again(server)


@contextmanager
def full_disk(server: Server, left: int = 0) -> Iterator[None]:
    """Nearly no room where images and volumes are: `left` bytes. Only for a server with a `disk` of its own."""
    if not server.disk:
        raise ValueError("only a server with a small disk of its own may be filled")
    ballast = "/var/lib/docker/ballast"
    _shell(server, f"fallocate -l $(( $(df -B1 --output=avail /var/lib/docker | tail -1) - {left} )) {ballast}")
    try:
        yield
    finally:
        server.exec(["rm", "-f", ballast])


def _read_host_key_again(server: Server) -> None:
    """Start the listener anew; sessions that are open go on."""
    _shell(
        server, "pkill -x -o sshd; while pgrep -f 'sshd.*[[]listener[]]' >/dev/null; do sleep 0.02; done; server-sshd"
    )
    # it listens before it can answer: a first greeting shows that it does
    wait_until(lambda: "SSH-2.0" in _greeting(server), "sshd greets again", 60)


def _greeting(server: Server) -> str:
    """What the server's sshd says first; empty while it says nothing."""
    try:
        with socket.create_connection(("127.0.0.1", server.port(22)), timeout=2) as connection:
            return connection.recv(64).decode(errors="replace")
    except OSError:
        return ""


def _shell(server: Server, script: str) -> None:
    server.exec(["bash", "-c", script])
