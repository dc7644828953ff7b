"""The proxy's configuration from the parts of all apps: what is asked first, what guards it, what cannot be."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allfast.errors import UsageError
from allfast.model.routing import Acme, Fragment, Listen, Route, RouteSet, digest_of, release_of, switch_content
from allfast.proxy.caddy import compose, published
from allfast.proxy.canary import asking_for, canary_content, canary_line
from allfast.remote.codec import from_json, to_json

HTTP, HTTPS = Listen("", 80), Listen("", 443, tls=True)


def route(service: str = "web", host: str = "", path: str = "/", listen: Listen = HTTP) -> Route:
    return Route(service, 3000, host, path, listen)


def rules(config: dict[str, Any], server: str = "p80") -> list[tuple[str, str, str, str]]:
    """Host, path, guard and what is done, in the order in which Caddy asks."""
    found = []
    for one in config["apps"]["http"]["servers"][server]["routes"]:
        match = one.get("match", [{}])[0]
        if "vars_regexp" not in match or "file" in match:  # the page of a closed app has a test of its own
            continue
        (guard,) = [value["pattern"] for value in match["vars_regexp"].values()]
        last = one["handle"][-1]
        done = last["upstreams"][0]["dial"] if last["handler"] == "reverse_proxy" else str(last["status_code"])
        found.append((match.get("host", [""])[0], match.get("path", [""])[0], guard, done))
    return found


def test_the_more_exact_route_is_asked_first() -> None:
    one = RouteSet(
        (
            route("a"),
            route("b", path="/api"),
            route("c", host="*.example.org"),
            route("d", host="*.very.example.org"),
            route("e", host="x.example.org"),
            route("f", host="x.example.org", path="/api/v2/"),
        )
    )
    live = [rule for rule in rules(compose([Fragment("chat", (one,))])) if rule[2] != "^$"]
    assert [dial[0] for *_, dial in live] == ["f", "e", "d", "c", "b", "a"]


def test_a_closed_app_answers_with_its_page_before_each_of_its_routes() -> None:
    config = compose([Fragment("chat", (RouteSet((route(), route("api", path="/api"))),)), Fragment("shop", ())])
    routes = config["apps"]["http"]["servers"]["p80"]["routes"]
    closed = [number for number, one in enumerate(routes) if "closed.html" in str(one.get("match"))]
    assert len(closed) == 4, "of each route, with and without a switch file"
    for number in closed:
        match, (handler,) = routes[number]["match"][0], routes[number]["handle"]
        assert match["file"] == {"root": "/state/apps/chat", "try_files": ["closed.html"]}
        assert match["not"] == [{"vars": {"{http.request.header.X-Allfast-Key}": ["{file./state/apps/chat/key}"]}}]
        assert (handler["status_code"], handler["body"]) == (503, "{file./state/apps/chat/closed.html}")
        after = next(one for one in routes[number + 1 :] if "file" not in one["match"][0])
        assert after["match"][0].get("path") == match.get("path")


@pytest.mark.parametrize("believed", [(), ("10.0.0.0/8",)], ids=["no proxy before", "a proxy before"])
def test_the_key_of_a_closed_app_is_in_no_log_and_reaches_no_container(believed: tuple[str, ...]) -> None:
    config = compose([Fragment("chat", (RouteSet((route(),), believed),))])
    for log in config["logging"]["logs"].values():
        assert log["encoder"]["fields"] == {"request>headers>X-Allfast-Key": {"filter": "delete"}}
    passed = [one["handle"] for one in config["apps"]["http"]["servers"]["p80"]["routes"] if "upstreams" in str(one)]
    assert len(passed) == 2
    for handlers in passed:
        assert handlers[0]["handler"] == "headers"
        assert "X-Allfast-Key" in handlers[0]["request"]["delete"]


def test_a_set_counts_only_while_the_switch_file_ends_with_its_digest() -> None:
    old, new = RouteSet((route(),)), RouteSet((route("api", path="/api"), route()))
    found = rules(compose([Fragment("chat", (old, new))]))
    assert ("", "/api", rf"\.{new.digest}$", "api.{http.vars.allfast.chat}.chat:3000") in found
    assert ("", "", rf"\.{old.digest}$", "web.{http.vars.allfast.chat}.chat:3000") in found
    held = [rule for rule in found if rule[2] == "^$"]
    assert {dial for *_, dial in held} == {
        "api.{file./state/apps/chat/live}.chat:3000",
        "web.{file./state/apps/chat/live}.chat:3000",
    }


def test_plain_requests_of_an_https_host_are_sent_there() -> None:
    both = RouteSet((route(host="chat.test", listen=HTTPS), route("hook", host="chat.test", path="/hook")))
    assert both.listens == (HTTP, HTTPS)
    config = compose([Fragment("chat", (both,), Acme("https://acme.test/dir", "a@chat.test", "PEM"))])
    live = [rule for rule in rules(config) if rule[2] != "^$"]
    assert [(host, path, done[:4]) for host, path, _, done in live] == [
        ("chat.test", "/hook", "hook"),
        ("chat.test", "", "308"),
    ]
    (policy,) = config["apps"]["tls"]["automation"]["policies"]
    assert policy["subjects"] == ["chat.test"]
    assert policy["issuers"][0]["trusted_roots_pem_files"] == ["/state/apps/chat/acme-root.pem"]
    assert RouteSet((route(host="chat.test", listen=HTTPS),)).listens == (HTTP, HTTPS)


@pytest.mark.parametrize(
    "parts",
    [
        (Fragment("a", (RouteSet((route(listen=Listen("127.0.0.1", 80)),)),)), Fragment("b", (RouteSet((route(),)),))),
        (Fragment("a", (RouteSet((route(listen=Listen("", 443)),)), RouteSet((route(host="h", listen=HTTPS),)))),),
        (Fragment("a", (RouteSet((route(listen=HTTPS),)),)),),
    ],
    ids=["two addresses of one port", "with and without HTTPS", "HTTPS without a host"],
)
def test_what_cannot_be_is_wrong_usage(parts: tuple[Fragment, ...]) -> None:
    with pytest.raises(UsageError) as caught:
        compose(parts)
    assert caught.value.hint


def test_an_older_set_may_have_had_another_address() -> None:
    old, new = RouteSet((route(listen=Listen("127.0.0.1", 80)),)), RouteSet((route(),))
    assert published([Fragment("chat", (old, new))]) == (HTTP,)
    assert len(rules(compose([Fragment("chat", (old, new))]))) == 3


names = st.sampled_from(["web", "api", "deep"])
routes = st.builds(
    Route,
    names,
    st.integers(1, 65535),
    st.sampled_from(["", "a.test", "*.b.test"]),
    st.sampled_from(["/", "/api", "/api/"]),
    st.builds(Listen, st.just(""), st.sampled_from([80, 8080])),
    st.booleans(),
)
sets = st.builds(RouteSet, st.lists(routes, min_size=1, max_size=5).map(tuple), st.just(("10.0.0.0/8",)))


@given(st.lists(sets, min_size=1, max_size=3), st.randoms())
def test_the_order_in_which_things_are_named_makes_no_difference(found: list[RouteSet], random: Any) -> None:
    parts = [Fragment(name, tuple(found)) for name in ("chat", "shop", "wiki")]
    shuffled = random.sample(parts, len(parts))
    assert compose(shuffled) == compose(parts)
    assert json.loads(json.dumps(compose(parts))) == compose(parts)
    for one in found:
        other = RouteSet(tuple(random.sample(one.routes, len(one.routes))), one.trusted_proxies)
        assert other.digest == one.digest
        assert from_json(RouteSet, json.loads(json.dumps(to_json(one)))) == one


def test_what_the_switch_file_holds_can_be_taken_apart() -> None:
    one = RouteSet((route(),))
    content = switch_content("20261122-203000-1a2b3c4-dirty", one)
    assert (release_of(content), digest_of(content + "\n")) == ("20261122-203000-1a2b3c4-dirty", one.digest)
    assert (release_of(""), digest_of("")) == ("", "")


def test_a_new_set_is_the_newest_and_others_stay_while_they_are_kept() -> None:
    first, second, third = (RouteSet((route(path=path),)) for path in ("/1", "/2", "/3"))
    part = Fragment("chat", (first, second)).adding(third, frozenset({second.digest}))
    assert part.sets == (second, third)
    assert part.adding(second, frozenset({third.digest})).sets == (third, second)


def test_going_back_to_a_former_set_is_no_other_configuration() -> None:
    """Each other configuration makes the proxy load it, which clients may notice."""
    first, second = (RouteSet((route(path=path), route("api", path="/api"))) for path in ("/1", "/2"))
    part = Fragment("chat", (first, second))
    back = part.adding(first, frozenset())
    assert back.sets == (second, first)
    assert compose([back]) == compose([part])


def test_a_canary_is_chosen_before_all_routes_and_remembered_by_each() -> None:
    both = RouteSet((route(host="chat.test", listen=HTTPS), route("api")))
    config = compose([Fragment("chat", (both,)), Fragment("shop", (RouteSet((route(path="/shop"),)),))])
    for server, apps in (("p80", ["chat", "shop"]), ("p443", ["chat"])):
        routes = config["apps"]["http"]["servers"][server]["routes"]
        chosen = [number for number, one in enumerate(routes) if "'canary'" in str(one.get("match"))]
        assert chosen == list(range(2, 2 + len(apps))), "after the switch files are read, before the first route"
        there = [routes[number]["match"] for number in chosen]
        assert there == [[{"file": {"root": f"/state/apps/{app}", "try_files": ["canary"]}}] for app in apps]
    cookies = {
        server: {text for text in _texts(config["apps"]["http"]["servers"][server]) if "Max-Age" in text}
        for server in ("p80", "p443")
    }
    assert {text.partition("=")[0] for text in cookies["p80"]} == {"allfast-canary-chat", "allfast-canary-shop"}
    assert not any("Secure" in text for text in cookies["p80"])
    (cookie,) = cookies["p443"]
    for word in ("Path=/", "SameSite=Lax", "HttpOnly", "Secure", "Max-Age=86400"):
        assert word in cookie.split("; ")


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for part in parts for text in _texts(part)]


@pytest.mark.parametrize(("share", "threshold"), [(0, "0000"), (1, "028f"), (10, "1999"), (50, "8000"), (99, "fd70")])
def test_a_share_is_a_threshold_of_four_digits(share: int, threshold: str) -> None:
    line = canary_line(share, "r2.1a2b3c4d")
    assert line == f"{threshold} r2.1a2b3c4d"
    assert (canary_content(line + "\n"), canary_content("")) == ("r2.1a2b3c4d", "")
    cookie = asking_for("canary", "chat", canary_content(line))["Cookie"]
    assert cookie == "allfast-canary-chat=0000.canary.r2.1a2b3c4d"


def test_who_brings_a_certificate_needs_no_authority() -> None:
    part = Fragment(
        "chat", (RouteSet((route(host="chat.test", listen=HTTPS),)),), Acme("https://acme.test/dir"), "1a2b"
    )
    (loaded,) = compose([part])["apps"]["tls"]["certificates"]["load_files"]
    assert loaded["certificate"] == "/state/apps/chat/certificate-1a2b.pem"
    assert loaded["key"] == "/state/apps/chat/certificate-1a2b.key"
    assert "automation" not in compose([part])["apps"]["tls"]
    assert part.adding(RouteSet((route(),)), frozenset()).certificate == "1a2b"
