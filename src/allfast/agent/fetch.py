"""Ports asked from the server: what the application answers behind the proxy, the load balancer and the DNS."""

from __future__ import annotations

import base64
import http.client
import socket
import urllib.parse
from typing import Any, Dict, List

from allfast.agent.protocol import AgentError, Kind

#: Bytes of a body that are looked at.
MAX_BODY = 1024 * 1024


def fetch(url: str, headers: Dict[str, str], timeout: float) -> Dict[str, Any]:
    """GET `url`; `timeout` is in seconds, for each read. A redirect is an answer, it is never followed.

    Answers status, headers and the first MiB of the body (base64), or `error` where there was no answer.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise AgentError(Kind.BAD_REQUEST, f"{url}: not an http or https address")
    connect = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = connect(parts.hostname, parts.port, timeout=timeout)
    target = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
    try:
        connection.request("GET", target, headers=headers)
        response = connection.getresponse()
        body = response.read(MAX_BODY)
        found = [[name, value] for name, value in response.getheaders()]
        return {"status": response.status, "headers": found, "body": base64.b64encode(body).decode(), "error": ""}
    except (OSError, http.client.HTTPException) as error:
        return {"status": 0, "headers": [], "body": "", "error": str(error) or type(error).__name__}
    finally:
        connection.close()


def accepting(host: str, ports: List[int], timeout: float) -> bool:
    """Whether a TCP connection to one of the ports is accepted; `timeout` is in seconds, for each port."""
    for port in ports:
        try:
            socket.create_connection((host, port), timeout).close()
        except OSError:
            continue
        return True
    return False
