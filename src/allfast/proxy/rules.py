"""The rules of one application at one port: which requests go where, as Caddy's JSON (pure).

A set of routes counts while the switch file's content ends with its digest, and for the time without a switch file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from allfast.agent.assets import ALL, FOLDER
from allfast.agent.proxy import KEY_FILE, MOUNT, PAGE_FILE, SWITCH_FILE
from allfast.model.routing import HTTP_PORT, HTTPS_PORT, Fragment, Route, RouteSet
from allfast.proxy.canary import remember

Json = dict[str, Any]

#: Where the proxy's container sees its state folder on the server.
STATE = MOUNT
#: How long a request waits for a container that cannot be connected to (a start, a pause).
HOLD = "5s"
#: Idle connections to containers end sooner than any usual server ends them by itself (gunicorn: 2 s, Node and
#: uvicorn: 5 s); a request sent just as the server hangs up would be lost.
IDLE = "1s"
#: A reload leaves WebSockets open for so long.
STREAMS = "24h"
#: Compressed where the client takes it: text but no event stream, whose events must not wait in a compressor.
COMPRESSED = (
    *("text/html*", "text/css*", "text/plain*", "text/javascript*", "text/csv*", "text/xml*", "text/markdown*"),
    *("application/json*", "application/javascript*", "application/xml*", "application/*+json*", "application/*+xml*"),
    *("application/wasm*", "application/manifest*", "image/svg+xml*", "font/ttf*", "font/otf*"),
)
#: The header that bears the key of a closed app.
KEY = "X-Allfast-Key"
#: Headers by which an app learns who asks; a client could lie in them.
WHO_ASKS = ("Forwarded", "X-Forwarded-*", "X-Real-Ip")


@dataclass(frozen=True, slots=True)
class Rule:
    """One route of Caddy and how exact it is: the more exact one is asked first."""

    rank: tuple[int, int, int, int]
    text: Json


def rules_of(part: Fragment, port: int) -> Iterator[Rule]:
    """The rules of all sets of an app at a port, each while it counts and for the time without a switch file."""
    live = f"{{http.vars.{variable(part.deployment)}}}"
    for one in sorted(part.sets, key=lambda one: one.digest):
        yield from _set(part.deployment, one, port, rf"\.{re.escape(one.digest)}$", live)
        yield from _set(part.deployment, one, port, "^$", switch_file(part.deployment))


def _set(deployment: str, routes: RouteSet, port: int, guard: str, live: str) -> Iterator[Rule]:
    while_live = {"vars_regexp": {variable(deployment): {"pattern": guard}}}
    for route in routes.routes:
        match = {**_match(route), **while_live}
        if route.listen.port == port or (route.listen.tls and port == HTTP_PORT):
            closed = {**match, **_while_closed(deployment)}
            yield Rule(_rank(route, -1), {"match": [closed], "handle": [_closed_page(deployment)], "terminal": True})
        if route.listen.port == port:
            dial = f"{route.service}.{live}.{deployment}:{route.port}"
            proxy = {**_reverse_proxy(route, dial, routes.trusted_proxies), **_earlier(deployment, route)}
            cookie = remember(deployment, variable(deployment), secure=route.listen.tls)
            handlers = [*_for_the_app(routes), cookie, _encode(), proxy]
            yield Rule(_rank(route, 0), {"match": [match], "handle": handlers, "terminal": True})
        elif route.listen.tls and port == HTTP_PORT:
            yield Rule(_rank(route, 1), {"match": [match], "handle": [_to_https(route)], "terminal": True})


def _while_closed(deployment: str) -> Json:
    """While the page of a closed app lies in its folder, for all who do not bear its key."""
    app = folder(deployment)
    has_key = {"vars": {f"{{http.request.header.{KEY}}}": [f"{{file.{app}/{KEY_FILE}}}"]}}
    return {"file": {"root": app, "try_files": [PAGE_FILE]}, "not": [has_key]}


def _closed_page(deployment: str) -> Json:
    headers = {
        "Content-Type": ["text/html; charset=utf-8"],
        "Cache-Control": ["no-store"],
        "Retry-After": ["60"],
    }
    page = f"{{file.{folder(deployment)}/{PAGE_FILE}}}"
    return {"handler": "static_response", "status_code": 503, "headers": headers, "body": page}


def _rank(route: Route, redirect: int) -> tuple[int, int, int, int]:
    kind = 2 if not route.host else 1 if route.host.startswith("*") else 0
    return kind, -len(route.host) if kind == 1 else 0, -len(route.path.rstrip("/")), redirect


def _match(route: Route) -> Json:
    path = route.path.rstrip("/")
    return {
        **({"host": [route.host]} if route.host else {}),
        **({"path": [path, f"{path}/*"]} if path else {}),
    }


def _for_the_app(routes: RouteSet) -> list[Json]:
    """Take away the key, and what a client says of itself, unless it is a proxy that is believed."""
    if not routes.trusted_proxies:
        return [_without(KEY, *WHO_ASKS)]
    stranger = {"not": [{"remote_ip": {"ranges": list(routes.trusted_proxies)}}]}
    of_strangers = {"match": [stranger], "handle": [_without(*WHO_ASKS)]}
    return [_without(KEY), {"handler": "subroute", "routes": [of_strangers]}]


def _without(*headers: str) -> Json:
    return {"handler": "headers", "request": {"delete": list(headers)}}


def _encode() -> Json:
    return {
        "handler": "encode",
        "encodings": {"zstd": {}, "gzip": {}},
        "prefer": ["zstd", "gzip"],
        "match": {"headers": {"Content-Type": list(COMPRESSED)}},
    }


def _reverse_proxy(route: Route, dial: str, trusted_proxies: Sequence[str]) -> Json:
    """A request that reached a container is sent to no other, but for a GET: that is Caddy's own rule."""
    transport: Json = {"protocol": "http", "compression": False, "keep_alive": {"idle_timeout": IDLE}}
    return {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": dial}],
        "transport": {**transport, **({"versions": ["h2c"]} if route.h2c else {})},
        "load_balancing": {"try_duration": HOLD, "try_interval": "50ms"},
        "flush_interval": -1,
        "stream_close_delay": STREAMS,
        **({"trusted_proxies": list(trusted_proxies)} if trusted_proxies else {}),
    }


def _earlier(deployment: str, route: Route) -> Json:
    """Where the container has no such file: the one that an earlier release had, for a page that is still open."""
    if not route.assets:
        return {}
    root = f"{folder(deployment)}/{FOLDER}/{ALL}"
    there = {"path": [f"{route.assets.rstrip('/')}/*"], "file": {"root": root}}
    found = {"match": [there], "handle": [{"handler": "file_server", "root": root}], "terminal": True}
    passed_on = {"handle": [{"handler": "copy_response"}]}
    return {"handle_response": [{"match": {"status_code": [404]}, "routes": [found, passed_on]}]}


def _to_https(route: Route) -> Json:
    port = "" if route.listen.port == HTTPS_PORT else f":{route.listen.port}"
    to = f"https://{{http.request.host}}{port}{{http.request.uri}}"
    return {"handler": "static_response", "status_code": 308, "headers": {"Location": [to]}}


def variable(deployment: str) -> str:
    """The variable of Caddy that has an app's content of the switch file for the time of a request."""
    return f"allfast.{deployment}"


def switch_file(deployment: str) -> str:
    """The placeholder that stands for the content of an app's switch file."""
    return f"{{file.{folder(deployment)}/{SWITCH_FILE}}}"


def folder(deployment: str) -> str:
    """Where the proxy sees a deployment's files."""
    return f"{STATE}/apps/{deployment}"
