"""The ports that visitors ask: what listens there, who publishes them, and which the proxy takes or gives back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from testbed.server import Server
from testbed.tiny_app import TinyApp
from tests.e2e.conftest import named_app
from tests.e2e.harness import Cli, page
from tests.e2e.looks import LEDGER, of_release, replace

pytestmark = pytest.mark.e2e


@pytest.fixture
def app(request: pytest.FixtureRequest, server: Server, tmp_path: Path) -> TinyApp:
    """The tiny app behind the proxy."""
    server.load("caddy:2")
    return named_app(request, server, tmp_path / "app", strategy="side-by-side")


def test_without_checks_and_versions_the_ports_and_the_url_are_asked(
    app: TinyApp, allfast: Cli, server: Server
) -> None:
    """A service that publishes a port on which nobody listens is given to no visitor; nor is silence a proof."""
    compose = (app.path / "compose.yaml").read_text()
    check = compose[compose.index("    healthcheck:") : compose.index("    depends_on:")]
    replace(app, "compose.yaml", check, "")
    settings = (app.path / "allfast.toml").read_text()
    app.write("allfast.toml", settings[: settings.index("[services.web]")])
    app.commit("Nothing says whether it is up")
    first = allfast.deploy()
    told = {(e["check"], e["service"]): e["text"] for e in first.events if e["event"] == "check"}
    assert told["health", "web"] == "answers on its port"
    assert told["url", ""].startswith("answers 200 through ")
    old = page(server.url())["web"]["commit"]

    replace(app, "compose.yaml", "    ports: [", '    command: ["sleep", "1000"]\n    ports: [')
    app.commit("It serves nothing")
    failed = next(e for e in allfast.deploy("web", code=1).events if e["event"] == "error")
    assert "web: container" in failed["message"]
    assert "does not answer on its port" in failed["message"]
    assert page(server.url())["web"]["commit"] == old

    replace(app, "compose.yaml", '    command: ["sleep", "1000"]\n', "")
    replace(app, "allfast.toml", f'url = "{server.url()}"', 'url = "http://127.0.0.1:9"')
    app.say("web", "nobody sees it")
    failed = next(e for e in allfast.deploy(code=4).events if e["event"] == "error")
    assert "is live, but could not be proven: url: no reply" in failed["message"]

    live = json.loads(allfast("status", "--json").out)["live"]["id"]
    server.docker("stop", "allfast-proxy")
    mended = allfast("recover", "--json", code=4).events
    (told,) = [e["text"] for e in mended if e["event"] == "stage-ended" and e["stage"] == "recover"]
    assert told == f"the proxy leads to {live}, {live} could not be proven"
    (failed,) = [e for e in mended if e["event"] == "error"]
    assert failed["message"].startswith(f"{live} is live, but could not be proven: url: no reply")
    assert "see why it cannot be asked from here" in failed["hint"]
    assert page(server.url())["web"]["text"] == "nobody sees it"


def test_a_route_to_a_port_where_nothing_listens_is_given_to_no_visitor(
    app: TinyApp, allfast: Cli, server: Server
) -> None:
    """Healthy by its own check, and visitors would get 502; a port that two want is known before anything starts."""
    allfast.deploy()
    settings = (app.path / "allfast.toml").read_text()
    replace(app, "allfast.toml", "[services.web]\n", '[services.web]\nport = 9999\nroute = "/"\n')
    version = next(line for line in settings.splitlines() if line.startswith("version") and "/version" in line)
    replace(app, "allfast.toml", version + "\n", "")
    replace(app, "allfast.toml", f'url = "{server.url()}"', "")  # its port is not 80: routes would be at that one
    app.commit("A route to another port")
    plan = json.loads(allfast("plan", "--json").out)
    assert "web publishes port 80 itself" in str(plan["findings"])
    before = server.snapshot(ignore=LEDGER)
    refused = next(e for e in allfast.deploy(code=3).events if e["event"] == "error")
    assert "web publishes port 80 itself, and the proxy needs it for the routes" in str(refused)
    assert before.changes(server.snapshot(ignore=LEDGER)) == []

    replace(app, "compose.yaml", '    ports: ["80:8080"]\n', "")
    app.commit("It publishes nothing")
    failed = next(e for e in allfast.deploy(code=1).events if e["event"] == "error")
    assert "does not listen where the proxy leads its visitors" in failed["message"]
    assert "to port 9999" in failed["message"]
    assert "[services.web] port" in failed["hint"]
    assert page(server.url())["web"]["text"] == "web one"
    replace(app, "allfast.toml", "port = 9999", "port = 8080")
    app.say("web", "web two")
    assert allfast.deploy().result["proven"]
    assert page(server.url())["web"]["text"] == "web two"


def test_a_port_goes_from_the_proxy_to_a_container_and_back(app: TinyApp, allfast: Cli, server: Server) -> None:
    """The api's port carries HTTP, then something else, then HTTP again; then the proxy's state is lost."""
    first = allfast.deploy().result["release"]
    replace(app, "compose.yaml", '["8000:8000"]', '[{target: 8000, published: "8000", app_protocol: tcp}]')
    app.commit("Not HTTP, who knows")
    plan = json.loads(allfast("plan", "--json").out)
    assert any("gives up port 8000" in line for line in plan["proxy"]), plan["proxy"]
    (api,) = (line for line in plan["services"] if line["service"] == "api")
    assert "the old one stops before: it publishes 8000/tcp, which the proxy does not carry" in api["step_reason"]
    second = allfast.deploy().result["release"]
    holds = {
        line.split()[0]
        for line in server.docker("ps", "--format", "{{.Names}} {{.Ports}}").stdout.splitlines()
        if ":8000->" in line
    }
    assert holds == {of_release(server, second)["api"]}
    assert page(server.url())["web"]["text"] == "web one"

    plan = json.loads(allfast("status", "--json").out)
    assert plan["drift"] == {}
    assert allfast("rollback", "--json", "--yes").result["release"] == first
    assert page(server.url())["web"]["text"] == "web one"
    ports = server.docker("port", "allfast-proxy").stdout
    assert ":8000" in ports

    server.ssh("rm -r /var/lib/allfast/_proxy")
    assert json.loads(allfast("status", "--json").out)["drift"]["proxy"]
    allfast("recover")
    assert page(server.url())["web"]["text"] == "web one"
    assert json.loads(allfast("status", "--json").out)["drift"] == {}
