"""Two deploys of one app at once: one of them at a time, and everybody is told who it is (promise 6)."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from testbed.common import run, wait_until
from testbed.server import Server
from testbed.tiny_app import GIT_ENV, TinyApp
from tests.e2e.at_terminal import at_terminal
from tests.e2e.harness import SECONDS, Cli, Started, page
from tests.e2e.looks import containers, name_of, replace

pytestmark = pytest.mark.e2e


def colleague(app: TinyApp, server: Server, folder: Path, login: str) -> tuple[TinyApp, Cli]:
    """Another checkout, of somebody who logs in to the server under another name."""
    path = folder / login
    run(["git", "clone", "--quiet", str(app.remote), path], env=GIT_ENV)
    other = TinyApp(path, app.remote)
    for key, value in (("user.name", login), ("user.email", f"{login}@example.org"), ("commit.gpgsign", "false")):
        other.git("config", key, value)
    return other, as_login(Cli(path, server, folder / f"cache-{login}"), server, login, folder)


def as_login(cli: Cli, server: Server, login: str, folder: Path) -> Cli:
    """The same command, which logs in as `login`."""
    config = folder / f"ssh-{login}"
    # of several values of an option ssh takes the first
    config.write_text(f"Host {server.name}\nUser {login}\nInclude {server.ssh_config}\n")
    cli.environment["ALLFAST_SSH_CONFIG"] = str(config)
    return cli


def until_rollout(started: Started) -> None:
    started.until(lambda e: e["event"] == "container" and (e["service"], e["state"]) == ("web", "starting"))


def let_start(server: Server, app: TinyApp, before: str = "") -> None:
    """Have the web that comes up, and is another container than before, serve now."""
    labels = (f"com.docker.compose.project={name_of(app)}", "com.docker.compose.service=web")
    filters = [word for label in labels for word in ("--filter", f"label={label}")]

    def found() -> list[str]:
        running = server.docker("ps", "--quiet", "--no-trunc", *filters).stdout.split()
        return [container for container in running if container != before]

    wait_until(lambda: len(found()) == 1, "the new web to run", 60)
    server.docker("exec", *found(), "touch", "/tmp/start")


def slow_start(app: TinyApp) -> None:
    """A service may take as long to start as a test needs."""
    replace(app, "compose.yaml", "start_period: 20s", "start_period: 300s")
    app.commit("A long time to start in")


def test_the_second_is_refused_or_waits_and_plans_anew(
    app: TinyApp, allfast: Cli, server: Server, tmp_path: Path
) -> None:
    """The first deploys as `deploy`, the second as `ops`, then one as root: they find the same lock."""
    as_login(allfast, server, "deploy", tmp_path)
    slow_start(app)
    allfast.deploy()
    app.say("api", "once more")
    allfast.deploy()
    theirs, ops = colleague(app, server, tmp_path, "ops")
    before = containers(server, app)["web"]

    app.set("web", "START_SECONDS", 300.0)
    app.say("web", "of the first")
    with allfast.started("deploy", "--json", "--yes") as first:
        until_rollout(first)

        refused = ops.deploy(code=3)
        assert refused.result["outcome"] == "refused"
        error = next(e for e in refused.events if e["event"] == "error")
        assert re.search(rf"\S+@\S+ holds the lock for \d+ s: deploy {app.head()[:7]}", error["message"]), error
        assert "--wait" in error["hint"]
        read = ops("deploy", "--yes", code=3)
        assert "holds the lock" in read.err
        assert "next:  wait for it (--wait)" in read.err
        status = ops("status")
        assert f"deploy {app.head()[:7]}" in status.out
        assert "never ended" not in status.out

        theirs.git("pull", "--quiet", "origin", "main")
        theirs.set("web", "START_SECONDS", 0.0)
        theirs.say("web", "of the second")
        with (
            ops.started("rollback", "--json", "--yes", "--wait") as back,
            at_terminal(ops, "deploy", "--wait") as second,
        ):
            back.until(lambda e: e["event"] == "note" and e["text"].startswith("waiting for"))
            second.until(f"Deploy {theirs.head()[:7]} to production?")
            second.type("y")
            second.until("waiting for")
            second.until(f"deploy {app.head()[:7]}")
            let_start(server, app, before)
            done = first.end()
            assert done.result["outcome"] == "done", done.out
            second.until("changed since the plan was made")
            second.until(f"Deploy {theirs.head()[:7]} to production?")  # it is another plan: they are asked again
            second.type("y")
            second.until("All fast.")
            assert second.process.wait(SECONDS) == 0
            refused = back.end()
    assert refused.code == 3, "what it would go back to is no longer what was live before the live one"
    assert "went live in the meantime" in refused.events[-2]["message"]
    last = json.loads(ops("history", "--json").out)[0]
    assert last["outcome"] == "done"
    assert [service[2][:14] for service in last["services"] if service[0] == "web"] == ["1 file changed"]
    assert page(server.url())["web"]["text"] == "of the second"
    assert page(server.url())["web"]["commit"] == theirs.head()

    # The first has the same commit now, and finds nothing to do, also where it had to wait to learn that
    app.git("pull", "--quiet", "origin", "main")
    allfast.environment["ALLFAST_SSH_CONFIG"] = str(server.ssh_config)
    assert allfast.deploy("--wait").result["outcome"] == "nothing-to-do"


def test_a_deploy_that_waited_for_the_same_commit_has_nothing_to_do(
    app: TinyApp, allfast: Cli, server: Server, tmp_path: Path
) -> None:
    as_login(allfast, server, "ops", tmp_path)
    slow_start(app)
    app.set("web", "START_SECONDS", 300.0)
    app.commit("Slow start")
    _, deploy = colleague(app, server, tmp_path, "deploy")
    with allfast.started("deploy", "--json", "--yes") as first:
        until_rollout(first)
        with deploy.started("deploy", "--json", "--yes", "--wait") as second:
            second.until(lambda e: e["event"] == "note" and e["text"].startswith("waiting for"))
            let_start(server, app)
            release = first.end().result["release"]
            ended = second.end()
    assert ended.result["outcome"] == "nothing-to-do", ended.out
    assert ended.result["release"] == release
    assert len(json.loads(deploy("status", "--json").out)["containers"]) == 4
