"""Ports asked from the server: what the application answers behind the proxy, the load balancer and the DNS."""

from __future__ import annotations

import base64
import http.client
import socket
import threading
import urllib.parse
from typing import Any, Callable, Dict, List, TypeVar

from allfast.agent.protocol import AgentError, Kind

#: Bytes of a body that are looked at.
MAX_BODY = 1024 * 1024
#: In so many times the timeout of one read all of an answer has to be there.
WHOLE = 3

T = TypeVar("T")


def fetch(url: str, headers: Dict[str, str], timeout: float) -> Dict[str, Any]:
    """GET `url`; `timeout` is in seconds, for each read (`WHOLE`: all of them). A redirect is never followed.

    Answers status, headers and the first MiB of the body (base64), or `error` where there was no answer.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise AgentError(Kind.BAD_REQUEST, f"{url}: not an http or https address")
    connect = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = connect(parts.hostname, parts.port, timeout=timeout)
    target = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))

    def ask() -> Dict[str, Any]:
        try:
            connection.request("GET", target, headers=headers)
            response = connection.getresponse()
            body = response.read(MAX_BODY)
            found = [[name, value] for name, value in response.getheaders()]
            return {"status": response.status, "headers": found, "body": base64.b64encode(body).decode(), "error": ""}
        finally:
            connection.close()

    try:
        return within(timeout * WHOLE, ask)
    except (OSError, http.client.HTTPException) as error:
        return {"status": 0, "headers": [], "body": "", "error": str(error) or type(error).__name__}


def within(seconds: float, ask: Callable[[], T]) -> T:
    """What `ask` gives or raises; `socket.timeout` where that takes longer.

    A timeout of a socket is one of each read: an answer that comes byte by byte would be waited for without end.
    """
    given: List[T] = []
    raised: List[Exception] = []

    def run() -> None:
        try:
            given.append(ask())
        except Exception as error:  # noqa: BLE001 - it is raised below
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if raised:
        raise raised[0]
    if not given:
        raise socket.timeout(f"no whole answer in {seconds:g} s")
    return given[0]


def accepting(host: str, ports: List[int], timeout: float) -> bool:
    """Whether a TCP connection to one of the ports is accepted; `timeout` is in seconds, for each port."""
    for port in ports:
        try:
            socket.create_connection((host, port), timeout).close()
        except OSError:
            continue
        return True
    return False
