"""What `maintenance` tells, and with which key it closes."""

from __future__ import annotations

import os
import signal
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, cast

import pytest

from allfast import events
from allfast.model.release import Strategy
from allfast.pipeline import edge, interrupts, recover, run
from allfast.pipeline.context import Context, Project
from allfast.pipeline.maintenance import maintenance
from allfast.proxy.edge import Edge
from allfast.redact import Redactor
from allfast.remote.proxy import ProxyState
from allfast.remote.server import Server
from tests.unit.planning.facts_factory import release


class Proxy:
    """What the proxy's state folder has of `chat`."""

    def __init__(self, key: str = "", *, closed: bool = False) -> None:
        self.key, self.closed = key, closed

    def look(self) -> ProxyState:
        return ProxyState("/state", None, False, True, (), (), {}, {}, ("chat",) * self.closed, key=self.key)

    def close(self, _page: str, token: str) -> None:
        self.key, self.closed = token, True

    def open(self) -> None:
        self.key, self.closed = "", False


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[events.Event]:
    """Nothing of the ledger, nor of a dead run, counts here."""
    monkeypatch.setattr(run, "locked", lambda *_: nullcontext(SimpleNamespace(unfinished=None)))
    monkeypatch.setattr(run, "recorded", lambda *_: nullcontext([]))
    monkeypatch.setattr(recover, "settle", lambda *_: None)
    monkeypatch.setattr(Context, "step", lambda *_, **__: nullcontext())
    return []


def ask(proxy: Proxy, told: list[events.Event], monkeypatch: pytest.MonkeyPatch, *, on: bool) -> events.Result:
    """Run the command against this proxy."""
    monkeypatch.setattr(edge, "of", lambda _: cast(Edge, proxy))
    toml = SimpleNamespace(proxy=SimpleNamespace(closed_page=None))
    project: Any = SimpleNamespace(deployment="chat", target=SimpleNamespace(url=""), config=SimpleNamespace(toml=toml))
    live = release(strategy=Strategy.SIDE_BY_SIDE)
    server = cast(Server, SimpleNamespace(facts=lambda: SimpleNamespace(live=live)))
    with interrupts.once():
        return maintenance(Context(cast(Project, project), server, told.append, Redactor()), on=on, wait=False)


def notes(told: list[events.Event]) -> list[str]:
    """The sentences."""
    return [one.text for one in told if isinstance(one, events.Note)]


def test_who_works_with_the_key_goes_on_when_it_is_closed_once_more(
    told: list[events.Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Proxy()
    ask(proxy, told, monkeypatch, on=True)
    first = proxy.key
    ask(proxy, told, monkeypatch, on=True)
    assert first == proxy.key != ""
    passes = f"requests with the header X-Allfast-Key: {first} pass"
    assert notes(told) == [f"visitors get the page; {passes}", f"it was closed already, and its key stays; {passes}"]
    ask(proxy, told, monkeypatch, on=False)
    ask(proxy, told, monkeypatch, on=True)
    assert proxy.key != first, "each time that it is closed has a key of its own"


def test_a_key_without_a_page_is_what_a_dead_run_has_left(
    told: list[events.Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Proxy("left")
    ask(proxy, told, monkeypatch, on=True)
    assert proxy.key != "left"


def test_its_last_line_is_not_that_of_a_proven_release(
    told: list[events.Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Proxy()
    said = [ask(proxy, told, monkeypatch, on=on).text for on in (True, False, False)]
    assert said == ["Closed for maintenance.", "Open for visitors.", "Open for visitors."]


class Interrupted(Proxy):
    """Ctrl-C comes while the page is brought."""

    def close(self, _page: str, token: str) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        super().close(_page, token)


def test_what_visitors_get_is_told_also_where_it_is_interrupted(
    told: list[events.Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Interrupted()
    assert ask(proxy, told, monkeypatch, on=True).text == "Closed for maintenance."
    assert any("a moment" in one.text for one in told if isinstance(one, events.Note) and one.level == "warning")
    assert any(proxy.key in note for note in notes(told)), "who closed it has the key"
