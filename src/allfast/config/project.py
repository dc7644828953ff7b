"""A release as a Compose project of its own, beside the deployment's other releases (strategy "side-by-side").

Made from the release's stored Compose file, which is written for the deployment's base project (document.py): that one
file is all that is kept, and either strategy can start it. What changes here:

- names: the project is `<deployment>-<release id>`, nothing has a fixed container name;
- networks: the release's services find each other on networks of their own; the base project's networks, where the data
  services are, are joined by the engine afterwards, without aliases;
- storage: named volumes are those of the base project;
- ports: those that the proxy listens on instead are not published any more;
- restarts: "no", until the release is live.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from allfast.model import labels
from allfast.model.release import Release
from allfast.model.routing import RouteSet
from allfast.model.service import Kind

#: The networks of a release's own project: for services that may reach the outside, and for those that may not.
_OWN, _INSIDE = "default", "inside"


@dataclass(frozen=True, slots=True)
class Volume:
    """A named volume of the base project, made before the first release that mounts it, by its Compose definition."""

    key: str
    name: str
    definition: Mapping[str, Any] = field(hash=False)


@dataclass(frozen=True, slots=True)
class Join:
    """A network outside of the release's project that a service's containers join, by its real name."""

    network: str
    ipv4: str = ""  # a fixed address
    ipv6: str = ""


@dataclass(frozen=True, slots=True)
class ReleaseProject:
    """One release, ready to be started beside others. `document` holds secrets."""

    name: str
    deployment: str  # the base project, where the data services are
    release: str
    document: str = field(repr=False)
    services: tuple[str, ...]
    joins: tuple[tuple[str, tuple[Join, ...]], ...]  # by service
    volumes: tuple[Volume, ...]
    restart: tuple[tuple[str, str], ...]  # service -> the restart policy it has while it is live, as Compose writes it
    alone: tuple[tuple[str, str], ...]  # service -> why its predecessor must stop before it starts
    ports: tuple[int, ...]  # of the server, that its containers publish themselves: the proxy does not carry them
    container_names: tuple[tuple[str, str], ...]  # service -> the name that its container gets once it is live
    needs: tuple[tuple[str, tuple[str, ...]], ...]  # service -> the services that it starts after

    def waves(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The services that can start beside their predecessors, and those that cannot, or need one that cannot."""
        late = why_late(dict(self.alone), dict(self.needs))
        return tuple(n for n in self.services if n not in late), tuple(n for n in self.services if n in late)


def project_name(deployment: str, release: str) -> str:
    """The Compose project of a release."""
    return f"{deployment}-{release}"


def release_project(release: Release, document: str) -> ReleaseProject:
    """The release's own project; `document` is the release's Compose file as it is stored."""
    base = json.loads(document)
    mine = [one for one in release.services if one.kind is Kind.RELEASE]
    services: dict[str, Any] = {}
    joins, restart, alone, called = [], [], [], []
    for one in mine:
        name, made = one.name, dict(base["services"][one.name])
        if why := why_alone(name, made, release.routes, shared=one.shared):
            alone.append((name, why))
        if ports := _direct(name, made.pop("ports", None) or (), release.routes):
            made["ports"] = ports
        restart.append((name, _restart(made)))
        if fixed := made.pop("container_name", None):
            called.append((name, str(fixed)))
        outside = _networks(made, base)
        joins.append((name, outside))
        made["labels"] = {**(made.get("labels") or {}), labels.RELEASE: release.id}
        services[name] = made
    volumes = _volumes(base, services)
    top = {
        "networks": _own_networks(base, services),
        "volumes": {one.key: {"name": one.name, "external": True} for one in volumes},
        **{kind: base[kind] for kind in ("configs", "secrets") if base.get(kind)},
    }
    project = project_name(base["name"], release.id)
    whole = {"name": project, "services": services, **{kind: part for kind, part in top.items() if part}}
    return ReleaseProject(
        name=project,
        deployment=base["name"],
        release=release.id,
        document=json.dumps(whole, sort_keys=True, ensure_ascii=False),
        services=tuple(services),
        joins=tuple(joins),
        volumes=tuple(v for v in volumes if not v.definition.get("external")),
        restart=tuple(restart),
        alone=tuple(alone),
        ports=direct_ports(services, release.routes),
        container_names=tuple(called),
        needs=tuple((name, tuple(one.get("depends_on") or ())) for name, one in services.items()),
    )


def why_alone(service: str, definition: Mapping[str, Any], routes: RouteSet, *, shared: bool) -> str:
    """Why two of a service cannot run at the same time; empty where they can.

    Args:
        definition: as Compose renders it.
        shared: as allfast.toml says.
    """
    if not shared:
        return "shared = false"
    if ports := _direct(service, definition.get("ports") or (), routes):
        shown = ", ".join(f"{p.get('published') or p['target']}/{p.get('protocol', 'tcp')}" for p in ports)
        return f"it publishes {shown}, which the proxy does not carry"
    mode = str(definition.get("network_mode") or "")
    if mode and mode not in ("none", "bridge") and not mode.startswith("service:"):
        return f"network_mode is {mode}"
    for network, how in (definition.get("networks") or {}).items():
        if any((how or {}).get(key) for key in ("ipv4_address", "ipv6_address", "mac_address")):
            return f"it has a fixed address on network {network}"
    if definition.get("mac_address"):
        return "it has a fixed MAC address"
    if definition.get("devices"):
        return "it uses a device"
    return ""


def why_late(alone: Mapping[str, str], needs: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """The services that cannot run beside their predecessors, or need one that cannot; why.

    Args:
        alone: those that cannot by themselves, and why (`why_alone`).
        needs: what each service starts after.
    """
    found = dict(alone)
    for _ in needs:  # a chain is at most this long
        for name, needed in needs.items():
            first = min(found.keys() & set(needed), default="")
            if first and name not in found:
                found[name] = f"it needs {first}"
    return found


def direct_ports(definitions: Mapping[str, Mapping[str, Any]], routes: RouteSet) -> tuple[int, ...]:
    """The TCP ports of the server that these services publish, in whose place the proxy does not listen; sorted.

    Args:
        definitions: by service, as Compose renders them.
    """
    mine = [p for name, one in definitions.items() for p in _direct(name, one.get("ports") or (), routes)]
    tcp = (str(p.get("published") or "") for p in mine if p.get("protocol", "tcp") == "tcp")
    return tuple(sorted({int(port) for port in tcp if port.isdecimal()}))


def _direct(service: str, ports: Iterable[Mapping[str, Any]], routes: RouteSet) -> list[dict[str, Any]]:
    """The published ports in whose place the proxy does not listen."""
    carried = routes.ports(service)
    return [dict(p) for p in ports if p.get("protocol", "tcp") != "tcp" or int(p["target"]) not in carried]


def _restart(definition: dict[str, Any]) -> str:
    """Take the restart policy out of a definition; the policy."""
    wanted = str(definition.pop("restart", None) or "no")
    deploy = dict(definition.get("deploy") or {})
    policy = deploy.pop("restart_policy", None)
    if policy is not None:
        definition["deploy"] = deploy
        condition = {"none": "no", "any": "always"}.get(policy.get("condition", "any"), policy.get("condition", "any"))
        tries = policy.get("max_attempts")
        wanted = f"{condition}:{tries}" if condition == "on-failure" and tries else str(condition)
    definition["restart"] = "no"
    return wanted


def _networks(definition: dict[str, Any], base: Mapping[str, Any]) -> tuple[Join, ...]:
    """Move a service from the base project's networks to the release's own; those that it joins again."""
    if definition.get("network_mode"):
        return ()
    wanted = definition.get("networks") or {"default": None}
    top = base.get("networks") or {}
    aliases = sorted({alias for how in wanted.values() for alias in (how or {}).get("aliases") or ()})
    internal = all((top.get(name) or {}).get("internal") for name in wanted)
    own = _INSIDE if internal else _OWN
    definition["networks"] = {own: {"aliases": aliases} if aliases else None}
    if not internal and any((top.get(name) or {}).get("internal") for name in wanted):
        definition["networks"][_INSIDE] = {"aliases": aliases} if aliases else None
    return tuple(
        Join(
            str((top.get(name) or {}).get("name") or f"{base['name']}_{name}"),
            str((how or {}).get("ipv4_address") or ""),
            str((how or {}).get("ipv6_address") or ""),
        )
        for name, how in wanted.items()
    )


def _own_networks(base: Mapping[str, Any], services: Mapping[str, Any]) -> dict[str, Any]:
    used = {name for one in services.values() for name in one.get("networks") or ()}
    made: dict[str, Any] = {}
    default = (base.get("networks") or {}).get("default") or {}
    options = {key: default[key] for key in ("driver_opts", "enable_ipv6") if default.get(key)}
    if _OWN in used:
        made[_OWN] = options
    if _INSIDE in used:
        made[_INSIDE] = {**options, "internal": True}
    return made


def _volumes(base: Mapping[str, Any], services: Mapping[str, Any]) -> tuple[Volume, ...]:
    used = {
        str(mount["source"])
        for one in services.values()
        for mount in one.get("volumes") or ()
        if mount.get("type") == "volume" and mount.get("source")
    }
    top = base.get("volumes") or {}
    return tuple(
        Volume(key, str((top.get(key) or {}).get("name") or f"{base['name']}_{key}"), top.get(key) or {})
        for key in sorted(used)
    )
