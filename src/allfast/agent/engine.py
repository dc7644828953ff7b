"""A small client of the Docker Engine API over a unix socket; the laptop uses it too, over the forwarded socket.

Works with Engine 20.10 (API 1.41) and later: the API version is negotiated from `/version`.
Source of the paths and bodies: https://docs.docker.com/reference/api/engine/
"""

from __future__ import annotations

import errno
import http.client
import json
import os
import socket
import threading
import urllib.parse
from contextlib import contextmanager, suppress
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Tuple

from allfast.agent.answer import Answer

#: The newest API version whose answers this code was written for.
NEWEST_API = (1, 47)
#: Bytes of an answer that is read as a whole, at most.
MAX_ANSWER = 64 * 1024 * 1024


#: The next step where a server's engine has refused something.
LOOK_AT_ENGINE = "look at the server: docker info; journalctl -u docker"


class EngineError(Exception):
    """The engine refused: `status` is the HTTP status, `message` the engine's own words."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class EngineUnreachable(Exception):  # noqa: N818 - it reads better where it is caught
    """No answer on the socket: it is gone, refuses, or the connection was cut."""


class _BodyFailed(Exception):  # noqa: N818 - it reads better where it is caught
    """The body of a request could not be had: the `cause` is no error of the connection that it was to go over."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(str(cause))
        self.cause = cause


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket; `timeout` in seconds."""

    def __init__(self, path: str, timeout: Optional[float]) -> None:
        super().__init__("docker", timeout=timeout)
        self._path = path
        self._cut = threading.Event()

    def connect(self) -> None:
        """Connect to the unix socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.sock.settimeout(self.timeout)
            self.sock.connect(self._path)
            if self._cut.is_set():
                raise ConnectionAbortedError("it was given up")
        except BaseException:
            self.sock.close()
            raise

    def cut(self) -> None:
        """End it, from any thread: who reads from it hears of that at once, and the engine ends what it does for it."""
        self._cut.set()
        sock = self.sock
        if sock is not None:
            with suppress(OSError):  # not connected yet, or ended already
                sock.shutdown(socket.SHUT_RDWR)


class Engine:
    """The Engine API behind one unix socket. Safe to use from several threads.

    Paths are given without the API version (`/containers/json`); query values that are not text are sent as JSON,
    None is left out. All methods raise `EngineError` when the engine refuses and `EngineUnreachable` without an answer.
    """

    def __init__(self, path: str, timeout: Optional[float] = 120.0) -> None:
        self.path = path
        self.timeout = timeout
        self._idle: List[UnixConnection] = []
        self._guard = threading.Lock()
        self._version: Optional[Dict[str, Any]] = None

    def version(self, timeout: Optional[float] = None) -> Dict[str, Any]:
        """The answer of `/version`, asked once; `timeout` in seconds, where it is not that of all requests."""
        if self._version is None:
            status, answer = self._request("GET", "/version", None, {}, timeout or self.timeout)
            self._version = _value(status, answer)
        return self._version

    def api(self) -> str:
        """The negotiated API version, as `1.45`."""
        theirs = tuple(int(part) for part in str(self.version()["ApiVersion"]).split("."))
        return ".".join(str(part) for part in min(theirs, NEWEST_API))

    def get(self, path: str, **query: Any) -> Any:
        """The JSON answer of a GET."""
        return self._json("GET", self._versioned(path), None, query)

    def post(self, path: str, body: Any = None, **query: Any) -> Any:
        """The JSON answer of a POST (None where the engine answers nothing)."""
        return self._json("POST", self._versioned(path), body, query)

    def delete(self, path: str, **query: Any) -> Any:
        """The JSON answer of a DELETE (None where the engine answers nothing)."""
        return self._json("DELETE", self._versioned(path), None, query)

    @contextmanager
    def stream(
        self,
        method: str,
        path: str,
        body: Optional[Iterable[bytes]] = None,
        content_type: str = "application/x-tar",
        timeout: Optional[float] = None,
        opened: Optional[Callable[[UnixConnection], None]] = None,
        **query: Any,
    ) -> Iterator[Answer]:
        """A request with a streamed body and answer, on a connection of its own; `timeout` is per read, None: none.

        `opened` is given the connection before anything is asked, so that another thread can cut it. What `body`
        raises, or the block, stays what it is: it is no error of the engine's.
        """
        connection = UnixConnection(self.path, timeout)
        try:
            if opened is not None:
                opened(connection)
            headers = {} if body is None else {"Transfer-Encoding": "chunked", "Content-Type": content_type}
            own = None if body is None else _own(body)
            with self._reached():
                response = _exchange(connection, method, _url(self._versioned(path), query), own, headers)
                if response.status >= 400:
                    raise EngineError(response.status, _message(_whole(response)))
            yield Answer(response, self._reached)
        except _BodyFailed as failure:
            raise failure.cause from None
        finally:
            connection.close()

    def close(self) -> None:
        """Close the idle connections."""
        with self._guard:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    @contextmanager
    def _reached(self) -> Iterator[None]:
        """Around what is done with a connection, and nothing else."""
        try:
            yield
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> EngineUnreachable:
        return EngineUnreachable(f"{self.path}: {error or type(error).__name__}")

    def _versioned(self, path: str) -> str:
        return f"/v{self.api()}{path}"

    def _json(self, method: str, path: str, body: Any, query: Mapping[str, Any]) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if method == "POST" else {}
        return _value(*self._request(method, _url(path, query), data, headers, self.timeout))

    def _request(
        self, method: str, url: str, data: Optional[bytes], headers: Dict[str, str], timeout: Optional[float]
    ) -> Tuple[int, bytes]:
        # Only a GET may go over a kept connection: if that turns out to be closed, asking again is harmless.
        kept = self._take() if method == "GET" else None
        for connection in filter(None, (kept, UnixConnection(self.path, timeout))):
            try:
                response = _exchange(connection, method, url, data, headers)
                answer = _whole(response)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                if connection is not kept or isinstance(error, socket.timeout):
                    raise self._unreachable(error) from error
                continue
            self._keep(connection, response)
            return response.status, answer
        raise AssertionError("unreachable: the last connection returns or raises")

    def _take(self) -> Optional[UnixConnection]:
        with self._guard:
            return self._idle.pop() if self._idle else None

    def _keep(self, connection: UnixConnection, response: http.client.HTTPResponse) -> None:
        if response.will_close:
            connection.close()
            return
        with self._guard:
            self._idle.append(connection)


def first_error(values: Iterable[Mapping[str, Any]]) -> str:
    """What a stream of progress says went wrong: the HTTP status was sent before. Reads it to its end."""
    found = ""
    for value in values:  # to the end, because the engine works for as long as it writes
        found = found or error_of(value)
    return found


def error_of(value: Mapping[str, Any]) -> str:
    """What one value of a stream of progress says went wrong; "" where it says nothing of the kind."""
    return str(value.get("error") or (value.get("errorDetail") or {}).get("message") or "")


def is_out_of_space(message: str) -> bool:
    """Whether an engine's words say that a disk of its is full: there it hands on those of the system."""
    return any(os.strerror(number).lower() in message.lower() for number in (errno.ENOSPC, errno.EDQUOT))


def unframed(raw: bytes) -> bytes:
    """A container's log without the headers of its pieces: stream (1 or 2), three zeros, the length (big endian).

    Engine API, "Attach to a container", stream format. The log of a container with a terminal has none.
    """
    pieces, rest = [], raw
    while len(rest) >= 8 and rest[0] in (1, 2) and rest[1:4] == b"\0\0\0":
        size = int.from_bytes(rest[4:8], "big")
        pieces.append(rest[8 : 8 + size])
        rest = rest[8 + size :]
    return b"".join(pieces) + rest


def _own(body: Iterable[bytes]) -> Iterator[bytes]:
    """A body that is sent by the same call that reads it: its errors are told from those of the sending."""
    try:
        yield from body
    except OSError as error:
        raise _BodyFailed(error) from error


def _exchange(
    connection: UnixConnection, method: str, url: str, body: Any, headers: Dict[str, str]
) -> http.client.HTTPResponse:
    try:
        connection.request(method, url, body=body, headers=headers, encode_chunked="Transfer-Encoding" in headers)
    except BrokenPipeError:
        # The engine refused before it had read the whole body: its answer is there to be read.
        if connection.sock is None:
            raise
    return connection.getresponse()


def _whole(response: http.client.HTTPResponse) -> bytes:
    """All of an answer. Raises `HTTPException`: it is cut off, or too long for one that is kept in memory."""
    parts, size = [], 0
    while True:
        part = response.read(1 << 16)
        if not part:
            break
        parts.append(part)
        size += len(part)
        if size > MAX_ANSWER:
            raise http.client.HTTPException(f"an answer of more than {MAX_ANSWER} bytes")
    if response.length:  # a read of so many bytes does not say so itself
        raise http.client.IncompleteRead(b"", response.length)
    return b"".join(parts)


def _url(path: str, query: Mapping[str, Any]) -> str:
    words = {k: v if isinstance(v, str) else json.dumps(v) for k, v in query.items() if v is not None}
    return path + ("?" + urllib.parse.urlencode(words) if words else "")


def _value(status: int, answer: bytes) -> Any:
    if status >= 400:
        raise EngineError(status, _message(answer))
    try:
        return json.loads(answer) if answer.strip() else None
    except (ValueError, RecursionError) as error:
        raise EngineUnreachable(f"its answer is no JSON: {error}") from error


def _message(answer: bytes) -> str:
    try:
        return str(json.loads(answer)["message"])
    except (ValueError, KeyError, TypeError):
        return answer.decode(errors="replace").strip() or "no message"
