"""HTTPS by itself: certificates from an ACME authority (a second Caddy), the redirect, HTTP/2, h2c to containers."""

from __future__ import annotations

import json
import socket
import ssl
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest

from allfast.config.certificate import Certificate
from allfast.model.routing import Fragment, Listen, Route, RouteSet, switch_content
from testbed import bases
from testbed.certificates import make_certificate
from testbed.traffic import Mix, Target, Traffic
from tests.e2e.certificates import authority, certified
from tests.e2e.edge import Town, ask, named, route

pytestmark = pytest.mark.e2e

HOST = "chat.test"
HTTPS = Listen("", 443, tls=True)
ROUTES = RouteSet((route(host=HOST, listen=HTTPS),))


def test_https_by_itself_and_http2_under_a_switch(chat: Town) -> None:
    acme = authority(chat, HOST)
    chat.open(ROUTES, acme=acme)
    certified(chat.server, HOST, acme)
    for release in ("r1", "r2"):
        chat.run(release, ROUTES)
    chat.switch("r1", ROUTES)
    target = Target("127.0.0.1", chat.server.port(443), HOST, acme.root)
    mix = Mix(keep_alive=0, new=1, h2=10, slow=2, uploads=1, events=1, websockets=1)
    with Traffic(target, named, mix, live="r1") as traffic:
        for number in range(6):
            release = "r2" if number % 2 == 0 else "r1"
            with traffic.switching(release):
                chat.switch(release, ROUTES)
            traffic.wait_for(40)
    report = traffic.report()
    print(report)
    assert not report.failures and not report.mixed, report
    assert report.answers["h2"] > 100

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: object) -> None:
            return None

    request = urllib.request.Request(chat.server.url(80) + "/x?y", headers={"Host": HOST})
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.build_opener(Stay).open(request, timeout=10)
    with caught.value as moved:
        assert (moved.code, moved.headers["Location"]) == (308, f"https://{HOST}/x?y")


def test_a_certificate_of_the_users_own(chat: Town, tmp_path: Path) -> None:
    """It is what clients get, another one takes its place under load, and its key is in one place."""
    given = {}
    for name in ("first", "second"):
        make_certificate(tmp_path, name, HOST)
        chain, key = (tmp_path / f"{name}.pem").read_text(), (tmp_path / f"{name}.key").read_text()
        given[name] = Certificate(name, chain, key)
    chat.edge.make_network()
    part = Fragment(chat.deployment, (ROUTES,), certificate="first")
    chat.edge.apply(part, certificate=given["first"])
    chat.edge.serve(chat.edge.create(chat.edge.needed(chat.edge.look(), part).ports))
    chat.run("r1", ROUTES)
    chat.switch("r1", ROUTES)
    assert shown(chat) == given["first"].chain

    target = Target("127.0.0.1", chat.server.port(443), HOST, given["first"].chain + given["second"].chain)
    mix = Mix(keep_alive=3, new=1, h2=3, slow=1, uploads=0, events=1, websockets=1)
    with Traffic(target, named, mix, live="r1") as traffic:
        assert chat.edge.apply(replace(part, certificate="second"), certificate=given["second"]).reloaded
        assert shown(chat) == given["second"].chain
        traffic.wait_for(60)
    report = traffic.report()
    assert not report.failures and not report.mixed, report

    folder = "/var/lib/allfast/_proxy"
    found = chat.server.exec(["find", f"{folder}/apps/chat", "-name", "certificate-*", "-printf", "%f %m\\n"]).stdout
    assert sorted(found.split("\n")) == ["", "certificate-second.key 640", "certificate-second.pem 660"]
    secret = given["second"].key.splitlines()[1]
    assert chat.server.exec(["grep", "-rl", secret, folder]).stdout.split() == [
        f"{folder}/apps/chat/certificate-second.key"
    ]


def shown(chat: Town) -> str:
    """The certificate that a client is shown, in PEM."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", chat.server.port(443)), timeout=20) as plain,
        client.wrap_socket(plain, server_hostname=HOST) as secured,
    ):
        return ssl.DER_cert_to_PEM_cert(secured.getpeercert(binary_form=True) or b"")


H2C = RouteSet((Route("grpc", 8000, "", "/", Listen("", 8080), h2c=True),))
#: An upstream that speaks nothing but HTTP/2 without TLS, and says what it was asked in.
UPSTREAM = {
    "apps": {
        "http": {
            "servers": {
                "grpc": {
                    "listen": [":8000"],
                    "protocols": ["h2c"],
                    "routes": [
                        {"handle": [{"handler": "static_response", "body": '{"name": "{http.request.proto}"}'}]}
                    ],
                }
            }
        }
    }
}


def test_a_container_that_speaks_http2_only_is_reached_and_its_clients_may_speak_it_too(chat: Town) -> None:
    """What gRPC needs, from a client without TLS to a container without TLS."""
    chat.open(H2C)
    script = f"printf %s '{json.dumps(UPSTREAM)}' >/config/c.json; exec caddy run --config /config/c.json"
    chat.server.docker("create", "--name", "grpc", bases.CADDY.tag, "sh", "-c", script)
    chat.attach("grpc", "grpc", switch_content("r1", H2C))
    chat.server.docker("start", "grpc")
    chat.switch("r1", H2C)
    assert ask(chat.server.url(8080)).told["name"] == "HTTP/2.0"
    target = Target("127.0.0.1", chat.server.port(8080))
    with Traffic(target, named, Mix(0, 0, h2=2, slow=0, uploads=0, events=0, websockets=0)) as traffic:
        traffic.wait_for(10)
    assert not traffic.report().failures, traffic.report()
