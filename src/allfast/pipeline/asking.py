"""How a release is asked: its containers on the server, its proxy, and the target's URL; one answer is a finding."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from allfast.checks import Finding, version
from allfast.config.model import Via
from allfast.model.release import Release, ReleaseService, Strategy, Where
from allfast.model.routing import Route
from allfast.model.server import Container
from allfast.pipeline.context import Context
from allfast.pipeline.rollout import Asker
from allfast.planning import preflight
from allfast.planning.recorded import containers_of
from allfast.remote import http

PATIENCE_SECONDS = 15.0  # an application may answer 404 or 502 for a moment while it, or a proxy before it, starts
PAUSE_SECONDS = 0.5
ANSWER_SECONDS = 2.0


def answers(context: Context, service: ReleaseService, container: Container) -> bool | None:
    """Whether a container without a check answers HTTP on its service's port, asked on the server.

    Where that is not known: whether one of its published ports accepts a connection. None where it has none.
    """
    if service.port is not None or not service.published:
        return _answers_http(context, service.port, container)
    if not _can_be_asked(container):
        return None
    return context.server.accepting(container.addresses[0], service.published, ANSWER_SECONDS)


def _can_be_asked(container: Container) -> bool:
    return not container.health and container.state == "running" and bool(container.addresses)


def _answers_http(context: Context, port: int | None, container: Container) -> bool | None:
    if port is None or not _can_be_asked(container):
        return None
    try:
        context.server.http(_url(container, port, "/"), timeout=ANSWER_SECONDS)
    except http.CouldNotAsk:
        return False
    return True


def asker(context: Context, release: Release) -> Asker:
    """How the rollout learns whether a container of the release answers, and the server's time."""

    def ask(container: Container) -> bool | None:
        service = release.service(container.service)
        if service is not None:
            return answers(context, service, container)
        # a data service belongs to no release: today's allfast.toml is what is known of it
        return _answers_http(context, context.project.config.service(container.service).port, container)

    return Asker(answers=ask, now=context.now)


def unreached(
    context: Context, release: Release, service: ReleaseService, containers: tuple[Container, ...]
) -> Finding | None:
    """What is wrong where the proxy's routes lead to ports of a service on none of which it listens; else None.

    A service that is healthy by its own check may well listen elsewhere, and visitors would get the proxy's 502.
    """
    ports = release.routes.ports(service.name) if release.strategy is Strategy.SIDE_BY_SIDE else ()
    for container in containers_of(containers, service.name) if ports else ():
        deadline = time.monotonic() + PATIENCE_SECONDS
        while container.addresses and not context.server.accepting(container.addresses[0], ports, ANSWER_SECONDS):
            if time.monotonic() >= deadline:
                routes = ", ".join(f"{route.url} to port {route.port}" for route in release.routes.of(service.name))
                text = f"{container.name} does not listen where the proxy leads its visitors ({routes})"
                hint = f"name the port on which it listens: [services.{service.name}] port = ... in allfast.toml"
                return Finding("route", service.name, "wrong", text, hint=hint)
            time.sleep(PAUSE_SECONDS)
    return None


def versions(
    context: Context,
    service: ReleaseService,
    containers: tuple[Container, ...],
    *,
    via: Via,
    patience: float = PATIENCE_SECONDS,
    side: Mapping[str, str] | None = None,
) -> list[Finding]:
    """The version that each of the service's containers reports on the server, and that the URL gives.

    Args:
        containers: of the whole release, or of the service.
        via: the ways by which to ask.
        patience: seconds for which a wrong or missing answer is asked for again.
        side: the headers by which the URL's answer is this release's, beside a canary (edge.side).
    """
    if service.version is None or not service.commit:
        return []
    asking = _Asking(context, service, service.version, patience, side or {})
    url, found = context.project.target.url, []
    if via in (Via.SERVER, Via.BOTH):
        found += [asking.on_server(container) for container in containers_of(containers, service.name)]
    if via in (Via.URL, Via.BOTH) and url is not None:
        found.append(asking.through(url))
    return found


def versions_through_the_proxy(
    context: Context, release: Release, services: Sequence[str], side: Mapping[str, str]
) -> Iterator[Finding]:
    """The version that the proxy gives on the server, where it takes plain HTTP; `side` as in `versions`."""
    for service in release.services:
        if service.name in services and service.version is not None and service.commit:
            asking = _Asking(context, service, service.version, PATIENCE_SECONDS, side)
            for route in _plain(release, service, service.version.path):
                yield asking.through_the_proxy(route)


def page(context: Context, services: Sequence[ReleaseService], via: Via, side: Mapping[str, str]) -> list[Finding]:
    """What the URL answers, where no version is asked through it: that there is an answer at all."""
    url = context.project.target.url
    if url is None or via is Via.SERVER or any(s.version is not None and s.commit for s in services):
        return []
    judged = _judged(lambda: version.judge_page(http.get(url + "/", headers=side)[0]), PATIENCE_SECONDS)
    return [Finding("url", "", judged.result, f"{judged.text} through {urlsplit(url).netloc}")]


def _plain(release: Release, service: ReleaseService, path: str) -> Iterator[Route]:
    """The routes without HTTPS that lead a path to a service."""
    for route in release.routes.routes:
        there = [r for r in release.routes.routes if (r.listen, r.host) == (route.listen, route.host)]
        taking = [r for r in there if path.startswith(r.path.rstrip("/") + "/") or path == r.path]
        best = max(taking, key=lambda r: len(r.path), default=None)
        if route == best and route.service == service.name and not route.listen.tls:
            yield route


@dataclass(frozen=True, slots=True)
class _Asking:
    context: Context
    service: ReleaseService
    where: Where
    patience: float
    side: Mapping[str, str]

    def on_server(self, container: Container) -> Finding:
        name = self.service.name
        only = container.exposed[0] if len(container.exposed) == 1 else None
        # a release that was made before the port was named is asked on it all the same: or it could never be proven
        port = self.service.port or only or self.context.project.config.service(name).port
        if port is None:
            text = f"{container.name} has no one port to ask"
            return Finding("version", name, "could-not-be-asked", text, hint=preflight.port_hint(name))
        if not container.addresses:
            return Finding("version", name, "could-not-be-asked", f"{container.name} has no address of its own")
        url = _url(container, port, self.where.path)
        judged = self._ask(lambda: version.Reply(*self.context.server.http(url)))
        return Finding("version", name, judged.result, f"{judged.text} on the server", stale=judged.other)

    def through(self, url: str) -> Finding:
        judged = self._ask(lambda: version.Reply(*http.get(url + self.where.path, headers=self.side)), through=True)
        return Finding("version", self.service.name, judged.result, f"{judged.text} through {urlsplit(url).netloc}")

    def through_the_proxy(self, route: Route) -> Finding:
        place = f"{route.listen.host_ip or '127.0.0.1'}:{route.listen.port}"
        host = route.host.replace("*", "any") or urlsplit(self.context.project.target.url or "").hostname or place
        headers = {**self.side, "Host": host}
        url = f"http://{place}{self.where.path}"
        judged = self._ask(lambda: version.Reply(*self.context.server.http(url, headers)), through=True)
        return Finding("version", self.service.name, judged.result, f"{judged.text} through the proxy")

    def _ask(self, get: Callable[[], version.Reply], *, through: bool = False) -> version.Judged:
        where, commit = self.where, self.service.commit
        return _judged(lambda: version.judge(get(), where, commit, through=through), self.patience)


def _judged(ask: Callable[[], version.Judged], patience: float) -> version.Judged:
    """Ask until the answer is final, or so many seconds are over."""
    deadline = time.monotonic() + patience
    while True:
        try:
            judged = ask()
        except http.CouldNotAsk as error:
            judged = version.Judged("could-not-be-asked", f"no reply ({error.message})", again=True)
        if not judged.again or time.monotonic() >= deadline:
            return judged
        time.sleep(PAUSE_SECONDS)


def _url(container: Container, port: int, path: str) -> str:
    address = container.addresses[0]
    return f"http://{f'[{address}]' if ':' in address else address}:{port}{path}"
