"""A laptop that is closed in the middle of a rollout, and opened when a colleague has long deployed (promise 6)."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from testbed.common import wait_until
from testbed.server import Server
from testbed.tiny_app import TinyApp
from tests.e2e.harness import Cli, page
from tests.e2e.test_two_deploys import colleague, until_rollout

pytestmark = pytest.mark.e2e

FROZEN_SECONDS = 40.0


def test_a_woken_laptop_can_change_nothing_any_more(app: TinyApp, allfast: Cli, server: Server, tmp_path: Path) -> None:
    """With the real 30 s of silence. Its children are not frozen with it: the fence on the server stops them."""
    allfast.deploy()
    theirs, other = colleague(app, server, tmp_path, "ops")
    theirs.say("web", "of the colleague")

    app.set("web", "START_SECONDS", 300.0)
    app.say("web", "of the frozen one", push=False)
    with allfast.started("deploy", "--json", "--yes", "--force", "a test") as first:
        until_rollout(first)
        first.send(signal.SIGSTOP)
        frozen = time.monotonic()
        with other.started("deploy", "--yes", "--wait") as second:
            ended = second.end()
        assert ended.code == 0, ended.err
        assert ended.out.splitlines()[-1].startswith("All fast."), ended.out
        assert "never ended: bringing back what it left" in ended.out
        wait_until(lambda: time.monotonic() - frozen > FROZEN_SECONDS, "the time to pass", FROZEN_SECONDS + 5)
        before = server.snapshot()
        first.send(signal.SIGCONT)
        woken = first.end()
    assert woken.code == 1, woken.err
    errors = [event for event in woken.events if event["event"] == "error"]
    assert len(errors) == 1
    assert "the lock is lost" in errors[0]["message"]
    assert woken.result["outcome"] == "failed"
    assert "Traceback" not in woken.err
    assert before.changes(server.snapshot()) == []
    assert page(server.url())["web"]["text"] == "of the colleague"
    assert page(server.url())["web"]["commit"] == theirs.head()
    again = other.deploy()
    assert again.result["outcome"] == "nothing-to-do"
