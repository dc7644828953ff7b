"""Whose routes stay in the proxy when another release comes."""

from __future__ import annotations

from allfast.model.release import ReleaseState
from allfast.model.routing import Listen, Route, RouteSet, switch_content
from allfast.pipeline.edge import kept_routes
from tests.unit.planning.facts_factory import release

OLD, NEW = (RouteSet((Route("web", 8080, "", path, Listen("", 80)),)) for path in ("/old", "/new"))


def test_routes_of_what_never_served_go() -> None:
    known = [(release(routes=OLD), ReleaseState.RETIRED), (release(routes=NEW), ReleaseState.PREPARED)]
    live = (release(), ReleaseState.LIVE)
    assert kept_routes([*known, live], switch_content("R9", NEW)) == {OLD.digest, live[0].routes.digest}


def test_what_visitors_have_stays_where_the_ledger_was_lost() -> None:
    known = [(release(routes=NEW), ReleaseState.PREPARED)]
    assert kept_routes(known, switch_content("R9", OLD)) == {OLD.digest}
