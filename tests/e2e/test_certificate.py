"""A certificate of the user's own: refused where it is wrong, and a renewed one goes with the next deploy."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
from pathlib import Path

import pytest

from testbed.certificates import make_certificate
from testbed.server import Server
from testbed.tiny_app import TinyApp
from tests.e2e.conftest import named_app
from tests.e2e.harness import Cli, Outcome
from tests.e2e.looks import name_of, replace

pytestmark = pytest.mark.e2e

HOST = "chat.test"


@pytest.fixture
def app(request: pytest.FixtureRequest, server: Server, tmp_path: Path) -> TinyApp:
    server.load("caddy:2")
    app = named_app(request, server, tmp_path / "app", strategy="side-by-side")
    settings = f'url = "https://{HOST}"\nverify = {{ via = "server" }}\n'
    settings += 'certificate = { file = "certs/site.pem", key = "certs/site.key" }'
    replace(app, "allfast.toml", f'url = "{server.url()}"', settings)
    replace(app, "allfast.toml", "[services.web]", '[services.web]\nroute = "/"')
    app.write(".gitignore", (app.path / ".gitignore").read_text() + "\ncerts/\n")
    app.commit("HTTPS")
    (app.path / "certs").mkdir()
    return app


def shown(server: Server) -> str:
    """The certificate that visitors are shown, in PEM."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", server.port(443)), timeout=20) as plain,
        client.wrap_socket(plain, server_hostname=HOST) as secured,
    ):
        return ssl.DER_cert_to_PEM_cert(secured.getpeercert(binary_form=True) or b"")


def running(server: Server, app: TinyApp) -> set[str]:
    return set(server.docker("ps", "--quiet", "--filter", f"label=allfast.deployment={name_of(app)}").stdout.split())


def secret_free(outcome: Outcome, key: Path) -> Outcome:
    assert not [line for line in key.read_text().splitlines()[1:-1] if line in outcome.out + outcome.err]
    return outcome


def test_from_a_wrong_one_to_a_renewed_one(app: TinyApp, allfast: Cli, server: Server, tmp_path: Path) -> None:
    make_certificate(tmp_path, "other", "other.test")
    make_certificate(tmp_path, "first", HOST)
    make_certificate(tmp_path, "second", HOST, days=7)
    certificate, key = app.path / "certs/site.pem", app.path / "certs/site.key"

    def take(name: str) -> None:
        shutil.copy(tmp_path / f"{name}.pem", certificate)
        shutil.copy(tmp_path / f"{name}.key", key)

    take("other")
    wrong = secret_free(allfast.deploy(code=2), key)
    assert "targets.production.certificate: certs/site.pem is not for chat.test" in wrong.events[-2]["message"]
    assert running(server, app) == set(), "nothing was touched"

    take("first")
    allfast.deploy()
    assert shown(server) == certificate.read_text()

    take("second")
    before = running(server, app)
    plan = json.loads(secret_free(allfast("plan", "--json"), key).out)
    assert any("another certificate, valid until" in mend for mend in plan["mends"])
    assert any("in less than 14 days" in finding["text"] for finding in plan["findings"])
    renewed = secret_free(allfast.deploy(), key)
    assert renewed.result["outcome"] == "done"
    assert shown(server) == certificate.read_text()
    assert running(server, app) == before, "nothing was made anew for it"
    assert allfast.deploy().result["outcome"] == "nothing-to-do"
    where = server.exec(["grep", "-rl", key.read_text().splitlines()[1], "/var/lib/allfast"]).stdout.split()
    assert [Path(path).suffix for path in where] == [".key"]

    key.unlink()
    assert json.loads(allfast("status", "--json").out)["drift"] == {}, "who only looks needs no key"
