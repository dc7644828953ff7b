"""Images that are sent while others are being built: what is on the server then, and what is left when it fails."""

from __future__ import annotations

import json
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chaos.bed import LEDGER
from testbed.common import run, wait_until
from testbed.link import Link
from testbed.server import Server
from testbed.snapshot import Snapshot
from testbed.tiny_app import TinyApp
from tests.e2e.harness import Cli, Outcome, Started, page
from tests.gate import Gate

pytestmark = pytest.mark.e2e

Event = dict[str, Any]
NAME = "tiny-outgoing"
STATE = f"/var/lib/allfast/{NAME}"
#: What the web has more than before, and nothing can compress.
SIZE = 12_000_000
#: The record of the run, and what was sent: nothing else may differ after a deploy that failed in its build.
MAY_CHANGE = (f"{STATE}/ledger*", f"{STATE}/lock*", f"{STATE}/layers", f"{STATE}/layers/*")


@pytest.fixture
def link(server: Server) -> Iterator[Link]:
    """The line to the server, as it is."""
    with Link(server.port(22)) as line:
        yield line


@pytest.fixture
def temporary() -> Iterator[Path]:
    """Temporary files of a laptop, by which its processes can be told from others; ssh's sockets need a short path."""
    folder = Path(tempfile.mkdtemp(prefix="af-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def over(link: Link, app: TinyApp, server: Server, tmp_path: Path, temporary: Path) -> Cli:
    """The command on a laptop that reaches the server by that line alone; a first release serves."""
    config = str(link.ssh_config(server))
    cli = Cli(app.path, server, tmp_path / "cache", ALLFAST_SSH_CONFIG=config, TMPDIR=str(temporary))
    cli.deploy()
    return cli


@pytest.fixture
def gate(app: TinyApp, over: Cli) -> Gate:
    """Of the api's next build; the web's is soon done, and its image is bigger."""
    del over
    gate = Gate()
    for service, line in (("web", f"RUN head -c {SIZE} /dev/urandom >/tmp/model.bin\n"), ("api", gate.step)):
        dockerfile = (app.path / service / "Dockerfile").read_text()
        app.write(f"{service}/Dockerfile", dockerfile + line)
    app.set("api", "TEXT", "api two")
    app.say("web", "web two")
    return gate


def snapshot(server: Server) -> Snapshot:
    return server.snapshot(ignore=MAY_CHANGE)


def layers_here(service: str) -> list[str]:
    """Diff ids of the newest image of a service in the local engine."""
    words = ["--filter", f"label=allfast.deployment={NAME}", "--filter", f"label=allfast.service={service}"]
    newest = run(["docker", "image", "ls", "--quiet", "--no-trunc", *words]).stdout.split()[0]
    return run(["docker", "image", "inspect", newest, "--format", '{{join .RootFS.Layers " "}}']).stdout.split()


def layers_there(server: Server, suffix: str = "tar") -> set[str]:
    """Diff ids in the server's layer cache: of whole layers, or (`part`) of those that have begun."""
    names = server.exec(["ls", f"{STATE}/layers"], check=False).stdout.split()  # made with the first layer
    return {f"sha256:{name.partition('.')[0]}" for name in names if name.endswith(f".{suffix}")}


def web_is_sent(server: Server) -> bool:
    return layers_here("web")[-1] in layers_there(server)


def web_is_built(event: Event) -> bool:
    return (event["event"], event.get("service")) == ("built", "web")


def web_is_sending(event: Event) -> bool:
    """Some of its large layer is there: small ones go before."""
    return (event["event"], event.get("service")) == ("ship-progress", "web") and event["sent"] > 1_000_000


def waits(gate: Gate) -> Callable[[Event], bool]:
    """Whether an event says that the gate's step has begun."""
    return lambda event: event["event"] == "build-step" and gate.file in event["text"]


def both(started: Started, *wanted: Callable[[Event], bool]) -> None:
    """Read events until each of these has come, in any order."""
    for one in wanted:
        if not any(map(one, started.events)):
            started.until(one)


def children(temporary: Path) -> list[str]:
    """Processes of that laptop."""
    mark, found = f"TMPDIR={temporary}".encode(), []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


def error(outcome: Outcome) -> str:
    (found,) = (event for event in outcome.events if event["event"] == "error")
    return f"{found['message']} {found['hint']} {found['evidence']}"


def ended(outcome: Outcome, stage: str) -> Event:
    return next(e for e in outcome.events if e["event"] == "stage-ended" and e["stage"] == stage)


def journal(server: Server) -> list[tuple[str, str]]:
    """Steps of the last run, and how they ended."""
    found = json.loads(server.exec(["python3", "-c", LEDGER, f"{STATE}/ledger.sqlite3"]).stdout)
    return [(step, outcome) for run_, step, outcome in found["journal"] if run_ == found["runs"][-1][0]]


def next_deploy_sends_little(app: TinyApp, over: Cli, server: Server, sent_before: int) -> None:
    """The api is mended; what had been sent of the web is not sent again."""
    dockerfile = (app.path / "api/Dockerfile").read_text().splitlines()[:-1]
    app.write("api/Dockerfile", "\n".join([*dockerfile, ""]))
    app.commit("Mend it")
    again = over.deploy("--wait")
    assert again.result["proven"]
    assert again.result["wire_bytes"] < SIZE - sent_before + 500_000
    assert page(server.url())["web"]["text"] == "web two"


def test_an_image_is_sent_while_another_is_being_built(gate: Gate, over: Cli, link: Link, server: Server) -> None:
    before = snapshot(server)
    link.rate = 10e6  # the way there takes longer than what is left to be done then
    with over.started("deploy", "--json", "--yes") as deploy:
        both(deploy, web_is_built, waits(gate))
        wait_until(lambda: web_is_sent(server), "the web's layers in the server's cache", 60)
        assert before.changes(snapshot(server)) == [], "it is sent, and nothing else"
        link.rate = None
        gate.end("good")
        done = deploy.end()
    assert done.code == 0, done
    assert done.result["proven"]
    words = ended(done, "ship")["text"]
    assert "of it while others were built" in words, words
    assert ended(done, "ship")["seconds"] < ended(done, "build")["seconds"]
    assert page(server.url())["web"]["text"] == "web two"
    steps = [step for step, _ in journal(server)]
    assert steps.count("send layers") == 2
    assert steps.index("send layers") < steps.index("ship images")


def test_a_failed_build_leaves_what_was_sent_and_changes_nothing(
    gate: Gate, app: TinyApp, over: Cli, server: Server, temporary: Path
) -> None:
    before = snapshot(server)
    with over.started("deploy", "--json", "--yes") as deploy:
        both(deploy, web_is_built, waits(gate))
        wait_until(lambda: web_is_sent(server), "the web's layers in the server's cache", 60)
        gate.end("bad")
        failed = deploy.end()
    assert failed.code == 1
    assert "building api failed" in error(failed)
    assert failed.result["wire_bytes"] > SIZE
    wait_until(lambda: not children(temporary), "the end of all that it had started", 20)
    assert before.changes(snapshot(server)) == []
    assert ("send layers", "done") in journal(server)
    next_deploy_sends_little(app, over, server, SIZE)


def test_an_interrupt_while_one_is_sent_and_one_is_built(
    gate: Gate, app: TinyApp, over: Cli, link: Link, server: Server, temporary: Path
) -> None:
    del gate  # never opened
    before = snapshot(server)
    link.rate = 20e6
    with over.started("deploy", "--json", "--yes") as deploy:
        deploy.until(web_is_sending)  # the api is being built for as long as its gate is closed
        for _ in range(2):
            deploy.send(signal.SIGINT)
        interrupted = deploy.end()
    assert interrupted.code == 130, interrupted
    assert interrupted.result["outcome"] == "interrupted"
    assert "Traceback" not in interrupted.err
    wait_until(lambda: not children(temporary), "the end of all that it had started", 20)
    assert not list(temporary.iterdir())
    assert before.changes(snapshot(server)) == []
    assert ("send layers", "failed") in journal(server)
    (part,) = layers_there(server, "part")
    there = int(server.exec(["stat", "-c%s", f"{STATE}/layers/{part[7:]}.part"]).stdout)
    assert 0 < there < SIZE
    link.rate = None
    next_deploy_sends_little(app, over, server, there)


def test_a_line_that_is_cut_while_one_is_sent_and_one_is_built(
    gate: Gate, app: TinyApp, over: Cli, link: Link, server: Server, temporary: Path
) -> None:
    """The build that waits is ended at once: it would wait for ever."""
    del gate
    before = snapshot(server)
    link.rate = 20e6
    with over.started("deploy", "--json", "--yes") as deploy:
        deploy.until(web_is_sending)  # the api is being built for as long as its gate is closed
        link.cut()
        failed = deploy.end()
    assert failed.code == 1
    assert "connection" in error(failed)
    wait_until(lambda: not children(temporary), "the end of all that it had started", 20)
    assert before.changes(snapshot(server)) == []
    link.rate = None
    wait_until(lambda: bool(layers_there(server, "part")), "what had come", 20)
    next_deploy_sends_little(app, over, server, 0)


def test_what_cannot_be_sent_ends_the_builds(gate: Gate, over: Cli, server: Server, temporary: Path) -> None:
    """There is no folder that layers could lie in; the build that waits would wait for ever."""
    del gate
    server.exec(["sh", "-c", f"rm -r {STATE}/layers; touch {STATE}/layers"])
    failed = over.deploy(code=1)
    assert "layers" in error(failed)
    wait_until(lambda: not children(temporary), "the end of all that it had started", 20)
    assert not [e for e in failed.events if e["event"] == "stage-began" and e["stage"] == "ship"]
