"""Assets of earlier releases stay reachable for pages that are open, for as long as the releases are kept."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path

import pytest

from testbed.server import Server
from testbed.tiny_app import TinyApp
from tests.e2e.conftest import named_app
from tests.e2e.harness import Cli, page
from tests.e2e.looks import replace

pytestmark = pytest.mark.e2e

SERVE = """
        if path.startswith("/static/"):
            import pathlib

            found = pathlib.Path("/app/static", path.removeprefix("/static/"))
            if found.is_file():
                return 200, "text/javascript", found.read_bytes()
            return 404, "application/json", b'{"error": "the live release has no such file"}'
"""


@pytest.fixture
def app(request: pytest.FixtureRequest, server: Server, tmp_path: Path) -> TinyApp:
    """A web with scripts whose names change with their content."""
    server.load("caddy:2")
    top = 'keep = 2\nkeep_warm = "1s"'
    app = named_app(request, server, tmp_path / "app", strategy="side-by-side", top=top)
    replace(app, "allfast.toml", "[services.web]", '[services.web]\nassets = { path = "/app/static", url = "/static" }')
    replace(app, "web/app.py", '        if path == "/version":', SERVE + '        if path == "/version":')
    replace(app, "web/Dockerfile", "COPY *.py ./", "COPY *.py ./\nCOPY static static")
    app.write("web/static/common.js", "one")
    app.write("web/static/chunks/a-1111.js", "page one")
    app.commit("Scripts")
    return app


def script(server: Server, name: str) -> tuple[int, str]:
    """Status and body of a script, as a page that is open asks for it."""
    try:
        with urllib.request.urlopen(f"{server.url()}/static/{name}", timeout=10) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_23_scripts_of_open_pages(app: TinyApp, allfast: Cli, server: Server) -> None:
    """After the next deploys the scripts of a page that is open are there, until its release is kept no longer."""
    allfast.deploy()
    assert script(server, "chunks/a-1111.js") == (200, "page one")
    app.git("rm", "--quiet", "web/static/chunks/a-1111.js")
    app.write("web/static/chunks/b-2222.js", "page two")
    app.write("web/static/common.js", "two")
    app.commit("Page two")
    allfast.deploy()
    assert script(server, "chunks/b-2222.js") == (200, "page two")
    assert script(server, "chunks/a-1111.js") == (200, "page one"), "for pages that are open"
    assert script(server, "common.js") == (200, "two"), "what the live release has comes from it"
    assert script(server, "chunks/none.js") == (404, '{"error": "the live release has no such file"}')
    assert script(server, "..%2f..%2fpart.json")[0] == 404

    app.say("web", "web three")
    allfast.deploy()
    assert script(server, "chunks/a-1111.js")[0] == 404, "its release is kept no longer"
    assert script(server, "chunks/b-2222.js") == (200, "page two")

    replace(app, "allfast.toml", '"/app/static"', '"/app/none"')
    app.commit("Another folder, which is not there")
    failed = next(e for e in allfast.deploy(code=1).events if e["event"] == "error")
    assert "web: its container has no /app/none" in failed["message"]
    assert "[services.web] assets" in failed["hint"]
    assert page(server.url())["web"]["text"] == "web three"
