"""What the proxy listens on and where it sends requests; JSON-able by remote/codec.

The switch is one small file for each deployment, whose content is `<release id>.<routes digest>`: the containers of a
release bear the alias `<service>.<content>.<deployment>` on the proxy's network, and each set of routes counts only
while the file ends with its digest. So one rename moves containers and routes at the same instant.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace

#: The proxy's container.
PROXY = "allfast-proxy"
HTTP_PORT = 80
HTTPS_PORT = 443


@dataclass(frozen=True, slots=True, order=True)
class Listen:
    """A port of the server that the proxy owns; `host_ip` "" is every address."""

    host_ip: str
    port: int
    tls: bool = False


@dataclass(frozen=True, slots=True, order=True)
class Route:
    """Requests that one service answers.

    `host` is a name, `*.name`, or "" for every host; `path` a prefix made of whole segments (`/api` takes `/api` and
    `/api/x`, not `/apix`); `port` the container's. `h2c`: the container speaks HTTP/2 without TLS (gRPC). `assets`: the
    path below which files of earlier releases are answered where the live one has none, "" for no such path.
    """

    service: str
    port: int
    host: str
    path: str
    listen: Listen
    h2c: bool = False
    assets: str = ""

    @property
    def claim(self) -> tuple[int, str, str]:
        """The requests that it answers: port, host ("" for every one) and path."""
        return self.listen.port, self.host.lower(), "/" + self.path.strip("/")

    @property
    def url(self) -> str:
        """What it takes, as the beginning of a URL; `*` is every host."""
        scheme, usual = ("https", HTTPS_PORT) if self.listen.tls else ("http", HTTP_PORT)
        port = "" if self.listen.port == usual else f":{self.listen.port}"
        return f"{scheme}://{self.host or '*'}{port}{self.path.rstrip('/') or '/'}"


@dataclass(frozen=True, slots=True)
class RouteSet:
    """All routes of a release; `trusted_proxies` are networks (CIDR) whose X-Forwarded headers are believed."""

    routes: tuple[Route, ...]
    trusted_proxies: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Eight hexadecimal digits; the order in which routes and networks are named does not matter."""
        value = {
            "routes": [asdict(route) for route in sorted(self.routes)],
            "trusted_proxies": sorted(self.trusted_proxies),
        }
        text = json.dumps(value, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    @property
    def services(self) -> tuple[str, ...]:
        """The services that have a route, sorted."""
        return tuple(sorted({route.service for route in self.routes}))

    def of(self, service: str) -> tuple[Route, ...]:
        """The routes that lead to a service, sorted."""
        return tuple(sorted(route for route in self.routes if route.service == service))

    def ports(self, service: str) -> tuple[int, ...]:
        """The container's ports that a service's routes lead to, sorted."""
        return tuple(sorted({route.port for route in self.of(service)}))

    @property
    def listens(self) -> tuple[Listen, ...]:
        """The ports that the proxy must own for it, sorted: with HTTPS also the one that redirects there."""
        found = {route.listen for route in self.routes}
        taken = {(listen.host_ip, listen.port) for listen in found}
        found |= {
            Listen(listen.host_ip, HTTP_PORT)
            for listen in found
            if listen.tls and listen.port == HTTPS_PORT and not {(listen.host_ip, HTTP_PORT), ("", HTTP_PORT)} & taken
        }
        return tuple(sorted(found))


#: Of a release that the proxy has nothing to do with.
NO_ROUTES = RouteSet(())


@dataclass(frozen=True, slots=True)
class Acme:
    """Where certificates come from: the authority's directory (URL, "" for the public default), an e-mail address.

    `root` is the certificate (PEM) by which the directory's own HTTPS is believed, "" for the usual authorities.
    """

    directory: str = ""
    email: str = ""
    root: str = ""


@dataclass(frozen=True, slots=True)
class Fragment:
    """One deployment's part of the proxy's configuration: the sets of routes of the releases it keeps, newest last.

    `certificate` is the digest by which the files of the user's own one are named, "" where the proxy gets some itself.
    """

    deployment: str
    sets: tuple[RouteSet, ...]
    acme: Acme = Acme()
    certificate: str = ""

    def adding(self, routes: RouteSet, keep: frozenset[str]) -> Fragment:
        """With `routes` as the newest set. The others stay if their digest is in `keep`, or if `routes` is no new one.

        For what makes another configuration makes the proxy load it; so sets go only when one comes.
        """
        known = self.set(routes.digest) is not None
        others = tuple(one for one in self.sets if one.digest != routes.digest and (known or one.digest in keep))
        return replace(self, sets=(*others, routes))

    def set(self, digest: str) -> RouteSet | None:
        """The set with that digest."""
        return next((one for one in self.sets if one.digest == digest), None)


def switch_content(release: str, routes: RouteSet) -> str:
    """What the switch file holds while `release` is live."""
    return f"{release}.{routes.digest}"


def digest_of(content: str) -> str:
    """The digest of the routes that a switch file's content names, "" for an empty one."""
    return content.strip().rpartition(".")[2]


def release_of(content: str) -> str:
    """The release that a switch file's content names, "" for an empty one."""
    return content.strip().rpartition(".")[0]


def alias(service: str, content: str, deployment: str) -> str:
    """The one name by which the proxy finds the containers of a service of a release."""
    return f"{service}.{content}.{deployment}"
