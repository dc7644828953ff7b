"""The proxy in trouble: refusals, kills, exchanges cut off, several applications at once."""

from __future__ import annotations

import threading

import pytest

from allfast.errors import RefusedError, RemoteError
from allfast.model.routing import Fragment, Listen, RouteSet
from allfast.model.server import LockHolder
from allfast.proxy.caddy import compose
from allfast.proxy.change import is_as_composed
from allfast.remote.failures import AgentRefusal
from testbed import bases
from testbed.common import wait_until
from tests.e2e.edge import PLAIN, Town, ask, route, town

pytestmark = pytest.mark.e2e

OTHER = Listen("", 8080)


def test_a_configuration_that_caddy_refuses_leaves_the_one_in_use(chat: Town) -> None:
    chat.open(PLAIN)
    chat.run("r1")
    chat.switch("r1")
    before = chat.edge.look()
    wrong = RouteSet((route(),), ("no network",))
    with pytest.raises(AgentRefusal, match="invalid IP address") as caught:
        chat.apply(PLAIN, wrong)
    assert "the proxy refuses the configuration" in caught.value.message
    assert chat.edge.look() == before
    assert ask(chat.server.url(80)).told["name"] == "r1"
    chat.server.docker("restart", "allfast-proxy")
    wait_until(lambda: chat.edge.look().running == before.running, "the proxy", 60)


def test_a_killed_proxy_serves_the_same_release_again(chat: Town) -> None:
    chat.open(PLAIN)
    for release in ("r1", "r2"):
        chat.run(release)
    chat.switch("r1")
    chat.switch("r2")
    pid = chat.server.docker("inspect", "-f", "{{.State.Pid}}", "allfast-proxy").stdout.strip()
    chat.server.exec(["kill", "-9", pid])
    wait_until(lambda: chat.edge.look().running is not None, "the proxy, started again by the engine", 60)
    assert ask(chat.server.url(80)).told["name"] == "r2"
    chat.server.docker("kill", "allfast-proxy")
    state = chat.edge.look()
    assert state.running is None and state.container is not None
    assert chat.edge.needed(state, Fragment("chat", (PLAIN,))).kind == "start"
    chat.switch("r1")
    chat.edge.serve(state.container.id)
    assert ask(chat.server.url(80)).told["name"] == "r1"


def test_a_proxy_that_cannot_have_its_ports_leaves_the_one_that_serves(chat: Town) -> None:
    chat.open(PLAIN)
    chat.run("r1")
    chat.switch("r1")
    chat.server.docker("run", "-d", "--name", "foreign", "-p", "8080:80", bases.PYTHON.tag, "sleep", "1000")
    wide = RouteSet((route(), route(listen=OTHER)))
    with pytest.raises(RemoteError, match=r"port is already allocated"):
        chat.open(PLAIN, wide)
    assert ask(chat.server.url(80)).told["name"] == "r1"
    state = chat.edge.look()
    assert [(one.name, one.running) for one in state.containers] == [("allfast-proxy", True)]
    chat.server.docker("rm", "-f", "foreign")
    change = chat.edge.needed(state, Fragment("chat", (PLAIN, wide)))
    assert (change.kind, change.reasons) == ("recreate", ("port 8080 is to be published",))
    chat.open(PLAIN, wide)
    chat.run("r2", wide)
    chat.switch("r2", wide)
    assert ask(chat.server.url(8080)).told["name"] == ask(chat.server.url(80)).told["name"] == "r2"
    assert [one.name for one in chat.edge.look().containers] == ["allfast-proxy"]


@pytest.mark.parametrize("serves", [True, False], ids=["the new one serves", "none serves"])
def test_an_exchange_that_was_cut_off_is_finished_by_the_next(chat: Town, serves: bool) -> None:
    chat.open(PLAIN)
    chat.run("r1")
    chat.switch("r1")
    first = chat.edge.look().container
    assert first is not None
    wide = RouteSet((route(), route(listen=OTHER)))
    chat.apply(PLAIN, wide)
    second = chat.edge.create([("", 80), ("", 8080)])
    chat.server.docker("stop", "-t", "0", first.id)
    if serves:
        chat.server.docker("start", second)
        wait_until(lambda: chat.edge.look().running is not None, "the new one", 60)
        assert ask(chat.server.url(80)).told["name"] == "r1"
        assert chat.edge.needed(chat.edge.look(), Fragment("chat", (PLAIN, wide))).kind == "none"
    chat.open(PLAIN, RouteSet((route(), route(listen=Listen("", 8000)))))
    assert ask(chat.server.url(80)).told["name"] == "r1"
    (left,) = chat.edge.look().containers
    assert (left.name, left.running, left.id in (first.id, second)) == ("allfast-proxy", True, False)


def test_an_exchange_goes_on_without_the_laptop(chat: Town) -> None:
    chat.open(PLAIN)
    chat.run("r1")
    chat.switch("r1")
    first = chat.edge.look().container
    assert first is not None
    with town(chat.server, "shop") as shop:
        second = shop.edge.create([("", 80), ("", 8080)])

        def exchange() -> None:
            with pytest.raises(RemoteError):
                shop.edge.serve(second)

        exchanging = threading.Thread(target=exchange)
        exchanging.start()
        runs = ("inspect", "--format", "{{.State.Running}}", first.id)
        wait_until(lambda: "true" not in chat.server.docker(*runs, check=False).stdout, "the first one to stop", 60)
        shop.remote._transport.cut()
        exchanging.join(60)
        assert not exchanging.is_alive()
    names = (
        "ps",
        "--all",
        "--no-trunc",
        "--filter",
        "label=allfast.proxy",
        "--format",
        "{{.Names}} {{.ID}} {{.State}}",
    )
    wanted = f"allfast-proxy {second} running"
    wait_until(lambda: chat.server.docker(*names).stdout.strip() == wanted, "the second one alone", 60)
    assert ask(chat.server.url(80)).told["name"] == "r1"


def test_changes_need_the_locks(chat: Town) -> None:
    part = Fragment("chat", (PLAIN,))
    with pytest.raises(AgentRefusal) as caught:
        chat.remote.proxy.apply(part, compose([part]), {})
    assert caught.value.kind == "not-locked"
    with town(chat.server, "shop") as shop:
        shop.remote._unlock()
        with pytest.raises(AgentRefusal):
            shop.edge.switch("r1.x")


# Several apps


def test_two_apps_share_the_proxy_and_never_lose_each_others_routes(chat: Town) -> None:
    mine, theirs = RouteSet((route(host="chat.test"),)), RouteSet((route(host="shop.test"),))
    chat.open(mine)
    url = chat.server.url(80)
    with town(chat.server, "shop", "ops") as shop:
        shop.open(theirs)
        chat.run("r1", mine, name="chat")
        shop.run("r1", theirs, name="shop")
        chat.switch("r1", mine)
        shop.switch("r1", theirs)

        told: list[LockHolder] = []

        def add(one: Town, first: RouteSet, host: str) -> None:
            more = RouteSet((*first.routes, route(host=host, path="/more")))
            one.edge.apply(Fragment(one.deployment, (first, more)), told.append)

        both = ((chat, mine, "chat.test"), (shop, theirs, "shop.test"))
        threads = [threading.Thread(target=add, args=one) for one in both]
        with town(chat.server, "wiki") as wiki, wiki.remote.proxy.lock("both wait for it"):
            for one in threads:
                one.start()
            wait_until(lambda: len(told) == 2, "both to wait", 60)
        for one in threads:
            one.join()
        state = chat.edge.look()
        assert is_as_composed(state) is True
        assert [[len(one.routes) for one in part.sets] for part in state.parts] == [[1, 2], [1, 2]]
        assert [ask(url, host).told["name"] for host in ("chat.test", "shop.test")] == ["chat", "shop"]
        with pytest.raises(RefusedError, match=r"requests to shop.test, path /, at port 80 are shop's"):
            chat.apply(RouteSet((route(host="shop.test"),)))
        change = chat.edge.needed(state, Fragment("chat", (mine, RouteSet((route(listen=OTHER),)))))
        assert (change.kind, change.apps) == ("recreate", ("shop",))
        chat.edge.remove()
        assert ask(url, "chat.test").status == 404
        assert ask(url, "shop.test").told["name"] == "shop"
        assert [part.deployment for part in chat.edge.look().parts] == ["shop"]


def test_who_waits_for_the_proxys_lock_is_told_and_gets_it_when_the_holder_dies(chat: Town) -> None:
    told: list[LockHolder] = []
    part = Fragment("chat", (PLAIN,))
    waiting = threading.Thread(target=lambda: chat.edge.apply(part, told.append))
    with town(chat.server, "shop") as shop, shop.remote.proxy.lock("routes of shop"):
        waiting.start()
        wait_until(lambda: bool(told), "the holder to be told", 60)
        assert told[0].doing == "routes of shop"
        assert waiting.is_alive()
        shop.remote._transport.cut()
        waiting.join(60)
        assert not waiting.is_alive()
    assert chat.edge.look().part("chat") == part
