"""A commit goes live: the ordinary days of a deploy, on a real server."""

from __future__ import annotations

from testbed.server import Server
from testbed.tiny_app import TinyApp
from tests.e2e.harness import Cli, Outcome, page
from tests.e2e.looks import LEDGER, changed, containers


def methods(outcome: Outcome) -> dict[str, str]:
    """Service -> method of a plan."""
    return {s["service"]: s["method"] for s in outcome.plan["services"]}


def test_first_change_nothing(app: TinyApp, allfast: Cli, server: Server) -> None:
    """A dry run; a first deploy, one that has nothing to do, and one that changes one line."""
    allfast("status")  # the agent is on the server from now on
    untouched = server.snapshot()
    dry = allfast.deploy("--dry-run")
    assert set(methods(dry).values()) == {"clean"}
    assert untouched.changes(server.snapshot()) == []

    first = allfast.deploy()
    assert first.result["outcome"] == "done"
    assert first.result["proven"]
    assert first.result["wire_bytes"] > 0
    assert set(methods(first).values()) == {"clean"}
    answer = page(server.url())
    assert answer["web"]["commit"] == answer["api"]["commit"] == app.head()
    assert answer["migrations"] == 1
    before = containers(server, app)
    assert set(before) == {"web", "api", "worker", "data"}

    again = allfast.deploy()
    assert again.result["outcome"] == "nothing-to-do"
    assert again.result["release"] == first.result["release"]
    assert containers(server, app) == before

    app.say("web", "hello")
    untouched = server.snapshot()
    allfast.deploy("--dry-run")
    allfast("plan")
    assert untouched.changes(server.snapshot()) == []
    changes = allfast.deploy()
    assert changes.service("web")["method"] == "quick"
    assert changes.service("web")["reason"] == "1 file changed: settings.py"
    assert changes.service("api")["step"] == "keep"
    assert changed(before, containers(server, app)) == {"web"}
    answer = page(server.url())
    assert answer["web"]["text"] == "hello"
    assert answer["web"]["commit"] == app.head()
    assert answer["api"]["commit"] != app.head(), "the api was not built again"


def test_environment_files_dependencies(app: TinyApp, allfast: Cli, server: Server) -> None:
    """What changes beside the code: its containers are new, and only what must be is built."""
    allfast.deploy()
    first = containers(server, app)

    app.write("envs/production.env", "TINY_COLOUR=red\n")
    app.commit()
    outcome = allfast.deploy()
    assert set(methods(outcome).values()) == {"reuse"}
    assert outcome.result["wire_bytes"] == 0
    assert {(c["service"], c["key"]) for c in outcome.plan["environment"]} >= {("api", "TINY_COLOUR")}
    assert page(server.url())["api"]["env"]["TINY_COLOUR"] == "red"
    second = containers(server, app)
    assert changed(first, second) == {"api", "worker"}

    app.write("config/greeting.txt", "bonjour\n")
    app.commit()
    outcome = allfast.deploy()
    assert set(methods(outcome).values()) == {"reuse"}
    assert page(server.url())["api"]["greeting"] == "bonjour"
    third = containers(server, app)
    assert changed(second, third) == {"api"}

    app.write("web/requirements.txt", "# other dependencies\n")
    app.commit()
    outcome = allfast.deploy()
    assert outcome.service("web")["method"] == "clean"
    assert outcome.service("web")["reason"] == "dependencies changed: requirements.txt"
    assert outcome.service("api")["method"] == "reuse"
    assert changed(third, containers(server, app)) == {"web"}


def test_one_service_and_reuse(app: TinyApp, allfast: Cli, server: Server) -> None:
    """`deploy SERVICE`, `--reuse`, `build` before `deploy`, and an older commit again."""
    first = allfast.deploy()
    start = containers(server, app)
    app.set("api", "TEXT", "api two")
    app.say("web", "web two")

    missing = allfast.deploy("--reuse", code=3)
    assert missing.result["outcome"] == "refused"
    failure = next(e for e in missing.events if e["event"] == "error")
    assert "web: no usable image" in failure["message"]
    assert "api: no usable image" in failure["message"]
    assert containers(server, app) == start

    one = allfast.deploy("web")
    assert changed(start, containers(server, app)) == {"web"}
    answer = page(server.url())
    assert (answer["web"]["text"], answer["api"]["text"]) == ("web two", "api one")
    assert set(one.result["services"]) >= {"web", "api", "worker"}, "the result is always a full release"
    after = containers(server, app)

    untouched = server.snapshot(ignore=LEDGER)
    built = allfast("build", "--json")
    assert built.result["outcome"] == "done"
    assert untouched.changes(server.snapshot(ignore=LEDGER)) == [], "a build is no business of the server"
    rest = allfast.deploy("--reuse")
    assert methods(rest) == {"web": "reuse", "api": "reuse", "worker": "reuse", "migrate": "reuse"}
    assert changed(after, containers(server, app)) == {"api", "worker"}
    assert page(server.url())["api"]["text"] == "api two"

    old = allfast.deploy("--commit", "HEAD~1")
    assert set(methods(old).values()) == {"reuse"}
    assert old.result["wire_bytes"] == 0
    answer = page(server.url())
    assert (answer["web"]["text"], answer["api"]["text"]) == ("web one", "api one")
    assert old.result["release"] != first.result["release"]
