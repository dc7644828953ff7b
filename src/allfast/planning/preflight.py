"""What stops or warns a deploy before anything is touched: pure functions over facts."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from allfast.config.certificate import Certificate
from allfast.config.sources import Conflict
from allfast.model.facts import Facts
from allfast.model.plan import Finding
from allfast.model.release import Commit, Strategy
from allfast.model.routing import PROXY
from allfast.model.server import PortHolder
from allfast.model.service import Kind, Service
from allfast.planning import recorded
from allfast.text import DAY, moment

SHOWN = 5
CERTIFICATE_DAYS = 14
DEVELOPMENT = ("dev", "develop", "development")
MODES = ("NODE_ENV", "FLASK_ENV", "RAILS_ENV", "APP_ENV")
COMMANDS = (
    *("--reload", "nodemon", "next dev", "vite dev", "fastapi dev", "runserver"),
    *("npm run dev", "yarn dev", "yarn run dev", "pnpm dev", "pnpm run dev", "bun dev", "bun run dev"),
)
#: Rules about what is built; all others are about where it goes, and about the server.
OF_BUILDS = ("dirty", "development", "build_secret", "reuse")
WILDCARDS = ("", "0.0.0.0", "::")  # noqa: S104 - compared, never bound


def tree(commit: Commit, rules: dict[str, str]) -> tuple[Finding, ...]:
    """Uncommitted and unpushed work; `rules` maps a rule's name to refuse | warn | off.

    Where there is nowhere to push to, that is a warning at most.
    """
    found = []
    if commit.dirty:
        shown = ", ".join(commit.dirty[:SHOWN]) + (" ..." if len(commit.dirty) > SHOWN else "")
        text = f"the working tree has uncommitted changes, which would not be deployed: {shown}"
        found.append(Finding("dirty", rules["dirty"], text, "commit or stash them"))
    if commit.pushed is False:
        text = f"{commit.short} is not pushed" + (f" to {commit.remote}" if commit.remote else "")
        found.append(Finding("unpushed", rules["unpushed"], text, "git push"))
    if commit.pushed is None and rules["unpushed"] != "off":
        text = f"this repository has no remote: {commit.short} is on this machine alone"
        found.append(Finding("unpushed", "warn", text, "git remote add origin URL, and git push"))
    return tuple(f for f in found if f.level != "off")


def branch(commit: Commit, wanted: str, on_branch: bool, rules: dict[str, str]) -> tuple[Finding, ...]:
    """Deploys of the target come from one branch; a detached checkout of a commit of that branch is fine."""
    if not wanted or on_branch or rules["branch"] == "off":
        return ()
    where = f"on branch {commit.branch}" if commit.branch else "not on that branch"
    text = f"this target is deployed from branch {wanted}, and {commit.short} is {where}"
    return (Finding("branch", rules["branch"], text, f"git switch {wanted}, or merge into it"),)


def development(services: tuple[Service, ...], rules: dict[str, str]) -> tuple[Finding, ...]:
    """Every sign that a development build would go to a server (hot reload, dev target, source mounts)."""
    if rules["development"] == "off":
        return ()
    found = []
    for service in services:
        if service.kind is Kind.DATA:
            continue
        for sign in _development_signs(service):
            text = f"{service.name}: {sign}: this looks like a development build"
            hint = f"name the production Compose file in `compose`, or correct services.{service.name}"
            found.append(Finding("development", rules["development"], text, hint))
    return tuple(found)


def _development_signs(service: Service) -> list[str]:
    signs = []
    if service.build and service.build.target.lower() in DEVELOPMENT:
        signs.append(f"build target `{service.build.target}`")
    for key, value in service.build.args if service.build else ():
        if key in MODES and value.lower() in DEVELOPMENT:
            signs.append(f"build argument {key} is `{value}`")
    words = _words(service.definition.get("command")) + _words(service.definition.get("entrypoint"))
    line = " ".join(words)
    signs += [f"command has `{sign}`" for sign in COMMANDS if re.search(rf"(?<!\S){re.escape(sign)}(?!\S)", line)]
    environment: dict[str, Any] = service.definition.get("environment") or {}
    for key in MODES:
        value = str(environment.get(key) or "")
        if value.lower() in DEVELOPMENT:
            signs.append(f"{key} is `{value}`")
    return signs


def _words(command: Any) -> list[str]:
    if isinstance(command, str):
        return [command]
    return [str(word) for word in command] if isinstance(command, list) else []


def ports(facts: Facts) -> tuple[Finding, ...]:
    """Published ports that a container of somebody else, or a process of the server, holds."""
    ours = {container.name for container in facts.server.containers}
    if Strategy.SIDE_BY_SIDE in (facts.strategy, facts.server.live.strategy if facts.server.live else None):
        ours.add(PROXY)  # what another application has there is told apart by its routes (proxy/change.py)
    foreign = [h for h in facts.server.ports if h.project != facts.deployment and h.container not in ours]
    if facts.server.lock is not None:  # somebody is starting containers: one may listen that is not listed yet
        foreign = [holder for holder in foreign if holder.container]
    found = [
        _held_by_a_container(item.service.name, holder)
        if holder.container
        else _held_by_a_process(item.service.name, holder.port)
        for item in facts.services
        for wanted in item.service.definition.get("ports") or ()
        for holder in foreign
        if _collide(wanted, holder.host_ip, holder.port, holder.protocol)
    ]
    return tuple(dict.fromkeys(found))


def _held_by_a_container(service: str, holder: PortHolder) -> Finding:
    of = f" (project {holder.project})" if holder.project else ""
    text = f"{service} wants port {holder.port}, which container {holder.container}{of} holds"
    hint = "choose another port"
    if holder.deployment:  # to stop it would take a running application from its visitors
        hint += f"; it is of the allfast deployment {holder.deployment}"
    else:
        hint = f"stop it on the server (docker stop {holder.container}), or {hint}"
    return Finding("port", "refuse", text, hint, forceable=False)


def _held_by_a_process(service: str, port: int) -> Finding:
    text = f"{service} wants port {port}, on which a process of the server listens that is in no container"
    hint = f"see which on the server (ss -ltnp 'sport = :{port}') and stop it, or choose another port"
    return Finding("port", "refuse", text, hint)


def unrecorded(facts: Facts) -> tuple[Finding, ...]:
    """Containers of a release that the ledger lost: a deploy would not see them, nor put them back where it fails."""
    data = {item.service.name for item in facts.of_kind(Kind.DATA)} | {one.name for one in facts.server.data}
    found = ", ".join(recorded.unrecorded(facts.server, data))
    text = f"the ledger knows no release, but containers of {found} run on {facts.server.hostname}"
    return (Finding("ledger", "refuse", text, recorded.LOST),) if found else ()


def names(facts: Facts) -> tuple[Finding, ...]:
    """Fixed container names that a container of somebody else has."""
    ours = {container.name for container in facts.server.containers}
    held = {one.name: one.project for one in facts.server.names if one.project != facts.deployment}
    found = []
    for item in facts.services:
        name = str(item.service.definition.get("container_name") or "")
        if name in held and name not in ours:
            of = f" (project {held[name]})" if held[name] else ""
            text = f"{item.service.name} wants the container name {name}, which another container{of} has"
            hint = f"rename it on the server (docker rename {name} ...), or change services.{item.service.name}"
            found.append(Finding("name", "refuse", text, f"{hint}.container_name", forceable=False))
    return tuple(found)


def _collide(wanted: dict[str, Any], host_ip: str, port: int, protocol: str) -> bool:
    mine = wanted.get("host_ip") or ""
    same_address = mine in WILDCARDS or host_ip in WILDCARDS or mine == host_ip
    same_port = str(wanted.get("published") or "") == str(port)
    return same_port and same_address and wanted.get("protocol", "tcp") == protocol


def version_ports(facts: Facts) -> tuple[Finding, ...]:
    """Services that are asked for their version on the server, where nothing tells on which port.

    The image may expose exactly one: that is known from the running container, but not before the first build.
    """
    known = {c.service for c in facts.server.containers if len(c.exposed) == 1}
    return tuple(
        Finding(
            "version",
            "warn",
            f"{name}: its version is asked, but no single port is known; unless the image exposes exactly one, the "
            "deploy cannot be proven",
            port_hint(name),
        )
        for name in (item.service.name for item in facts.of_kind(Kind.RELEASE) if item.service.port is None)
        if name in facts.asked and name not in known
    )


def port_hint(service: str) -> str:
    """The key that tells the port on which a service is asked."""
    return f"name it in allfast.toml ([services.{service}] port = ...), then deploy again"


def source_mounts(mounted: tuple[tuple[str, str], ...], rules: dict[str, str]) -> tuple[Finding, ...]:
    """Folders of the commit that a service mounts writable: sources, as development setups mount them."""
    if rules["development"] == "off":
        return ()
    hint = "name the production Compose file in `compose`, or mount it read-only (`:ro`)"
    return tuple(
        Finding("development", rules["development"], f"{service}: it mounts {folder} of the commit writable", hint)
        for service, folder in mounted
    )


def build_secrets(arguments: tuple[tuple[str, str], ...], rules: dict[str, str]) -> tuple[Finding, ...]:
    """Build arguments that look secret: their values would stand in the image's history."""
    if rules["build_secret"] == "off":  # noqa: S105 - a rule's level
        return ()
    hint = "give it to the build as a build secret (`build.secrets` and RUN --mount=type=secret)"
    return tuple(
        Finding("build_secret", rules["build_secret"], f"{service}: build argument {name} looks secret", hint)
        for service, name in arguments
    )


def of_a_build(found: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """The findings where only a build is made: what would refuse its deploy for another reason is a warning."""
    return tuple(f if f.rule in OF_BUILDS or f.level != "refuse" else replace(f, level="warn") for f in found)


def certificate(found: Certificate, hosts: set[str], now: float) -> tuple[Finding, ...]:
    """A certificate of the user's own that ends soon, or is for no host; `now` in seconds since the epoch."""
    if found.digest and not hosts:
        text = "a certificate is named, and no route is for HTTPS: it is not used"
        hint = 'HTTPS needs both: a `route` of a service, and a url of the target that begins with "https://"'
        return (Finding("certificate", "warn", text, hint),)
    if not found.digest or found.expires - now > CERTIFICATE_DAYS * DAY:
        return ()
    text = f"the certificate ends at {moment(found.expires)}: in less than {CERTIFICATE_DAYS} days"
    return (Finding("certificate", "warn", text, "have it renewed; the deploy after that brings it to the proxy"),)


def conflicts(found: tuple[Conflict, ...]) -> tuple[Finding, ...]:
    """Keys that two env files of one service set differently: the last file wins, which is rarely meant."""
    return tuple(
        Finding(
            "environment",
            "warn",
            f"{one.service}: {one.key} is set differently by {' and '.join(one.files)}",
            "set it in one of them alone: where two set it, the last one wins",
        )
        for one in found
    )
