"""How the proxy gives a share of the visitors to a canary (pure: values in, Caddy's JSON out).

A canary is a second file beside the switch file, `canary`, whose line is `<threshold> <content>`: four hexadecimal
digits and what the switch file would hold for that release. While it is there, each visitor has a number of four
digits, drawn once and kept in a cookie, and those below the threshold get the canary. So the start, the end and another
share are each a rename of that file; a higher share takes nobody from the canary.

The side is chosen before all routes, for the whole of a request: routes, containers and all follow it. It is chosen
only when somebody comes to a page (or is no browser): a browser's requests for what belongs to a page (scripts, calls
of the api, a WebSocket) go where the page came from, also while the share changes. Without a cookie they go to the live
release, for their page is older than the canary, or the browser takes no cookies.

By Caddy's rule the matchers of one set are asked in any order; where one needs what another found, they are nested.
"""

from __future__ import annotations

from typing import Any, Literal

from allfast.agent.proxy import CANARY_FILE

Json = dict[str, Any]
Side = Literal["canary", "live"]

#: Seconds for which a browser keeps its number after its last page.
REMEMBERED = 86400
#: What a number is drawn from: of each request, random.
_DRAWN = "{http.request.uuid}"
_LIVE: Side = "live"
_CANARY: Side = "canary"
#: A browser's request for a part of a page: it says so, or (without HTTPS it does not) names a page and wants no HTML.
_OF_A_PAGE: list[Json] = [
    {"header": {"Sec-Fetch-Mode": ["*"]}, "not": [{"header": {"Sec-Fetch-Mode": ["navigate"]}}]},
    {
        "header": {"Referer": ["*"], "Sec-Fetch-Mode": None},
        "not": [{"header": {"Accept": ["*text/html*"]}}],
    },
]


def canary_line(share: int, content: str) -> str:
    """What the file `canary` holds.

    Args:
        share: percent of the visitors, 0 to 99.
        content: model.routing.switch_content of the canary.
    """
    return f"{share * 0x10000 // 100:04x} {content}"


def canary_content(line: str) -> str:
    """The content that such a line names, "" for an empty one."""
    return line.strip().partition(" ")[2]


def asking_for(side: Side, deployment: str, content: str) -> dict[str, str]:
    """The headers of a request that gets this side whatever the share is, and no cookie."""
    number = "0000" if side == _CANARY else "ffff"
    return {"Cookie": f"{cookie_name(deployment)}={number}.{side}.{content}", "Sec-Fetch-Mode": "cors"}


def cookie_name(deployment: str) -> str:
    """The cookie that bears a visitor's number, side and canary."""
    return f"allfast-canary-{deployment}"


def choose_side(deployment: str, live: str, folder: str) -> Json:
    """The route that stands before all others: where there is a canary, it may stand in the live release's place.

    Args:
        deployment: whose visitors.
        live: the variable by which the routes of the deployment know their release.
        folder: where the proxy sees the deployment's files.
    """
    line, share, canary, number, side = (f"{live}.{word}" for word in ("line", "share", "canary", "number", "side"))
    ours = {"vars": {_value(canary): [_captured(3)]}}
    come_back = _when(ours, {"handler": "vars", number: _captured(1), side: _captured(2)})
    cookie = f"{{http.request.cookie.{cookie_name(deployment)}}}"
    draw = _match(_DRAWN, "^([0-9a-f]{4})", _always({"handler": "vars", number: _captured(1)}))
    to_a_page = (
        _when({"not": [_has(number)]}, draw),
        _always({"handler": "vars", side: _LIVE}),
        _when({"expression": f"{_value(number)} < {_value(share)}"}, {"handler": "vars", side: _CANARY}),
        _always({"handler": "vars", _cookie(live): ".".join(map(_value, (number, side, canary)))}),
    )
    chosen = _match(
        _value(line),
        r"^([0-9a-f]{4}) (\S+)$",
        _always({"handler": "vars", share: _captured(1), canary: _captured(2)}),
        _always(_match(cookie, r"^([0-9a-f]{4})\.(live|canary)\.(\S+)$", come_back)),
        _when({"not": _OF_A_PAGE}, _routes(*to_a_page)),
        _when({"vars": {side: [_CANARY]}}, {"handler": "vars", live: _value(canary)}),
    )
    there = {"file": {"root": folder, "try_files": [CANARY_FILE]}}
    return _when(there, {"handler": "vars", line: f"{{file.{folder}/{CANARY_FILE}}}"}, chosen)


def remember(deployment: str, live: str, *, secure: bool) -> Json:
    """The handler that gives a visitor his cookie with the answer; renewed with each page."""
    words = ["Path=/", f"Max-Age={REMEMBERED}", "SameSite=Lax", "HttpOnly", *(["Secure"] if secure else [])]
    cookie = "; ".join([f"{cookie_name(deployment)}={_value(_cookie(live))}", *words])
    return _routes(_when(_has(_cookie(live)), {"handler": "headers", "response": {"add": {"Set-Cookie": [cookie]}}}))


def _cookie(live: str) -> str:
    return f"{live}.cookie"


def _value(variable: str) -> str:
    return f"{{http.vars.{variable}}}"


def _captured(group: int) -> str:
    return f"{{http.regexp.side.{group}}}"


def _has(variable: str) -> Json:
    return {"vars_regexp": {variable: {"pattern": "."}}}


def _match(value: str, pattern: str, *routes: Json) -> Json:
    """The handler that goes through `routes` where a value is as the pattern, whose groups they may use."""
    return _routes(_when({"vars_regexp": {value: {"name": "side", "pattern": pattern}}}, _routes(*routes)))


def _routes(*routes: Json) -> Json:
    return {"handler": "subroute", "routes": list(routes)}


def _when(match: Json, *handlers: Json) -> Json:
    return {"match": [match], "handle": list(handlers)}


def _always(*handlers: Json) -> Json:
    return {"handle": list(handlers)}
