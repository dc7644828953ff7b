"""The proxy of one server as a deployment uses it: look, have it run, put routes, switch.

Each method that changes the server does one thing, so that its caller can journal it:

    edge = Edge(server, "chat")
    state = edge.look()
    change = edge.needed(state, part)          # what the plan announces; pure
    edge.make_network()                        # create or recreate, once for a server
    edge.apply(part)                           # the configuration: loaded by the proxy that runs, read back
    container = edge.create(change.ports)      # create or recreate: made, not started
    edge.serve(container)                      # the published ports change hands here
    edge.switch(content)                       # one rename: requests go to the release from now on

The image must be in the server's engine before `create` (images/data_images.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from allfast.agent.engine import Engine, EngineError
from allfast.agent.exchange import STOP
from allfast.agent.proxy import CERTIFICATE, LABEL
from allfast.config.certificate import Certificate
from allfast.errors import AttentionError, RemoteError
from allfast.model.routing import PROXY, Acme, Fragment
from allfast.model.server import LockHolder
from allfast.proxy.caddy import acme_root, compose
from allfast.proxy.change import Change, check_claims, needed, parts_with
from allfast.proxy.rules import STATE
from allfast.remote.failures import from_engine
from allfast.remote.proxy import Applied, ProxyContainer, ProxyState
from allfast.remote.server import Server

IMAGE = "caddy:2"
NETWORK = "allfast"
#: A unique local network (RFC 4193); engines before 27 give none by themselves.
IPV6 = "fd61:6c6c:6661:7374::/64"
_NEXT = f"{PROXY}-next"


class Edge:
    """The proxy of `server`, for one deployment."""

    def __init__(self, server: Server, deployment: str, image: str = IMAGE) -> None:
        self._server = server
        self._deployment = deployment
        self._image = image

    # looking

    def look(self) -> ProxyState:
        """What runs, what is configured, who is live."""
        return self._server.proxy.look()

    def needed(self, state: ProxyState, part: Fragment) -> Change:
        """What must become of the container for this part.

        Raises `UsageError` (one port wanted in two ways) or `RefusedError` (another app answers these requests).
        """
        check_claims(state, part)
        return needed(state, part, self._image)

    # changing

    def make_network(self) -> None:
        """Have the network that the proxy and all containers with a route share.

        With IPv6 where the server forwards it already: then the address of such a client arrives, too.
        """
        engine = self._server.engine
        found = engine.get("/networks", filters={"name": [NETWORK]})
        if any(one["Name"] == NETWORK for one in found):
            return
        body: dict[str, Any] = {"Name": NETWORK, "Driver": "bridge", "CheckDuplicate": True, "Labels": {LABEL: "1"}}
        if self.look().ipv6:
            body |= {"EnableIPv6": True, "IPAM": {"Config": [{"Subnet": IPV6}]}}
        try:
            engine.post("/networks/create", body)
        except EngineError as error:
            if error.status != 409:  # another deployment made it just now
                raise _refused("the proxy's network could not be made", error) from error

    def apply(
        self,
        part: Fragment,
        waiting: Callable[[LockHolder], None] | None = None,
        *,
        certificate: Certificate | None = None,
    ) -> Applied:
        """Put this deployment's part, compose the whole, have a running proxy load it and read back what it uses.

        Under the server-wide lock. Where all is there already, nothing is touched. Raises `RemoteError` with Caddy's
        words where it refuses (the former one stays in use), and as `needed`.

        `certificate` is the one that the part names, where it may not be there yet.
        """
        requests = self._server.proxy
        with requests.lock(f"routes of {self._deployment}", waiting):
            state = self.look()
            check_claims(state, part)
            config = compose(parts_with(state, part))
            if state.part(self._deployment) == part and state.running == config:
                return Applied(False, state.running)
            return _as_asked(requests.apply(part, config, _files(part, certificate)), config)

    def remove(self, waiting: Callable[[LockHolder], None] | None = None) -> Applied:
        """Take this deployment's routes and switch away; as `apply`."""
        requests = self._server.proxy
        with requests.lock(f"routes of {self._deployment}", waiting):
            state = self.look()
            config = compose([part for part in state.parts if part.deployment != self._deployment])
            return _as_asked(requests.remove(config), config)

    def create(self, ports: Sequence[tuple[str, int]]) -> str:
        """Make a container of the proxy that publishes `ports`, beside one that serves; its id. It is not started.

        What a dead run left of an exchange is removed. Raises `RemoteError` in the engine's words.
        """
        engine, state = self._server.engine, self.look()
        name = _NEXT if _tidy(engine, state.containers) else PROXY
        try:
            body = _container(self._image, state, ports)
            return str(engine.post("/containers/create", body, name=name)["Id"])
        except EngineError as error:
            raise _refused("the proxy's container could not be made", error) from error

    def serve(self, container: str) -> None:
        """Start this container of the proxy in place of the one that serves, and see that it answers.

        From the stop of the one to the start of the other (about a second) nothing is served; the server does it all,
        whatever becomes of this process. Raises `RemoteError` where it does not come up: the former one serves again.
        """
        self._server.proxy.serve(container, PROXY)

    def switch(self, content: str | None) -> str | None:
        """Send requests to the release of `content` (model.routing.switch_content) by one rename; the former content.

        None holds all requests of this deployment back, for seconds (proxy.rules.HOLD).
        """
        return self._server.proxy.switch(content)

    def canary(self, line: str | None) -> str | None:
        """Give a canary its share of the visitors by one rename (proxy.canary.canary_line); the former line.

        None ends it.
        """
        return self._server.proxy.canary(line)

    def close(self, page: str, token: str) -> None:
        """Give all visitors this page (HTML) with status 503, but those who bear the key `token`; at once."""
        self._server.proxy.close(page, token)

    def open(self) -> None:
        """End what `close` began; at once."""
        self._server.proxy.open()


def _tidy(engine: Engine, containers: Sequence[ProxyContainer]) -> bool:
    """Remove what an exchange that was cut off has left; whether a container of the usual name stays."""
    serving = next((one for one in containers if one.running), None)
    for one in containers:
        if one is not serving and (serving is not None or one.name == _NEXT):
            engine.delete(f"/containers/{one.id}", force=True, v=True)
    if serving is not None and serving.name == _NEXT:
        engine.post(f"/containers/{serving.id}/rename", name=PROXY)
    return serving is not None or any(one.name != _NEXT for one in containers)


def _refused(what: str, error: EngineError) -> RemoteError:
    told = from_engine(error)
    assert told is not None  # it is an error of the engine
    return RemoteError(f"{what}: {error.message}", hint=told.hint)


def _as_asked(applied: Applied, config: Mapping[str, Any]) -> Applied:
    """Raise `AttentionError` where a proxy answers with another configuration than it was given."""
    if applied.running is not None and applied.running != config:
        raise AttentionError(
            "the proxy uses another configuration than it was given",
            hint=f"somebody else changes it; look at `docker logs {PROXY}` on the server",
        )
    return applied


def _files(part: Fragment, certificate: Certificate | None) -> dict[str, str]:
    acme: Acme = part.acme
    found = {acme_root(part.deployment).rpartition("/")[2]: acme.root} if acme.root else {}
    if certificate is not None and certificate.digest:
        name = f"{CERTIFICATE}{certificate.digest}"
        found |= {f"{name}.pem": certificate.chain, f"{name}.key": certificate.key}
    return found


def _container(image: str, state: ProxyState, ports: Sequence[tuple[str, int]]) -> dict[str, Any]:
    """What the engine is asked for: no right but to listen on low ports, and nothing to write but its state."""
    bindings = {f"{port}/tcp": [{"HostIp": host, "HostPort": str(port)}] for host, port in ports}
    host = {
        "Mounts": [{"Type": "bind", "Source": state.folder, "Target": STATE}],
        "NetworkMode": NETWORK,
        "PortBindings": bindings,
        # not "unless-stopped": an engine that was killed stops, at its next start, what still runs as if by hand
        "RestartPolicy": {"Name": "always"},
        "ReadonlyRootfs": True,
        "CapDrop": ["ALL"],
        "CapAdd": ["NET_BIND_SERVICE"],
        "SecurityOpt": ["no-new-privileges", "label=disable"],
        # Without CAP_DAC_OVERRIDE its root may only what the folder's group may
        "GroupAdd": [] if state.group is None else [str(state.group)],
        "UsernsMode": "host",
        # Loading a configuration closes listeners, each beside its successor
        "Sysctls": {"net.ipv4.tcp_migrate_req": "1"} if state.migrates else {},
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}},
    }
    return {
        "Image": image,
        "Cmd": ["caddy", "run", "--config", f"{STATE}/caddy.json"],
        "User": "0:0",
        "Env": [f"{name}={STATE}/data" for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "HOME")],
        "WorkingDir": STATE,
        "Labels": {LABEL: "1"},
        "ExposedPorts": {key: {} for key in bindings},
        "StopTimeout": STOP,
        "HostConfig": host,
    }
