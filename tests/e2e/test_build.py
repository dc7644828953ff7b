"""`allfast build`, and images that services share."""

from __future__ import annotations

from testbed.server import Server
from testbed.tiny_app import TinyApp
from tests.e2e.harness import Cli, page
from tests.e2e.looks import LEDGER, changed, containers


def test_one_service_before_the_first_deploy(app: TinyApp, allfast: Cli, server: Server) -> None:
    """Nothing is on the server, and a stranger holds the port there: no matter for a build."""
    server.docker("run", "-d", "--name", "stranger", "-p", "80:80", "python:3.13-slim", "sleep", "600")
    app.say("api", "never pushed", push=False)
    before = server.snapshot(ignore=LEDGER)
    built = allfast("build", "worker", "--json")
    assert [e["service"] for e in built.events if e["event"] == "built"] == ["api"]
    findings = {f["rule"]: f["level"] for f in built.plan["findings"]}
    assert findings == {"port": "warn", "unpushed": "warn"}
    assert before.changes(server.snapshot(ignore=LEDGER)) == []
    allfast.deploy(code=3)

    app.set("web", "TEXT", "not committed")
    assert "uncommitted" in allfast("build", code=3).err
    assert "uncommitted" in allfast("build", "--force", "a test").out
    server.docker("rm", "-f", "stranger")
    app.commit("All of it")
    methods = {s["service"]: s["method"] for s in allfast.deploy().plan["services"]}
    assert methods == {"web": "clean", "api": "reuse", "worker": "reuse", "migrate": "reuse"}


def test_deploy_of_a_service_that_runs_the_image_of_another(app: TinyApp, allfast: Cli, server: Server) -> None:
    """The image is built for the one that was asked for; its owner stays at its own."""
    allfast.deploy()
    before = containers(server, app)
    app.say("api", "api two")
    allfast.deploy("worker")
    assert changed(before, containers(server, app)) == {"worker"}
    assert page(server.url())["api"]["text"] == "api one"
    assert allfast("status", "--json").events[0]["drift"] == {}
    allfast.deploy()
    assert page(server.url())["api"]["text"] == "api two"
