"""Which apps claim the same requests, and what is said of it."""

from __future__ import annotations

import pytest

from allfast.errors import RefusedError
from allfast.model.routing import Fragment, Listen, Route, RouteSet, switch_content
from allfast.proxy.change import check_claims
from allfast.remote.proxy import ProxyState

HTTP = Listen("", 80)


def part(deployment: str, host: str, path: str) -> Fragment:
    return Fragment(deployment, (RouteSet((Route("web", 3000, host, path, HTTP),)),))


def state(other: Fragment) -> ProxyState:
    """A proxy that leads to a release of that app."""
    live = {other.deployment: switch_content("R1", other.sets[-1])}
    return ProxyState("/state", None, False, True, (), (other,), live, {}, (), key="")


@pytest.mark.parametrize(
    ("host", "path", "words"),
    [
        ("", "/", "requests to any host, path /, at port 80 are tiny's on this server"),
        ("a.test", "/api", "requests to a.test, path /api, at port 80 are tiny's on this server"),
    ],
)
def test_two_apps_that_claim_the_same_requests(host: str, path: str, words: str) -> None:
    with pytest.raises(RefusedError) as caught:
        check_claims(state(part("tiny", host, path)), part("chat", host, path))
    assert caught.value.message == words
    assert "chat" in caught.value.hint


@pytest.mark.parametrize(("host", "path"), [("b.test", "/api"), ("a.test", "/")])
def test_another_host_or_path_is_no_claim(host: str, path: str) -> None:
    check_claims(state(part("tiny", "a.test", "/api")), part("chat", host, path))
