"""HTTPS on a test server: a second Caddy is the authority that its proxy gets certificates from."""

from __future__ import annotations

import json
import socket
import ssl

from allfast.model.routing import Acme
from testbed import bases
from testbed.common import wait_until
from testbed.server import Server
from tests.e2e.edge import Town

#: A Caddy that is an ACME authority at https://acme.test/acme/local/directory.
AUTHORITY = {
    "apps": {
        "pki": {"certificate_authorities": {"local": {"install_trust": False}}},
        "tls": {"automation": {"policies": [{"subjects": ["acme.test"], "issuers": [{"module": "internal"}]}]}},
        "http": {
            "servers": {
                "acme": {
                    "listen": [":443"],
                    "routes": [{"match": [{"host": ["acme.test"]}], "handle": [{"handler": "acme_server"}]}],
                }
            }
        },
    }
}


def authority(town: Town, host: str) -> Acme:
    """Start the authority on the proxy's network, where `host` leads to the server; where it is, and its root."""
    town.edge.make_network()
    names = ["--network-alias", "acme.test", "--add-host", f"{host}:host-gateway"]
    run = ["run", "-d", "--name", "authority", "--network", "allfast", *names]
    script = f"printf %s '{json.dumps(AUTHORITY)}' >/config/c.json; exec caddy run --config /config/c.json"
    town.server.docker(*run, bases.CADDY.tag, "sh", "-c", script)
    root = ["exec", "authority", "busybox", "cat", "/data/caddy/pki/authorities/local/root.crt"]
    wait_until(lambda: town.server.docker(*root, check=False).returncode == 0, "the authority", 60)
    return Acme("https://acme.test/acme/local/directory", root=town.server.docker(*root).stdout)


def certified(server: Server, host: str, acme: Acme) -> None:
    """Wait until the proxy has its certificate for `host`."""
    context = ssl.create_default_context(cadata=acme.root)

    def shaken() -> bool:
        try:
            with (
                socket.create_connection(("127.0.0.1", server.port(443)), timeout=5) as plain,
                context.wrap_socket(plain, server_hostname=host),
            ):
                return True
        except OSError:
            return False

    wait_until(shaken, "the certificate", 60, lambda: server.docker("logs", "--tail", "20", "allfast-proxy").stderr)
