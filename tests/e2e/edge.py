"""A server with its proxy and responders as releases, without a deploy around them."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from allfast.model.routing import Fragment, Listen, Route, RouteSet, alias, switch_content
from allfast.proxy.edge import NETWORK, Edge
from allfast.remote import server as remote
from testbed import bases, responder
from testbed.server import Server
from testbed.traffic import Target, Traffic

PROGRAM = Path(responder.__file__).read_text()
HTTP = Listen("", 80)


def route(service: str = "web", host: str = "", path: str = "/", listen: Listen = HTTP) -> Route:
    """A route to a responder."""
    return Route(service, 8000, host, path, listen)


PLAIN = RouteSet((route(),))


@dataclass(frozen=True)
class Town:
    """One deployment's side of a server's proxy; the lock is held."""

    server: Server
    remote: remote.Server
    edge: Edge
    deployment: str

    def apply(self, *sets: RouteSet, **more: Any) -> bool:
        """Put these sets of routes, the newest last; whether the proxy loaded anything."""
        return self.edge.apply(Fragment(self.deployment, sets, **more)).reloaded

    def open(self, *sets: RouteSet, **more: Any) -> None:
        """Put these sets of routes and have a proxy run that publishes what they need."""
        part = Fragment(self.deployment, sets, **more)
        change = self.edge.needed(self.edge.look(), part)
        self.edge.make_network()
        self.edge.apply(part)
        if change.kind in ("create", "recreate"):
            self.edge.serve(self.edge.create(change.ports))

    def run(self, release: str, routes: RouteSet = PLAIN, service: str = "web", name: str = "") -> str:
        """Start a responder as a service's container of a release; its id."""
        command = ["python3", "-c", PROGRAM, name or release]
        engine = self.remote.engine
        wanted = {"Image": bases.PYTHON.tag, "Cmd": command, "HostConfig": {"Init": True}}
        container = str(engine.post("/containers/create", wanted)["Id"])
        self.attach(container, service, switch_content(release, routes))
        engine.post(f"/containers/{container}/start")
        test = "socket.create_connection(('127.0.0.1', 8000)).close()"
        loop = f"for _ in range(1200):\n try: {test}; break\n except OSError: time.sleep(0.05)\nelse: exit('no answer')"
        self.server.docker("exec", container, "python3", "-c", f"import socket, time\n{loop}")
        return container

    def attach(self, container: str, service: str, content: str) -> None:
        """Give a container the name that routes dial while the switch file holds `content`, as a deploy does."""
        names = {"Aliases": [alias(service, content, self.deployment)]}
        body = {"Container": container, "EndpointConfig": names}
        self.remote.engine.post(f"/networks/{NETWORK}/connect", body)

    def switch(self, release: str, routes: RouteSet = PLAIN) -> str | None:
        """Make a release live."""
        return self.edge.switch(switch_content(release, routes))

    def traffic(self, **more: Any) -> Traffic:
        """Load on port 80, by answers that name the responder."""
        return Traffic(Target("127.0.0.1", self.server.port(80)), named, **more)


def named(body: bytes) -> tuple[str, ...]:
    """Which responder answered."""
    return (json.loads(body)["name"],)


@contextmanager
def town(server: Server, deployment: str, login: str = "deploy", **more: Any) -> Iterator[Town]:
    """Connect as a login of the docker group, and take the lock."""
    with (
        remote.connect(
            f"{server.name}-{login}",
            deployment=deployment,
            app=deployment,
            target="production",
            ssh_config=server.ssh_config,
            **more,
        ) as connection,
        connection.lock("test"),
    ):
        yield Town(server, connection, Edge(connection, deployment), deployment)


@dataclass(frozen=True)
class Page:
    """An answer of the proxy."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def told(self) -> dict[str, Any]:
        """What the responder told."""
        value: dict[str, Any] = json.loads(self.body)
        return value


def ask(url: str, host: str = "", **headers: str) -> Page:
    """A GET, whatever the status; header names with `_` for `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, headers={**named, **({"Host": host} if host else {})})
    try:
        with urllib.request.urlopen(request, timeout=20) as reply:
            return Page(reply.status, dict(reply.headers), reply.read())
    except urllib.error.HTTPError as error:
        return Page(error.code, dict(error.headers), error.read())
