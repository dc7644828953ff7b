"""Deploys and rollbacks under load: no request fails, and no answer mixes two releases.

All kinds of clients come at once, over HTTPS: HTTP/1.1 and HTTP/2 connections that are kept, new ones, answers of two
seconds, large uploads, an event stream and a WebSocket. The control at the end shows that the load is hard enough.
ALLFAST_LOAD_ROUNDS sets how many deploys and rollbacks there are; `make load` has 20 of each.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from allfast.model.routing import release_of
from allfast.proxy.caddy import compose
from testbed.load_app import make_load_app, named
from testbed.server import Server
from testbed.traffic import Mix, Report, Target, Traffic
from tests.e2e.certificates import authority, certified
from tests.e2e.conftest import forget_builds
from tests.e2e.edge import town
from tests.e2e.harness import Cli

pytestmark = pytest.mark.e2e

NAME = "tiny-load"
HOST = "load.test"
ROUNDS = int(os.environ.get("ALLFAST_LOAD_ROUNDS", "3"))
#: About 100 requests a second where the machine gives them.
MIX = Mix(keep_alive=8, new=3, h2=6, slow=5, uploads=1, events=1, websockets=1, pace=0.16)
#: Answers a second; less is no load at all. A busy machine gives some tens.
LEAST = 5
#: So many switches by reload at most; the first failure ends them, after some seconds.
RELOADS = 300


def test_deploys_and_rollbacks(machine: Server, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    machine.load("caddy:2")
    forget_builds(NAME)
    app = make_load_app(machine, tmp_path / "app", NAME, f"https://{HOST}")
    allfast = Cli(app.path, machine, tmp_path_factory.mktemp("cache"))
    with town(machine, NAME) as here:
        acme = authority(here, HOST)
        here.apply(acme=acme)
    allfast.deploy()
    certified(machine, HOST, acme)
    target = Target("127.0.0.1", machine.port(443), HOST, acme.root)
    live = "r0"
    with Traffic(target, named, MIX, live=live, may_end=True) as traffic:
        for number in range(1, ROUNDS + 1):
            before, live = live, f"r{number}"
            app.release(live)
            with traffic.switching(live):
                assert allfast.deploy().result["proven"]
            traffic.wait_for(50)
            with traffic.switching(before):
                assert allfast("rollback", "--json", "--yes").result["proven"]
            traffic.wait_for(50)
            with traffic.switching(live):
                allfast("rollback", _release(allfast, app.head()), "--json", "--yes")
    report = traffic.report()
    print(f"\n{2 * ROUNDS} rollbacks and {ROUNDS} deploys: {report}")
    assert not report.failures, report
    assert not report.mixed, report
    assert set(report.releases) == {f"r{number}" for number in range(ROUNDS + 1)}, "the load saw each release"
    assert report.total / report.seconds > LEAST, report
    control = switched_by_reload(machine, target)
    print(f"the same load, switched by reload: {control}")
    assert control.failures, "the load is too weak to see a switch by reload, which is what other tools do"


def switched_by_reload(machine: Server, target: Target) -> Report:
    """Load while the proxy is given configurations that name the live or the warm release, until a request fails."""
    with town(machine, NAME) as here:
        state = here.edge.look()
        (part,) = state.parts
        live = state.live[NAME]
        routes = live.partition(".")[2]
        warm = next(
            release
            for container in here.remote.containers()
            if (release := container.release) and release != release_of(live) and container.state == "running"
        )
        config = compose(state.parts)
        del config["apps"]["http"]["shutdown_delay"]  # what every other tool's reload is
        text = json.dumps(config)
        with Traffic(target, named, MIX, may_end=True) as traffic:
            for number in range(RELOADS):
                content = f"{warm}.{routes}" if number % 2 == 0 else live
                pinned = text.replace(f"{{http.vars.allfast.{NAME}}}", content)
                with here.remote.proxy.lock("test"):
                    here.remote.proxy.apply(part, json.loads(pinned), {})
                traffic.wait_for(10)
                if traffic.report().failures:
                    break
        return traffic.report()


def _release(allfast: Cli, commit: str) -> str:
    """The release that was made from a commit."""
    runs = json.loads(allfast("history", "--json").out)
    return next(str(run["release"]) for run in runs if commit[:7] in run["release"])
