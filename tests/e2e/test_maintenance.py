"""maintenance on: visitors get a page, who bears the key gets the application; at once, and without a request lost."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from testbed.server import Server
from testbed.tiny_app import TinyApp
from tests.e2e.conftest import named_app
from tests.e2e.harness import Cli, page
from tests.e2e.looks import replace

pytestmark = pytest.mark.e2e


@pytest.fixture
def app(request: pytest.FixtureRequest, server: Server, tmp_path: Path) -> TinyApp:
    server.load("caddy:2")
    return named_app(request, server, tmp_path / "app", strategy="side-by-side")


def refused(url: str, key: str = "") -> tuple[int, str, str]:
    """Status, body and Retry-After that a visitor gets, perhaps with a key."""
    asked = urllib.request.Request(url, headers={"X-Allfast-Key": key} if key else {})
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(asked, timeout=10)
    return caught.value.code, caught.value.read().decode(), caught.value.headers["Retry-After"]


def test_on_and_off(app: TinyApp, allfast: Cli, server: Server) -> None:
    none = allfast("maintenance", "on", "--json", code=3)
    assert "nothing is deployed" in none.events[0]["message"]
    first = allfast.deploy().result["release"]

    told = allfast("maintenance", "on", "--json")
    assert (told.result["outcome"], told.result["release"], told.result["proven"]) == ("done", first, True)
    (note,) = [e["text"] for e in told.events if e["event"] == "note"]
    found = re.search(r"X-Allfast-Key: (\S+) pass", note)
    assert found
    status, body, again = refused(server.url())
    assert (status, again) == (503, "60")
    assert "<h1>Maintenance</h1>" in body
    assert refused(server.url(8000) + "/api/info")[0] == 503, "all of the application is closed"
    assert refused(server.url(), "not-the-key")[0] == 503
    with urllib.request.urlopen(
        urllib.request.Request(server.url(), headers={"X-Allfast-Key": found[1]}), timeout=10
    ) as reply:
        assert json.load(reply)["web"]["text"] == "web one"
    assert json.loads(allfast("status", "--json").out)["closed"]
    assert "closed   for maintenance" in allfast("status").out
    app.say("web", "web two")
    behind = allfast.deploy()
    assert behind.result["proven"], "what allfast asks bears the key"
    assert {v["result"] for v in json.loads(allfast("status", "--json").out)["versions"]} == {"right"}
    assert found[1] not in behind.out
    second = behind.result["release"]

    replace(app, "allfast.toml", "[services.web]", '[proxy]\nclosed_page = "closed.html"\n\n[services.web]')
    missing = allfast("maintenance", "on", "--json", code=2)
    assert "closed.html cannot be read" in missing.events[0]["message"]
    app.write("closed.html", "<p>Back at {nine} o'clock</p>")
    allfast("maintenance", "on", "--json")
    assert refused(server.url())[1] == "<p>Back at {nine} o'clock</p>"
    with urllib.request.urlopen(
        urllib.request.Request(server.url(), headers={"X-Allfast-Key": found[1]}), timeout=10
    ) as reply:
        assert json.load(reply)["web"]["text"] == "web two", "who works with the key goes on"

    allfast("maintenance", "off", "--json")
    assert page(server.url())["web"]["text"] == "web two"
    assert not json.loads(allfast("status", "--json").out)["closed"]
    off = allfast("maintenance", "off", "--json")
    assert [e["text"] for e in off.events if e["event"] == "note"] == ["it is open"]
    runs = json.loads(allfast("history", "--json").out)
    closed, deployed = "maintenance", "deploy"
    done = [(closed, second), (closed, second), (deployed, second), (closed, first), (deployed, first)]
    assert [(run["kind"], run["release"]) for run in runs] == done
