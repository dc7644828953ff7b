"""As much of Redis's protocol as the tiny app needs."""

import os
import socket


def redis(*words: str | bytes) -> bytes | None:
    """Send one command and return its answer; None for nil."""
    host, _, port = os.environ["REDIS"].partition(":")
    with socket.create_connection((host, int(port)), timeout=3) as connection, connection.makefile("rwb") as stream:
        _command(stream, "AUTH", os.environ["REDIS_PASSWORD"])
        return _command(stream, *words)


def _command(stream, *words):
    stream.write(b"*%d\r\n" % len(words))
    for word in words:
        data = word.encode() if isinstance(word, str) else word
        stream.write(b"$%d\r\n%s\r\n" % (len(data), data))
    stream.flush()
    line = stream.readline().rstrip()
    kind, rest = line[:1], line[1:]
    if kind == b"-" or not kind:
        raise OSError(rest.decode() or "Redis closed the connection")
    if kind != b"$":
        return rest
    return None if rest == b"-1" else stream.read(int(rest) + 2)[:-2]
