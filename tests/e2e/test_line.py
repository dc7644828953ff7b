"""Deploys over a line that is cut, freezes or is slow, or whose ends die, while an image travels (incident 21)."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from testbed.common import wait_until
from testbed.link import Link
from testbed.server import Server
from testbed.tiny_app import TinyApp
from tests.e2e.harness import Cli, Outcome, Started, page
from tests.e2e.looks import name_of

SIZE = 40_000_000
LARGE = 60_000_000
#: What may be under way and is lost (docs/transfer.md): eight batches of new bytes.
UNDER_WAY = 8 * 512 * 1024
#: What a deploy costs besides: the connection, the agent's requests, what SSH adds to each packet.
BESIDES = 500_000


@pytest.fixture
def link(server: Server) -> Iterator[Link]:
    """The line to the server, as it is."""
    with Link(server.port(22)) as line:
        yield line


@pytest.fixture
def over(link: Link, app: TinyApp, server: Server, tmp_path: Path) -> Cli:
    """The command on a laptop that reaches the server by that line alone; a first release serves."""
    cli = Cli(app.path, server, tmp_path / "cache", ALLFAST_SSH_CONFIG=str(link.ssh_config(server)))
    cli.deploy()
    return cli


def bigger(app: TinyApp, size: int = SIZE) -> None:
    """A next version of the web, with that much more that nothing can compress."""
    dockerfile = (app.path / "web/Dockerfile").read_text()
    app.write("web/Dockerfile", f"{dockerfile}RUN head -c {size} /dev/urandom >/tmp/model.bin\n")
    app.say("web", "with a model")


def error(outcome: Outcome) -> str:
    """The error of an outcome, with its hint."""
    found = [event for event in outcome.events if event["event"] == "error"]
    assert len(found) == 1, outcome
    return f"{found[0]['message']} {found[0]['hint']} {found[0]['evidence']}"


def test_21_a_line_that_is_cut_while_an_image_travels(app: TinyApp, over: Cli, link: Link, server: Server) -> None:
    """A push of a night restarted from zero at each cut: here the cut is named, and the same command goes on."""
    bigger(app)
    with over.started("deploy", "--json", "--yes") as deploy:
        deploy.until(lambda event: event["event"] == "stage-began" and event["stage"] == "ship")
        link.cut_after(SIZE // 2)
        ended = deploy.end()
    assert link.cuts == 1
    assert ended.code == 1
    assert "connection" in error(ended)
    assert page(server.url())["web"]["text"] == "web one"

    again = over.deploy("--wait")
    assert again.result["outcome"] == "done"
    assert page(server.url())["web"]["text"] == "with a model"


def test_21_a_line_that_freezes_while_an_image_travels(app: TinyApp, over: Cli, link: Link, server: Server) -> None:
    """The tunnel froze on a layer, and nobody was told: here the stall ends the deploy, and is named."""
    bigger(app)
    with over.started("deploy", "--json", "--yes") as deploy:
        deploy.until(lambda event: event["event"] == "stage-began" and event["stage"] == "ship")
        link.stall(after=SIZE // 2)
        ended = deploy.end()
    assert link.stalled
    assert ended.code == 1
    assert "stalled" in error(ended)
    link.go_on()
    assert page(server.url())["web"]["text"] == "web one"
    assert over.deploy("--wait").result["outcome"] == "done"


def test_21_progress_on_a_slow_line(app: TinyApp, over: Cli, link: Link) -> None:
    """Nobody knew how far it was."""
    bigger(app)
    link.rate = 100e6
    done = over.deploy()
    told = [event for event in done.events if event["event"] == "ship-progress" and event["service"] == "web"]
    assert len(told) > 3
    assert [one["sent"] for one in told] == sorted(one["sent"] for one in told)
    assert all(one["sent"] <= one["total"] for one in told)
    assert told[-1]["seconds"] > 0


def laptop_dies(deploy: Started, server: Server) -> None:
    """All of its processes at once: its battery is empty."""
    del server
    session = deploy.process.pid  # it has one of its own
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(ProcessLookupError):
            if os.getsid(int(process.name)) == session:
                os.kill(int(process.name), signal.SIGKILL)


def agent_dies(deploy: Started, server: Server) -> None:
    """The agent and its guard: the server has no memory left."""
    del deploy
    server.exec(["pkill", "-9", "-f", "python3 -I -S -B"])


@pytest.mark.parametrize("dies", [laptop_dies, agent_dies])
def test_21_what_has_arrived_does_not_travel_again(
    app: TinyApp, over: Cli, link: Link, server: Server, dies: Callable[[Started, Server], None]
) -> None:
    """Counted on the line itself: the next deploy sends what was left, and what was under way.

    Also of a layer that is larger than the layer cache may be.
    """
    app.write("allfast.toml", 'layer_cache = "1MiB"\n' + (app.path / "allfast.toml").read_text())
    bigger(app, LARGE)
    link.rate = 30e6  # the half that is left takes longer than the death
    with over.started("deploy", "--json", "--yes") as deploy:
        deploy.until(lambda event: event["event"] == "stage-began" and event["stage"] == "ship")
        begun = link.up
        deploy.until(lambda event: event["event"] == "ship-progress" and 3 * event["sent"] > event["total"])
        dies(deploy, server)
        assert deploy.end().code == (-signal.SIGKILL if dies is laptop_dies else 1)
    link.rate = None
    lock = f"/var/lib/allfast/{name_of(app)}/lock"
    wait_until(lambda: server.exec(["flock", "-n", lock, "true"], check=False).returncode == 0, "a free lock", 60)
    arrived = link.up - begun
    assert LARGE // 3 < arrived < LARGE - UNDER_WAY, "in the middle"
    assert page(server.url())["web"]["text"] == "web one"

    before = link.up
    again = over.deploy()
    sent = link.up - before
    print(f"{dies.__name__}: {arrived} bytes had gone of {LARGE}, then {sent} ({again.result['wire_bytes']} of layers)")
    assert sent < LARGE - arrived + UNDER_WAY + BESIDES
    assert again.result["outcome"] == "done"
    assert page(server.url())["web"]["text"] == "with a model"
