"""Does a service report the version that was compiled into its image? Pure: judged from one reply.

A reply that names another version is wrong. A missing reply, a login page or a challenge proves nothing about the
release: it could not be asked. Through the URL, neither does what a proxy or a CDN in front says for itself: a page for
people, or that it does not reach the application. An error of the application itself (404, 500) may pass while it
starts, so the caller asks again for a while before it takes `Judged.again` for an answer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from allfast.checks import Verdict
from allfast.model.release import Where

SHORTEST_HASH = 7
NOT_FOR_US = (401, 403, 407, 421, 429)  # a login, a challenge, a limit: somebody in between answered
NOT_REACHED = (502, 503, 504, *range(520, 531))  # a proxy's words, and a CDN's own ones, for what stands behind it


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP reply; header names in lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdict, its words, and whether asking again may change it."""

    result: Verdict
    text: str
    again: bool = False
    other: bool = False  # it names another version


def judge(reply: Reply, where: Where, expected: str, *, through: bool = False) -> Judged:
    """Compare a reply with the full hash of the commit that the image was built from.

    Args:
        through: it came through the URL, where a proxy or a CDN may have answered; else from the container itself.
    """
    if reply.status in NOT_FOR_US or 300 <= reply.status < 400:
        return Judged("could-not-be-asked", f"{where.path} answers {reply.status}: something in between wants more")
    if through and reply.status in NOT_REACHED:
        text = f"{where.path} answers {reply.status}: something in between does not reach it"
        return Judged("could-not-be-asked", text, again=True)
    if reply.status != 200:
        return Judged("wrong", f"{where.path} answers {reply.status}", again=True)
    served = read(reply, where)
    if served is None and through and is_page(reply):
        return Judged("could-not-be-asked", f"{where.path} is a page for people: perhaps of a proxy", again=True)
    if served is None:
        place = f"header {where.header}" if where.header else f"JSON key {where.json_key}"
        return Judged("wrong", f"{where.path} has no {place}", again=True)
    if matches(served, expected):
        return Judged("right", f"reports {expected[:SHORTEST_HASH]}")
    return Judged("wrong", f"reports {json.dumps(served[:40])} instead of {expected[:SHORTEST_HASH]}", other=True)


def judge_page(status: int) -> Judged:
    """What a status through the URL says where no version is asked: an application answers, or nobody knows."""
    if status < 500:
        return Judged("right", f"answers {status}")
    return Judged("could-not-be-asked", f"answers {status}", again=True)


def is_page(reply: Reply) -> bool:
    """HTML, by its type or its beginning."""
    html = reply.headers.get("content-type", "").lower().startswith("text/html")
    return html or reply.body.lstrip()[:14].lower().startswith((b"<!doctype html", b"<html"))


def matches(served: str, expected: str) -> bool:
    """A version is the commit's hash, or its first seven or more digits."""
    text = served.strip().lower()
    return len(text) >= SHORTEST_HASH and expected.lower().startswith(text)


def read(reply: Reply, where: Where) -> str | None:
    """The version in a reply, None where it has none."""
    if where.header is not None:
        return reply.headers.get(where.header.lower())
    try:
        value: Any = json.loads(reply.body)
    except ValueError:
        return None
    for key in (where.json_key or "").split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, str) and value else None
