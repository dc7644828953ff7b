"""What the proxy does with requests: routes, compression, who asks, the access log."""

from __future__ import annotations

import gzip
import json
import threading
import urllib.request
from typing import Any

import pytest

from allfast.model.routing import Fragment, Listen, RouteSet, switch_content
from allfast.proxy import rules
from allfast.proxy.caddy import compose
from testbed.common import wait_until
from testbed.server import Server
from tests.e2e.edge import PLAIN, Page, Town, ask, route

pytestmark = pytest.mark.e2e

OTHER = Listen("", 8080)


def test_the_longest_path_and_the_most_exact_host_answer(chat: Town) -> None:
    routes = RouteSet(
        (
            route("web"),
            route("api", path="/api"),
            route("deep", path="/api/deep/"),
            route("any", host="*.example.org"),
            route("one", host="one.example.org", path="/only"),
        )
    )
    chat.open(routes)
    for service in routes.services:
        chat.run("r1", routes, service, name=service)
    chat.switch("r1", routes)
    url = chat.server.url(80)
    asked = {
        ("", "/"): "web",
        ("", "/apix"): "web",
        ("", "/api"): "api",
        ("", "/api/x?y"): "api",
        ("", "/api/deep"): "deep",
        ("", "/api/deep/x"): "deep",
        ("two.example.org", "/only"): "any",
        ("one.example.org", "/only/x"): "one",
        ("one.example.org", "/"): "any",
        ("example.org", "/"): "web",
    }
    found = {(host, path): ask(url + path, host).told["name"] for host, path in asked}
    assert found == asked
    assert ask(url + "/api/x?y").told["path"] == "/api/x?y"


def test_what_no_route_takes_is_not_found(chat: Town) -> None:
    routes = RouteSet((route("web", host="chat.example.org"),))
    chat.open(routes)
    chat.run("r1", routes)
    chat.switch("r1", routes)
    assert ask(chat.server.url(80), "chat.example.org").status == 200
    assert ask(chat.server.url(80), "other.example.org").status == 404


def test_the_rename_switches_routes_too_and_only_other_routes_are_loaded(chat: Town) -> None:
    old, new = PLAIN, RouteSet((route(), route("api", path="/api")))
    chat.open(old)
    url = chat.server.url(80)
    chat.run("r1", old)
    chat.switch("r1", old)
    assert not chat.apply(old)
    assert chat.apply(old, new)
    chat.run("r2", new)
    chat.run("r2", new, "api", name="r2 api")
    assert ask(url + "/api").told["name"] == "r1"
    chat.switch("r2", new)
    assert ask(url + "/api").told["name"] == "r2 api"
    chat.switch("r1", old)
    assert ask(url + "/api").told["name"] == "r1"
    assert not chat.apply(old, new)
    assert chat.edge.look().running == compose([Fragment("chat", (old, new))])


def test_without_a_switch_file_requests_are_held_until_it_is_there(chat: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "HOLD", "10s")  # a busy machine needs some of them to see that it waits
    chat.open(PLAIN)
    chat.run("r1")
    chat.switch("r1")
    url = chat.server.url(80)
    assert chat.edge.switch(None) == switch_content("r1", PLAIN)
    pages: list[Page] = []
    asking = threading.Thread(target=lambda: pages.append(ask(url)))
    asking.start()
    wait_until(lambda: "failed to read file" in _log(chat), "the request to be there", 9)
    assert not pages
    chat.switch("r1")
    asking.join()
    assert pages[0].told["name"] == "r1"
    chat.edge.switch(None)
    assert ask(url).status == 502


def _log(chat: Town) -> str:
    done = chat.server.docker("logs", "allfast-proxy")
    return done.stdout + done.stderr


def test_text_is_compressed_and_an_event_stream_is_not(chat: Town) -> None:
    chat.open(PLAIN)
    chat.run("r1")
    chat.switch("r1")
    url = chat.server.url(80)
    page = ask(url + "/padded", Accept_Encoding="gzip")
    assert page.headers["Content-Encoding"] == "gzip"
    assert json.loads(gzip.decompress(page.body))["name"] == "r1"
    assert "Content-Encoding" not in ask(url + "/padded").headers
    request = urllib.request.Request(url + "/events", headers={"Accept-Encoding": "gzip, zstd"})
    with urllib.request.urlopen(request, timeout=10) as reply:
        assert reply.readline() == b'data: {"name": "r1"}\n'
        assert "Content-Encoding" not in reply.headers


# Who asks


def test_the_clients_address_arrives_and_what_it_says_of_itself_does_not(chat: Town) -> None:
    chat.open(PLAIN)
    chat.run("r1")
    chat.switch("r1")
    lies = {
        "X_Forwarded_For": "9.9.9.9",
        "X_Forwarded_Proto": "https",
        "X_Real_Ip": "9.9.9.9",
        "Forwarded": "for=9.9.9.9",
    }
    told = ask(chat.server.url(80), "chat.example.org", **lies, X_Forwarded_Port="9").told["headers"]
    assert told["x-forwarded-for"] == _outside(chat.server)
    assert (told["x-forwarded-proto"], told["x-forwarded-host"]) == ("http", "chat.example.org")
    assert told["host"] == "chat.example.org"
    assert not {"x-real-ip", "forwarded", "x-forwarded-port"} & told.keys()


def test_a_trusted_proxy_is_believed(chat: Town) -> None:
    outside = _outside(chat.server)
    trusting = RouteSet((route(),), (f"{outside}/32",))
    chat.open(trusting)
    chat.run("r1", trusting)
    chat.switch("r1", trusting)
    said = {"X_Forwarded_For": "9.9.9.9", "X_Forwarded_Proto": "https", "X_Real_Ip": "9.9.9.9"}
    told = ask(chat.server.url(80), **said).told["headers"]
    assert told["x-forwarded-for"] == f"9.9.9.9, {outside}"
    assert (told["x-forwarded-proto"], told["x-real-ip"]) == ("https", "9.9.9.9")
    words = "import urllib.request as u; r = u.Request('http://127.0.0.1', headers={'X-Forwarded-For': '9.9.9.9'})"
    stranger = chat.server.exec(["python3", "-c", f"{words}; print(u.urlopen(r).read().decode())"])
    assert "9.9.9.9" not in stranger.stdout


def _outside(server: Server) -> str:
    """This machine's address as the server sees it: its way out."""
    return server.exec(["sh", "-c", "ip route show default | cut -d' ' -f3"]).stdout.strip()


def test_the_access_log_tells_of_requests_and_keeps_no_credentials(chat: Town) -> None:
    chat.open(PLAIN)
    chat.run("r1")
    chat.switch("r1")
    ask(chat.server.url(80) + "/page", Authorization="Bearer s3cret", Cookie="login=s3cret")
    log = f"{chat.edge.look().folder}/log/access.log"
    lines: list[dict[str, Any]] = []

    def written() -> bool:
        """It is written after the answer."""
        lines[:] = map(json.loads, chat.server.exec(["cat", log]).stdout.splitlines())
        return any(one["request"]["uri"] == "/page" for one in lines)

    wait_until(written, "the request in the log", 20)
    (line,) = [one for one in lines if one["request"]["uri"] == "/page"]
    assert (line["status"], line["request"]["remote_ip"]) == (200, _outside(chat.server))
    assert "s3cret" not in json.dumps(lines)
    owner, mode = chat.server.exec(["stat", "-c", "%G %a", log]).stdout.split()
    assert (owner, mode) == ("docker", "640")


def test_the_key_of_a_closed_app_is_in_no_log_and_reaches_no_container(chat: Town) -> None:
    chat.open(PLAIN)
    chat.run("r1")
    chat.switch("r1")
    chat.edge.close("<p>Closed</p>", "the-k3y")
    url = chat.server.url(80)
    passed = ask(url + "/passes", X_Allfast_Key="the-k3y")
    assert passed.told["name"] == "r1"
    assert "x-allfast-key" not in passed.told["headers"]
    assert ask(url + "/wrong", X_Allfast_Key="the-k3y-not").status == 503
    chat.edge.switch(None)
    assert ask(url + "/fails", X_Allfast_Key="the-k3y").status == 502
    log = f"{chat.edge.look().folder}/log/access.log"

    def requests() -> str:
        return chat.server.exec(["cat", log]).stdout

    wait_until(lambda: all(path in requests() for path in ("/passes", "/wrong", "/fails")), "the access log", 20)
    wait_until(lambda: "/fails" in _log(chat), "the failure in the proxy's own log", 20)
    assert "the-k3y" not in requests() + _log(chat)
