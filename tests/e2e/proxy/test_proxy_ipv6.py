"""The address of a client that comes by IPv6 arrives, where the server forwards IPv6 and its engine filters it."""

from __future__ import annotations

import json

import pytest

from testbed import bases
from testbed.server import Server
from tests.e2e.edge import PLAIN, town

pytestmark = pytest.mark.e2e

CLIENT = "fd00:aa::1"


def test_the_address_of_an_ipv6_client_arrives() -> None:
    bases.ensure([bases.CADDY, bases.PYTHON])
    server = Server("e2e-proxy-ipv6")
    try:
        server.start()
        server.load(bases.CADDY.tag, bases.PYTHON.tag)
        server.stop_dockerd()
        settings = {"storage-driver": "overlay2", "experimental": True, "ip6tables": True}  # as Engine 27 is by itself
        server.exec(["tee", "/etc/docker/daemon.json"], stdin=json.dumps(settings))
        names = ("all.forwarding=1", "default.disable_ipv6=0", "eth0.disable_ipv6=0")
        server.exec(["sysctl", "-w", *(f"net.ipv6.conf.{name}" for name in names)])
        server.exec(["ip", "-6", "addr", "add", f"{CLIENT}/64", "dev", "eth0", "nodad"])
        server.start_dockerd()
        with town(server, "chat") as chat:
            assert chat.edge.look().ipv6
            chat.open(PLAIN)
            chat.run("r1")
            chat.switch("r1")
            program = f"import urllib.request as u; print(u.urlopen('http://[{CLIENT}]', timeout=10).read().decode())"
            told = json.loads(server.exec(["python3", "-c", program]).stdout)
            assert told["headers"]["x-forwarded-for"] == CLIENT
    finally:
        server.stop()
