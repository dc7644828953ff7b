"""A service's definition as the server gets it, and the digest over all of its settings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from allfast.config.kinds import Judged
from allfast.config.tree import strings
from allfast.errors import ConfigError
from allfast.model import labels
from allfast.model.service import Kind

#: Keys of a service that are not for its container on the server.
_NOT_FOR_THE_SERVER = frozenset(
    ("build", "depends_on", "develop", "env_file", "extends", "label_file", "profiles", "pull_policy")
)
_TOP = ("networks", "volumes", "configs", "secrets")

Top = Mapping[str, Mapping[str, Any]]


def for_server(
    name: str,
    definition: Mapping[str, Any],
    binds: list[dict[str, Any]],
    *,
    deployment: str,
    judged: Mapping[str, Judged],
    top: Top,
) -> tuple[dict[str, Any], str]:
    """The definition with allfast's labels and the volumes `binds`, and its settings digest; `$` plain."""
    made = {k: v for k, v in definition.items() if k not in _NOT_FOR_THE_SERVER and v is not None}
    if binds:
        made["volumes"] = binds
    if depends := _depends_on(definition, judged[name].kind, judged):
        made["depends_on"] = depends
    marks = {labels.DEPLOYMENT: deployment, labels.SERVICE: name}
    made["labels"] = {**(made.get("labels") or {}), **marks}
    settings = _digest({"service": made, **_used(made, top)})
    made["labels"][labels.SETTINGS] = settings
    return made, settings


def guard_leaks(name: str, definition: Mapping[str, Any], checkout: Path) -> None:
    """No path of the temporary checkout may reach the server. ConfigError with the key's path."""
    for path, text in strings(definition, f"services.{name}"):
        if str(checkout) in text:
            raise ConfigError(
                f"{path}: is a path of this project, which the server does not have",
                hint="name an absolute path of the server",
            )


def http_port(definition: Mapping[str, Any]) -> int | None:
    """The only TCP port that a service publishes, else the only one that it exposes, else None."""
    exposed = {str(one).partition("/")[0] for one in definition.get("expose") or ()}
    for ports in (tcp_ports(definition), {int(one) for one in exposed if one.isdecimal()}):
        if len(ports) == 1:
            return ports.pop()
    return None


def tcp_ports(definition: Mapping[str, Any]) -> set[int]:
    """The container's TCP ports that a service publishes."""
    return {int(p["target"]) for p in definition.get("ports") or () if p.get("protocol", "tcp") == "tcp"}


def ties(definition: Mapping[str, Any]) -> set[str]:
    """The services whose very container this one is tied to: when they are replaced, it must be, too."""
    shared = (str(definition.get(key) or "") for key in ("network_mode", "ipc", "pid"))
    found = {text.removeprefix("service:") for text in shared if text.startswith("service:")}
    mounted = (str(one).partition(":") for one in definition.get("volumes_from") or ())
    return found | {name for name, _, _ in mounted if name != "container"}


def _depends_on(definition: Mapping[str, Any], kind: Kind, judged: Mapping[str, Judged]) -> dict[str, Any]:
    """Without those of another kind: allfast starts the kinds one after the other by itself."""
    return {
        other: how
        for other, how in (definition.get("depends_on") or {}).items()
        if other in judged and judged[other].kind is kind and kind is not Kind.ONE_SHOT
    }


def _used(definition: Mapping[str, Any], top: Top) -> dict[str, Any]:
    """The networks, volumes, configs and secrets that a service uses, by kind and name."""
    names = {
        "networks": list(definition.get("networks") or {}),
        "volumes": [v.get("source") for v in definition.get("volumes") or () if v.get("type") == "volume"],
        "configs": [one["source"] for one in definition.get("configs") or ()],
        "secrets": [one["source"] for one in definition.get("secrets") or ()],
    }
    return {kind: {n: top[kind].get(n) for n in names[kind] if n} for kind in _TOP}


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
