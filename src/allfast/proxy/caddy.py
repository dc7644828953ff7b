"""The proxy's whole configuration, made from the parts of all apps (pure: values in, Caddy's JSON out).

For each port one server. It reads each app's switch file once a request, so that a request is routed as of one instant:
routes, containers and all; where there is a canary, its content may take the place of that (`canary.py`). A set of
routes counts while the content ends with its digest. While there is no switch file, requests are held and sent on as
soon as it is there again, for `HOLD` at most. The order of an app's sets makes no difference, so that going back to a
former one loads nothing.

To load a configuration Caddy closes the idle connections of the former one's servers, just when a client may use them.
So those servers first serve on for `FAREWELL`, and tell each client with its answer to connect anew. Caddy does that
only for a server of which a listener goes away: each has one more, a socket named by the configuration's hash.

Caddy's JSON is documented at https://caddyserver.com/docs/json/.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from allfast.agent.proxy import CERTIFICATE
from allfast.errors import UsageError
from allfast.model.routing import Fragment, Listen
from allfast.proxy.canary import choose_side
from allfast.proxy.rules import KEY, STATE, folder, rules_of, switch_file, variable

Json = dict[str, Any]

#: For the agent, which runs as a login of the folder's group: whoever may use Docker's socket.
ADMIN = f"unix/{STATE}/run/admin.sock|0660"
#: How long a server whose configuration is replaced, or which is stopped, tells its clients to connect anew.
FAREWELL = "2s"


#: At how many MB the access log is rotated, and how many old ones are kept.
LOG_SIZE, LOGS_KEPT = 20, 5


def compose(fragments: Sequence[Fragment]) -> Json:
    """The configuration for these apps.

    Raises:
        UsageError: the parts cannot stand beside each other.
    """
    parts = sorted(fragments, key=lambda part: part.deployment)
    published(parts)
    servers = {f"p{port}": _server(port, tls, parts) for port, tls in sorted(_ports(parts).items())}
    apps: Json = {"http": {"shutdown_delay": FAREWELL, "servers": servers}}
    tls = {
        "automation": {"policies": [policy for part in parts for policy in _certificates(part)]},
        "certificates": {"load_files": [_own_certificate(part) for part in parts if part.certificate]},
    }
    if tls := {name: value for name, value in tls.items() if any(value.values())}:
        apps["tls"] = tls
    config = {"admin": {"listen": ADMIN, "config": {"persist": False}}, "logging": _logging(), "apps": apps}
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:8]
    for name, server in servers.items():
        server["listen"].append(f"unix/{STATE}/run/{name}-{digest}.sock|0600")
    return config


def published(fragments: Iterable[Fragment]) -> tuple[Listen, ...]:
    """The ports that the proxy's container must publish: those of each app's newest set, sorted.

    One port has one address and one protocol, for the proxy cannot tell by which of two addresses a request came.
    Raises `UsageError` naming the port.
    """
    seen: dict[int, Listen] = {}
    for listen in (listen for part in fragments for one in part.sets[-1:] for listen in one.listens):
        other = seen.setdefault(listen.port, listen)
        if other != listen:
            raise _two_ways(other, listen)
    return tuple(sorted(seen.values()))


def _ports(parts: Sequence[Fragment]) -> dict[int, bool]:
    """All ports, and which of them have HTTPS."""
    found: dict[int, bool] = {}
    for listen in (listen for part in parts for one in part.sets for listen in one.listens):
        if found.setdefault(listen.port, listen.tls) != listen.tls:
            raise _two_ways(listen, Listen(listen.host_ip, listen.port, not listen.tls))
    return found


def _two_ways(one: Listen, other: Listen) -> UsageError:
    return UsageError(
        f"port {one.port} of the server is asked for as {_words(one)} and as {_words(other)}",
        hint="publish a port at one address, and either with or without HTTPS",
    )


def _words(listen: Listen) -> str:
    return f"{listen.host_ip or 'every address'} {'with' if listen.tls else 'without'} HTTPS"


# One server: a port with the routes of all apps


def _server(port: int, tls: bool, parts: Sequence[Fragment]) -> Json:
    here = [part for part in parts if port in _ports([part])]
    rules = [rule for part in here for rule in rules_of(part, port)]
    once = {json.dumps(rule.text): rule for rule in rules}  # sets may have routes in common
    read = {"handler": "vars", **{variable(part.deployment): switch_file(part.deployment) for part in here}}
    server: Json = {
        "listen": [f":{port}"],
        "protocols": _protocols(port, tls, here),
        "automatic_https": {"disable_redirects": True} if tls else {"disable": True},
        "logs": {"default_logger_name": "access"},
        "routes": [
            _farewell(),
            {"handle": [read]},
            *(choose_side(part.deployment, variable(part.deployment), folder(part.deployment)) for part in here),
            *(rule.text for rule in sorted(once.values(), key=lambda rule: rule.rank)),
            {"handle": [{"handler": "static_response", "status_code": 404, "body": "nothing is served here\n"}]},
        ],
    }
    if tls:
        server["tls_connection_policies"] = [{}]
    return server


def _protocols(port: int, tls: bool, parts: Sequence[Fragment]) -> list[str]:
    """HTTP/2 without TLS only where a container wants it, for listening for it loses new connections at each load."""
    if tls:
        return ["h1", "h2"]
    routes = (route for part in parts for one in part.sets for route in one.routes)
    return ["h1", "h2c"] if any(route.h2c and route.listen.port == port for route in routes) else ["h1"]


def _farewell() -> Json:
    """In a server that is about to end, have clients connect anew; not those who are about to leave HTTP."""
    upgrade = {"header": {"Connection": ["*Upgrade*", "*upgrade*"]}}
    match = {"vars": {"{http.shutting_down}": ["true"]}, "not": [upgrade]}
    return {"match": [match], "handle": [{"handler": "headers", "response": {"set": {"Connection": ["close"]}}}]}


# What belongs to no port


def _certificates(part: Fragment) -> Iterator[Json]:
    hosts = sorted({route.host for one in part.sets for route in one.routes if route.listen.tls})
    if "" in hosts:
        raise UsageError(
            f"{part.deployment}: a route with HTTPS has no host", hint="name the host that the certificate is for"
        )
    if not hosts or part.certificate or part.acme == type(part.acme)():
        return  # Caddy's own choice of public authorities
    issuer = {
        "module": "acme",
        "ca": part.acme.directory,
        "email": part.acme.email,
        "trusted_roots_pem_files": [acme_root(part.deployment)] if part.acme.root else [],
    }
    yield {"subjects": hosts, "issuers": [{key: value for key, value in issuer.items() if value}]}


def _own_certificate(part: Fragment) -> Json:
    """Caddy gets none by itself for the names of one that it is given."""
    place = f"{folder(part.deployment)}/{CERTIFICATE}{part.certificate}"
    return {"certificate": f"{place}.pem", "key": f"{place}.key", "format": "pem"}


def acme_root(deployment: str) -> str:
    """Where the proxy finds the certificate of an app's own authority."""
    return f"{folder(deployment)}/acme-root.pem"


def _logging() -> Json:
    name = "http.log.access"
    writer = {
        "output": "file",
        "filename": f"{STATE}/log/access.log",
        "mode": "0640",
        "roll_size_mb": LOG_SIZE,
        "roll_keep": LOGS_KEPT,
        "roll_gzip": True,
    }
    # A failed request is in the default log, with its headers, too
    no_key = {
        "format": "filter",
        "wrap": {"format": "json"},
        "fields": {f"request>headers>{KEY}": {"filter": "delete"}},
    }
    return {
        "logs": {
            "default": {"exclude": [name, "admin.api"], "encoder": no_key},  # what the admin API refuses, it answers
            "access": {"include": [name], "encoder": no_key, "writer": writer},
        }
    }
