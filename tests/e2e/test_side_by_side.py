"""Strategy "side-by-side": a release starts beside the one that serves, and one rename gives it to the visitors."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.common import wait_until
from testbed.server import Server
from testbed.tiny_app import TinyApp
from tests.e2e.conftest import file_of, named_app
from tests.e2e.harness import Cli, page, serves
from tests.e2e.looks import image_names, loose_volumes, of_release, put, read, replace

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def machine(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server with the images that the releases and the proxy are made from."""
    server = Server(f"e2e-{file_of(request)}").start()
    server.load("redis:8", "python:3.13-slim", "caddy:2")
    yield server
    server.stop()


@pytest.fixture
def app(request: pytest.FixtureRequest, server: Server, tmp_path: Path) -> TinyApp:
    """The tiny app with this strategy."""
    return named_app(request, server, tmp_path / "app", strategy="side-by-side")


ALONE = """
  alone:
    image: tiny-api
    command: ["python", "-c", "import socket, time; held = socket.create_server(('127.0.0.1', 9901)); time.sleep(9999)"]
    network_mode: host
    init: true
    healthcheck: {test: ["CMD", "true"], interval: 1s}
    restart: unless-stopped
"""


class Visitors:
    """Ask the page again and again until the block ends; each failure, and each answer that mixes two releases."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._over = threading.Event()
        self.texts: list[tuple[str, str]] = []
        self.failures: list[str] = []

    def __enter__(self) -> Visitors:
        self._threads = [threading.Thread(target=self._ask) for _ in range(3)]
        for thread in self._threads:
            thread.start()
        wait_until(lambda: bool(self.texts or self.failures), "the visitors ask", 60)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        while not self._over.wait(0.05):
            try:
                answer = page(self._url)
                self.texts.append((answer["web"]["text"], answer["api"]["text"]))
            except (OSError, urllib.error.URLError, ValueError, KeyError) as error:
                self.failures.append(f"{type(error).__name__}: {error}")


def policies(server: Server, release: str) -> set[str]:
    names = of_release(server, release, running=False).values()
    out = server.docker("inspect", "--format", "{{.HostConfig.RestartPolicy.Name}}", *names).stdout
    return set(out.split())


def test_deploy_and_rollback_lose_no_request(app: TinyApp, allfast: Cli, server: Server) -> None:
    first = allfast.deploy().result["release"]
    assert set(of_release(server, first)) == {"web", "api", "worker"}
    assert policies(server, first) == {"unless-stopped"}
    put(server.url() + "/api/kv/note", "kept")
    put(server.url() + "/api/file/note", "kept, too")

    app.set("web", "TEXT", "web two")
    app.set("api", "TEXT", "api two")
    app.commit("Both change")
    with Visitors(server.url()) as visitors:
        second = allfast.deploy().result["release"]
        assert page(server.url())["web"]["text"] == "web two"
        back = allfast("rollback", "--json", "--yes").result
        assert (back["release"], back["proven"]) == (first, True)
        assert 0 < back["to_switch"] < back["seconds"]
        assert page(server.url())["web"]["text"] == "web one"
        assert allfast("rollback", second, "--json", "--yes").result["release"] == second
    assert visitors.failures == []
    assert set(visitors.texts) == {("web one", "api one"), ("web two", "api two")}, "no answer mixes two releases"

    # warm: what visitors may still use runs, workers have stopped, and nothing of it comes back by itself
    assert set(of_release(server, first)) == {"web", "api"}
    assert policies(server, first) == {"no"}
    assert set(of_release(server, second)) == {"web", "api", "worker"}
    assert policies(server, second) == {"unless-stopped"}
    assert read(server.url() + "/api/kv/note") == "kept"
    assert read(server.url() + "/api/file/note") == "kept, too"

    nothing = allfast.deploy().result
    assert (nothing["outcome"], nothing["to_switch"]) == ("nothing-to-do", None)
    written = allfast("logs", "--since", "1h").out
    assert "web: serving 'web two'" in written
    assert "web: serving 'web one'" not in written, "what is warm is not what visitors get"
    assert "ready to accept connections" in allfast("logs", "data", "--since", "1h").out.lower()
    server.restart()
    serves(server.url(), lambda answer: answer["web"]["text"] == "web two", 60)
    wait_until(lambda: "worker" in of_release(server, second), "the worker is back", 60)
    assert of_release(server, first) == {}, "a reboot brings back the live release, and only it"

    # how containers ended that a reboot or a hand has stopped says nothing of their next start
    assert allfast("rollback", "--json", "--yes").result["release"] == first
    server.docker("stop", of_release(server, first)["web"])
    server.docker("pause", of_release(server, first)["api"])
    allfast("recover")
    assert page(server.url())["web"]["text"] == "web one"


def test_a_bad_release_is_never_seen(app: TinyApp, allfast: Cli, server: Server) -> None:
    """One that never gets healthy, one that ends at its start (incidents 10 and 11), one whose migration fails."""
    first = allfast.deploy().result["release"]
    for setting, words in (("HEALTHY = False", "unhealthy"), ("CRASH = True", "exit code 3")):
        name, _, value = setting.partition(" = ")
        app.set("web", name, value == "True")
        app.commit(setting)
        with Visitors(server.url()) as visitors:
            failed = allfast.deploy(code=1)
        assert words in failed.out
        assert f"visitors get {first}, as before" in failed.out
        assert "serves again" not in failed.out, "it served all the time"
        assert visitors.failures == []
        assert {web for web, _ in visitors.texts} == {"web one"}
        assert {line for line in networks(server) if first not in line} == set(), "nothing of it is left"
        app.set("web", name, value != "True")
    replace(app, "api/migrate.py", "import", "raise SystemExit('no such table')\nimport")
    app.commit("A migration that fails")
    failed = allfast.deploy(code=1)
    assert "no such table" in failed.out
    assert set(of_release(server, first)) == {"web", "api", "worker"}
    assert loose_volumes(server) == set(), "the anonymous ones of what failed are gone with it"


def networks(server: Server) -> list[str]:
    """The networks of releases."""
    out = server.docker("network", "ls", "--filter", "label=com.docker.compose.network", "--format", "{{.Name}}").stdout
    return [name for name in out.split() if name.count("-") > 3]


def test_from_recreate_and_back(app: TinyApp, allfast: Cli, server: Server) -> None:
    """The proxy takes the ports over, and gives them back; a fixed name goes with what serves."""
    replace(app, "compose.yaml", "  web:\n", "  web:\n    container_name: tiny-fixed\n")
    replace(app, "allfast.toml", '"side-by-side"', '"recreate"')
    app.commit("In place")
    first = allfast.deploy().result["release"]
    put(server.url() + "/api/kv/note", "kept")

    replace(app, "allfast.toml", '"recreate"', '"side-by-side"')
    app.set("web", "HEALTHY", value=False)
    app.commit("Beside, and bad")
    allfast.deploy(code=1)
    assert page(server.url())["web"]["text"] == "web one"
    app.set("web", "HEALTHY", value=True)
    app.say("web", "web two")
    plan = json.loads(allfast("plan", "--json").out)
    assert any("ports" in line for line in plan["proxy"]), plan["proxy"]
    second = allfast.deploy().result["release"]
    assert page(server.url())["web"]["text"] == "web two"
    assert "tiny-fixed" in of_release(server, second).values()

    assert allfast("rollback", "--json", "--yes").result["release"] == first
    assert page(server.url())["web"]["text"] == "web one"
    assert set(of_release(server, first)) == {"web", "api", "worker"}, "how a release comes up is today's choice"
    assert allfast("rollback", second, "--json", "--yes").result["release"] == second

    # what cannot run twice stops before its successor starts, and runs again where that fails
    replace(app, "compose.yaml", "\nvolumes:\n", ALONE + "\nvolumes:\n")
    app.commit("One that holds a port of the server itself")
    third = allfast.deploy().result["release"]
    replace(app, "allfast.toml", '"side-by-side"', '"recreate"')
    app.set("web", "CRASH", value=True)
    app.commit("In place, and bad")
    assert "exit code 3" in allfast.deploy(code=1).out
    assert page(server.url())["web"]["text"] == "web two"
    assert set(of_release(server, third)) == {"web", "api", "worker", "alone"}, "what stopped for its successor"
    app.set("web", "CRASH", value=False)
    app.commit("In place again")
    plan = json.loads(allfast("plan", "--json").out)
    assert plan["proxy"] == [
        "proxy: it gives the application's ports back to its containers: a gap until they are healthy"
    ]
    allfast.deploy()
    assert page(server.url())["web"]["text"] == "web two"
    names = server.docker("ps", "--all", "--format", "{{.Names}}").stdout
    assert "allfast-proxy" not in names
    assert networks(server) == []
    assert read(server.url() + "/api/kv/note") == "kept"


def app_name(allfast: Cli) -> str:
    return str(json.loads(allfast("status", "--json").out)["deployment"])


def test_a_warm_release_ends_by_itself(app: TinyApp, allfast: Cli, server: Server) -> None:
    """After `keep_warm` a process that the deploy left removes it; a rollback then starts it anew."""
    replace(app, "allfast.toml", "default_target", 'keep_warm = "5s"\ndefault_target')
    replace(app, "compose.yaml", "API: http://api:8000", "API: http://api:8000\n      WEB_TOKEN: web one")
    app.commit("Warm for a moment")
    first = allfast.deploy().result["release"]
    app.say("web", "web two")
    server.ssh("rm -rf ~/.cache/allfast")  # as after an update of allfast: the agent comes anew, and is in memory only
    second = allfast.deploy().result["release"]
    wait_until(lambda: not of_release(server, first, running=False), "the first release is removed", 60)
    wait_until(lambda: json.loads(allfast("status", "--json").out)["lock"] is None, "the lock is free", 60)
    assert not [name for name in networks(server) if first in name]
    kept = server.ssh(f"cat /var/lib/allfast/{app_name(allfast)}/releases/{first}/last.log").stdout
    assert "serving '***'" in kept, "what it printed, without its secrets"
    runs = json.loads(allfast("history", "--json").out)
    assert [run["kind"] for run in runs][:1] == ["retire"], runs
    assert allfast("rollback", "--json", "--yes").result["release"] == first
    assert page(server.url())["web"]["text"] == "web one"
    assert set(of_release(server, second)) <= {"web", "api"}


def test_22_a_proxy_that_uses_another_configuration(app: TinyApp, allfast: Cli, server: Server) -> None:
    """What the running proxy really uses is read back; status tells the difference, and a deploy mends it."""
    allfast.deploy()
    folder = "/var/lib/allfast/_proxy"
    server.ssh(f"sed 's/web[.]/gone./g' {folder}/caddy.json > {folder}/other.json")
    address = ["--address", "unix//state/run/admin.sock"]
    server.docker("exec", "allfast-proxy", "caddy", "reload", "--config", "/state/other.json", *address)
    drift = json.loads(allfast("status", "--json").out)["drift"]
    assert drift == {"proxy": "the configuration that it uses is not the one that it was given"}
    mended = allfast.deploy()
    assert mended.plan["mends"] == ["proxy: the configuration that it uses is not the one that it was given"]
    assert mended.result["proven"]
    assert json.loads(allfast("status", "--json").out)["drift"] == {}
    assert page(server.url())["web"]["text"] == "web one"


def test_25_what_fails_after_the_switch_ends_with_one_release(app: TinyApp, allfast: Cli, server: Server) -> None:
    """Through the URL another version answers than the release's: visitors are switched back, and lose no request."""
    first = allfast.deploy().result["release"]
    replace(app, "allfast.toml", server.url(80), server.url(8000))
    replace(app, "allfast.toml", '"/version"', '"/api/version"')
    app.set("web", "TEXT", "web two")
    replace(app, "web/app.py", '"/version"', '"/api/version"')
    app.commit("The URL answers for another service")
    with Visitors(server.url()) as visitors:
        failed = allfast.deploy(code=1)
    assert "through 127.0.0.1" in failed.out
    assert visitors.failures == []
    assert page(server.url())["web"]["text"] == "web one"
    assert set(of_release(server, first)) == {"web", "api", "worker"}
    assert [name for name in networks(server) if first not in name] == []
    assert json.loads(allfast("status", "--json").out)["serving"] == first

    # the state folder is gone: what serves all the same is told, and a failing deploy does not take it from visitors
    state, images = f"/var/lib/allfast/{app_name(allfast)}", image_names(server, app_name(allfast))
    server.ssh(f"mv {state} /root/lost")
    told = allfast("status").out
    assert f"the ledger knows no release, but the proxy leads to {first}" in told
    assert "nothing is deployed here yet" not in told
    assert "there is nothing to go by" in allfast("recover", code=3).err
    refused = allfast.deploy(code=3).out
    assert "the ledger knows no release, but containers of api, web, worker run" in refused
    with Visitors(server.url()) as visitors:
        failed = allfast.deploy("--force", "the state is lost", code=1)
    assert "through 127.0.0.1" in failed.out
    assert visitors.failures == []
    assert page(server.url())["web"]["text"] == "web one"
    assert [name for name in networks(server) if first not in name] == []
    server.ssh(f"rm -r {state} && mv /root/lost {state}")
    seen = json.loads(allfast("status", "--json").out)
    assert (seen["live"]["id"], seen["serving"], seen["drift"]) == (first, first, {})
    assert {name for name in images if name.endswith(first)} <= image_names(server, app_name(allfast))


def test_a_worker_that_does_not_come_up_keeps_no_visitor_waiting(app: TinyApp, allfast: Cli, server: Server) -> None:
    replace(app, "api/worker.py", "ending = ", 'if redis("GET", "kv:poison"):\n    raise SystemExit(9)\nending = ')
    app.commit("A worker that can be broken")
    live = allfast.deploy().result["release"]
    put(server.url() + "/api/kv/poison", "yes")
    server.docker("exec", of_release(server, live)["worker"], "rm", "/tmp/works")  # or it is healthy until it ends
    server.docker("restart", of_release(server, live)["worker"])
    deployment = json.loads(allfast("status", "--json").out)["deployment"]
    server.ssh(f"printf nothing.0 >/var/lib/allfast/_proxy/apps/{deployment}/live")
    failed = next(e for e in allfast("recover", "--json", code=4).events if e["event"] == "error")
    assert "worker: container" in failed["message"]
    assert page(server.url())["web"]["text"] == "web one"
