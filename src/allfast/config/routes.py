"""The routes of a release: which requests the proxy passes to which service. Pure.

`[services.X] route` says it. A service without one that publishes an HTTP port keeps that port: the proxy listens there
in its place, on the same host address.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

from allfast.config.load import place
from allfast.config.model import Config, ServiceSettings, Target
from allfast.errors import ConfigError
from allfast.model.release import Strategy
from allfast.model.routing import HTTP_PORT, HTTPS_PORT, Listen, Route, RouteSet
from allfast.model.service import Kind, Service

#: TCP ports that are never HTTP: of mail, name and file services, databases, queues.
NOT_HTTP = frozenset(
    (
        *(20, 21, 22, 23, 25, 53, 110, 143, 389, 445, 465, 587, 636, 993, 995, 1433, 1521, 1883, 2181, 3306, 4222),
        *(5432, 5671, 5672, 5900, 6379, 6380, 8883, 9042, 9092, 11211, 27017, 27018),
    )
)
_H2C = ("h2c", "grpc")
_HTTP = ("", "http", "ws", *_H2C)


def routes(services: tuple[Service, ...], config: Config, target: str | None = None) -> RouteSet:
    """All routes of the target's release services, sorted.

    Raises:
        ConfigError: a route that the proxy would need leads to no known port.
    """
    chosen = config.target(target)
    found: list[Route] = []
    for service in services:
        if service.kind is not Kind.RELEASE:
            continue
        settings = config.service(service.name)
        if settings.route is not None and service.port is None and chosen.strategy is Strategy.SIDE_BY_SIDE:
            what = f"leads nowhere: no single port of {service.name} is known"
            raise ConfigError(
                f"{place(config, 'services', service.name, 'route')}: {what}",
                hint=f"name the port that answers HTTP: [services.{service.name}] port = ... in allfast.toml",
            )
        mine = _configured(service, settings, chosen) if settings.route is not None else _published(service)
        assets = settings.assets.url if settings.assets is not None else ""
        found += [replace(route, assets=assets) for route in mine]
    return RouteSet(tuple(sorted(found)), config.toml.proxy.trusted_proxies if found else ())


def _configured(service: Service, settings: ServiceSettings, target: Target) -> Iterator[Route]:
    assert settings.route is not None
    host, slash, path = settings.route.partition("/")
    if service.port is not None:
        h2c = any(p.get("app_protocol") in _H2C for p in service.definition.get("ports") or ())
        parts = urlsplit(target.url or "http://")
        tls = parts.scheme == "https"
        listen = Listen("", parts.port or (HTTPS_PORT if tls else HTTP_PORT), tls)
        named = host or (parts.hostname or "" if tls else "")  # a certificate is for a name
        yield Route(service.name, service.port, named, slash + path, listen, h2c)


def _published(service: Service) -> Iterator[Route]:
    for port in service.definition.get("ports") or ():
        published = str(port.get("published") or "")
        if is_http(port) and published.isdecimal():
            listen = Listen(str(port.get("host_ip") or ""), int(published))
            yield Route(service.name, int(port["target"]), "", "/", listen, port.get("app_protocol") in _H2C)


def is_http(port: dict[str, object]) -> bool:
    """Whether a published port carries HTTP, as far as its Compose entry tells."""
    tcp = port.get("protocol", "tcp") == "tcp"
    return tcp and str(port.get("app_protocol") or "") in _HTTP and int(str(port["target"])) not in NOT_HTTP
