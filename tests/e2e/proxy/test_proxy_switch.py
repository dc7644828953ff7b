"""The proxy's switch: one rename, under load; and what it spares clients."""

from __future__ import annotations

import json

import pytest

from allfast.model.routing import Fragment, RouteSet, switch_content
from allfast.proxy.caddy import compose
from allfast.proxy.change import is_as_composed
from testbed.traffic import Mix
from tests.e2e.edge import PLAIN, Town, ask, route

pytestmark = pytest.mark.e2e


def test_one_rename_moves_all_requests(chat: Town) -> None:
    chat.open(PLAIN)
    url = chat.server.url(80)
    chat.run("r1")
    chat.run("r2")
    assert chat.switch("r1") is None
    assert ask(url).told["name"] == "r1"
    assert chat.switch("r2") == switch_content("r1", PLAIN)
    assert ask(url).told["name"] == "r2"
    state = chat.edge.look()
    assert state.live == {"chat": switch_content("r2", PLAIN)}
    assert is_as_composed(state) is True
    assert chat.edge.needed(state, Fragment("chat", (PLAIN,))).kind == "none"


def test_under_load_no_request_fails_and_none_is_answered_by_the_other_release(chat: Town) -> None:
    chat.open(PLAIN)
    for release in ("r1", "r2"):
        chat.run(release)
    chat.switch("r1")
    with chat.traffic(live="r1") as traffic:
        for number in range(10):
            release = "r2" if number % 2 == 0 else "r1"
            with traffic.switching(release):
                chat.switch(release)
            traffic.wait_for(40)
    report = traffic.report()
    print(report)
    assert not report.failures and not report.mixed, report
    assert {"keep-alive", "new", "slow", "upload", "events", "websocket"} == report.answers.keys()
    assert report.total > 300, report


HARD = Mix(keep_alive=30, new=2, slow=2, uploads=0, events=1, websockets=0, pace=0.1)


def test_the_load_is_hard_enough_to_see_a_switch_by_reload(chat: Town) -> None:
    """The control: what the rename spares clients. Without failures here the zero above would mean nothing."""
    chat.open(PLAIN)
    for release in ("r1", "r2"):
        chat.run(release)
    chat.switch("r1")
    part = Fragment("chat", (PLAIN,))
    config = compose([part])
    del config["apps"]["http"]["shutdown_delay"]  # what every other tool's reload is
    text = json.dumps(config)
    with chat.traffic(live="r1", mix=HARD) as traffic:
        for number in range(300):
            release = "r2" if number % 2 == 0 else "r1"
            pinned = text.replace("{http.vars.allfast.chat}", switch_content(release, PLAIN))
            with traffic.switching(release), chat.remote.proxy.lock("test"):
                chat.remote.proxy.apply(part, json.loads(pinned), {})
            traffic.wait_for(40)
            if traffic.report().failures:
                break
    report = traffic.report()
    print(number, report)
    assert report.failures, report


def test_under_load_other_routes_are_loaded_without_a_failure(chat: Town) -> None:
    """Clients that keep their connections; of new ones a kernel older than Linux 5.14 would lose some."""
    chat.open(PLAIN)
    chat.run("r1")
    chat.switch("r1")
    kept = Mix(keep_alive=20, new=0, slow=0, uploads=0, pace=0.1)
    with chat.traffic(live="r1", mix=kept) as traffic:
        for number in range(4):
            assert chat.apply(RouteSet((route("other", path=f"/{number}"),)), PLAIN)
            traffic.wait_for(40)
    report = traffic.report()
    print(report)
    assert not report.failures and not report.mixed, report
