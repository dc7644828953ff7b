"""Whose routes stay in the proxy when another release comes, and who waits for the server-wide lock of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import cast

import pytest

from allfast import events
from allfast.model.release import ReleaseState, Who
from allfast.model.routing import Fragment, Listen, Route, RouteSet, switch_content
from allfast.model.server import LockHolder
from allfast.pipeline import edge
from allfast.pipeline.context import Context, Project
from allfast.pipeline.edge import kept_routes
from allfast.proxy.edge import Edge
from allfast.redact import Redactor
from allfast.remote.proxy import ProxyState
from allfast.remote.server import Server
from tests.unit.planning.facts_factory import release

OLD, NEW = (RouteSet((Route("web", 8080, "", path, Listen("", 80)),)) for path in ("/old", "/new"))


def test_routes_of_what_never_served_go() -> None:
    known = [(release(routes=OLD), ReleaseState.RETIRED), (release(routes=NEW), ReleaseState.PREPARED)]
    live = (release(), ReleaseState.LIVE)
    assert kept_routes([*known, live], switch_content("R9", NEW)) == {OLD.digest, live[0].routes.digest}


def test_what_visitors_have_stays_where_the_ledger_was_lost() -> None:
    known = [(release(routes=NEW), ReleaseState.PREPARED)]
    assert kept_routes(known, switch_content("R9", OLD)) == {OLD.digest}


class Busy:
    """A proxy whose lock another deployment holds for a moment."""

    def look(self) -> ProxyState:
        return ProxyState("/state", None, False, True, (), (), {"chat": "r1.x"}, {}, (), key="")

    def apply(self, _part: Fragment, waiting: Callable[[LockHolder], None], **_more: object) -> None:
        waiting(LockHolder(Who("ann", "laptop"), time.time(), "routes of shop"))

    def remove(self, waiting: Callable[[LockHolder], None]) -> None:
        self.apply(Fragment("chat", ()), waiting)


@pytest.mark.parametrize(
    "change", [lambda context: edge.prepare(context, release(routes=NEW)), edge.leave], ids=["put", "take away"]
)
def test_whom_the_proxys_lock_is_waited_for_is_told(
    change: Callable[[Context], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[events.Event] = []
    monkeypatch.setattr(edge, "of", lambda _: cast(Edge, Busy()))
    monkeypatch.setattr(Context, "step", lambda *_, **__: nullcontext())
    project = cast(Project, SimpleNamespace(deployment="chat"))
    server = cast(Server, SimpleNamespace(releases=tuple))
    change(Context(project, server, told.append, Redactor()))
    assert [one.text for one in told if isinstance(one, events.Note)] == [
        "waiting for ann@laptop: routes of shop, began 0 s ago"
    ]
