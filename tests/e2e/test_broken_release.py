"""A release that is no good: the old one is back, and the message says why."""

from __future__ import annotations

import time
from typing import Any

from testbed.server import Server
from testbed.tiny_app import TinyApp
from tests.e2e.harness import Cli, Outcome, page
from tests.e2e.looks import changed, containers, replace


def error(outcome: Outcome) -> dict[str, Any]:
    """The error event."""
    return next(e for e in outcome.events if e["event"] == "error")


def history(allfast: Cli) -> list[dict[str, Any]]:
    """The runs of the ledger, the newest first."""
    runs: list[dict[str, Any]] = allfast("history", "--json").events[0]  # type: ignore[assignment]
    return runs


def test_never_comes_up(app: TinyApp, allfast: Cli, server: Server) -> None:
    """Unhealthy, a crash loop, an end at the start, a failing migration: each names its cause, and in good time."""
    replace(app, "compose.yaml", "start_period: 20s", "start_period: 60s")
    app.commit("A long time to start in")
    allfast.deploy()
    old, before = page(server.url()), containers(server, app)

    app.set("api", "MIGRATION_FAILS", True)
    app.commit("The migration fails")
    failure = error(allfast.deploy(code=1))
    assert "migrate failed with exit code 7" in failure["message"]
    assert "migrate: column 'colour' already exists" in failure["evidence"]
    assert containers(server, app) == before, "containers are as they were"
    app.set("api", "MIGRATION_FAILS", False)

    app.set("api", "CRASH", True)
    app.commit("It crashes at once")
    outcome = allfast.deploy(code=1)
    failure = error(outcome)
    assert "api: container" in failure["message"]
    assert "crash loop" in failure["message"]
    assert "exit code 3" in failure["message"]
    assert "api: cannot start: the settings say so" in failure["evidence"]
    assert outcome.result["outcome"] == "failed"
    assert outcome.result["release"] == history(allfast)[0]["release"]
    assert {"build", "ship", "rollout"} <= outcome.result["phases"].keys()
    assert outcome.result["wire_bytes"] > 0
    assert outcome.result["services"]["api"]["method"] == "quick"
    assert_back(server, old)
    app.set("api", "CRASH", False)

    replace(app, "compose.yaml", 'command: ["python", "worker.py"]', 'command: ["sh", "-c", "echo no work; exit 4"]')
    replace(app, "compose.yaml", NO_RESTART[0], NO_RESTART[1])
    app.commit("The worker ends at once, and is not restarted")
    failure = error(allfast.deploy("worker", code=1))
    assert "worker: container" in failure["message"]
    assert "ended with exit code 4" in failure["message"]
    assert "no work" in failure["evidence"]
    app.git("checkout", "--quiet", "HEAD~1", "--", "compose.yaml")

    replace(app, "compose.yaml", "start_period: 60s", "start_period: 1s")
    app.set("web", "HEALTHY", False)
    app.commit("Never healthy")
    failure = error(allfast.deploy("web", code=1))
    assert "web: container" in failure["message"]
    assert "is unhealthy by its own check" in failure["message"]
    assert_back(server, old)
    assert allfast("status", "--json").events[0]["drift"] == {}

    runs = history(allfast)
    assert [run["outcome"] for run in runs] == ["failed"] * 4 + ["done"]
    assert "rollout" in dict(runs[0]["phases"]), "the phase that failed has its time, too"
    assert "one-shots" in dict(runs[3]["phases"])
    assert dict(runs[2]["phases"])["rollout"] < 60, "a crash loop is seen, and not waited out for 100 s"
    assert ["web", "quick", "1 file changed: settings.py"] in runs[0]["services"]
    assert "is unhealthy" in runs[0]["message"]
    assert runs[0]["who"]["user"]
    assert runs[0]["ended"] > runs[0]["began"]
    text = allfast("history", "-v").out
    assert "api: clean: first deploy" in text
    assert "crash loop" in text


def test_ends_later(app: TinyApp, allfast: Cli, server: Server) -> None:
    """It was healthy, and ended: also where its restart policy brings it up again. A worker has its quiet time."""
    allfast.deploy()
    old = page(server.url())
    # the web waits until the api's end, so that the release is not complete before
    replace(app, "compose.yaml", "    build: api\n", "    build: api\n" + DIES)
    app.set("web", "START_SECONDS", 20.0)
    app.commit("The api dies after some seconds")
    failure = error(allfast.deploy(code=1))
    assert "api: container" in failure["message"]
    assert "was healthy, and ended then" in failure["message"]
    assert "exit code 5" in failure["message"]
    assert "dying now" in failure["evidence"]
    assert_back(server, old)

    replace(app, "compose.yaml", DIES, "")
    app.set("web", "START_SECONDS", 0.0)
    compose = (app.path / "compose.yaml").read_text()
    worker = compose[compose.index("\n  worker:") : compose.index("\n  migrate:")]
    check = worker[worker.index("    healthcheck:") : worker.index("    depends_on:")]
    app.write("compose.yaml", compose.replace(check, ""))
    app.commit("A worker without a health check")
    began = time.monotonic()
    outcome = allfast.deploy()
    assert time.monotonic() - began > 10, "it is watched for its quiet time"
    told = [e["text"] for e in outcome.events if e["event"] == "check" and e["service"] == "worker"]
    assert "runs for 10 s without a restart (it has no check and no port)" in told


def test_another_version(app: TinyApp, allfast: Cli, server: Server) -> None:
    """An image that reports another version than its own: put back, marked, and built clean the next time."""
    allfast.deploy()
    old, before = page(server.url()), containers(server, app)
    honest = "RUN echo \"COMMIT = '$ALLFAST_COMMIT'\" >commit.py"
    lie = honest.replace("$ALLFAST_COMMIT", "0123456789abcdef0123456789abcdef01234567")
    replace(app, "web/Dockerfile", honest, lie)
    app.say("web", "web two")
    outcome = allfast.deploy(code=1)
    failure = error(outcome)
    assert 'web: version: reports "0123456789abcdef0123456789abcdef01234567" instead of' in failure["message"]
    assert "ALLFAST_COMMIT" in failure["hint"]
    assert_back(server, old)
    assert changed(before, containers(server, app)) == {"web"}

    plan = allfast("plan", "--json").events[0]
    web = next(s for s in plan["services"] if s["service"] == "web")
    assert web["method"] == "clean"
    app.say("web", "web three")
    replace(app, "web/Dockerfile", lie, honest)
    app.commit("Honest again")
    assert allfast.deploy().result["proven"]
    assert page(server.url())["web"]["text"] == "web three"


def assert_back(server: Server, old: dict[str, Any]) -> None:
    """The page says what it said."""
    now = page(server.url())
    for service in ("web", "api"):
        assert (now[service]["text"], now[service]["commit"]) == (old[service]["text"], old[service]["commit"])


NO_RESTART = (
    "    restart: unless-stopped\n\n  migrate:",
    '    restart: "no"\n\n  migrate:',
)
DIES = """\
    command: ["sh", "-c", "timeout 12 python app.py; echo dying now; exit 5"]
"""
