"""Browsers with their cookies, at a page and its api, over HTTP or HTTPS."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import urllib.error
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.cookiejar import CookieJar
from typing import Any

from chaos.bed import named
from testbed.server import Server


@dataclass(frozen=True)
class Site:
    """Where visitors come to: URLs without a path; with HTTPS the address it is at, and the authority (PEM)."""

    page: str
    api: str
    address: tuple[str, int] = ("", 0)
    root: str = ""


def site(server: Server) -> Site:
    """The tiny app, whose api has a port of its own."""
    return Site(server.url(), server.url(8000))


class Visitor:
    """A browser."""

    def __init__(self, at: Site) -> None:
        self.cookies = CookieJar()
        ways = [urllib.request.HTTPCookieProcessor(self.cookies), *([_Secured(at)] if at.root else [])]
        self._site, self._open = at, urllib.request.build_opener(*ways).open

    def page(self, **headers: str) -> str:
        """What the page says; web and api must be of one release."""
        names = named(self._good(self._site.page + "/", headers))
        assert len(set(names)) == 1, names
        return names[0]

    def call(self, **headers: str) -> str:
        """What the api says to a script of the page."""
        return str(json.loads(self._good(self._site.api + "/api/info", headers))["api"]["text"])

    def ask(self, url: str, **headers: str) -> tuple[int, str]:
        """Status and body of any URL; header names with `_` for `-`."""
        named_so = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            with self._open(urllib.request.Request(url, headers=named_so), timeout=20) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def _good(self, url: str, headers: dict[str, str]) -> bytes:
        status, body = self.ask(url, **headers)
        assert status == 200, (url, status, body)
        return body.encode()


def fresh(at: Site, count: int) -> Counter[str]:
    """What so many visitors get who come for the first time."""
    with ThreadPoolExecutor(4) as pool:
        return Counter(pool.map(lambda _: Visitor(at).page(), range(count)))


def somebody(at: Site, text: str) -> Visitor:
    """A visitor on the side of that release."""
    for _ in range(500):
        visitor = Visitor(at)
        if visitor.page() == text:
            return visitor
    raise AssertionError(f"nobody of 500 visitors gets {text}")


class _Secured(urllib.request.HTTPSHandler):
    """HTTPS to the site's address, whatever host the URL names."""

    def __init__(self, at: Site) -> None:
        self._tls = ssl.create_default_context(cadata=at.root)
        self._address = at.address
        super().__init__(context=self._tls)

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._connection, req)

    def _connection(self, host: str, /, *, timeout: float = 20.0, **_: Any) -> http.client.HTTPConnection:
        made = http.client.HTTPConnection(host, timeout=timeout)
        plain = socket.create_connection(self._address, timeout)
        made.sock = self._tls.wrap_socket(plain, server_hostname=host)
        return made
