"""The containers of the server: a deployment's in full (model.server.Container as JSON), the names and ports of all."""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Optional

from allfast.agent.asking import in_parallel, inspecting, timestamp
from allfast.agent.engine import Engine
from allfast.agent.labels import DEPLOYMENT, PROJECT, RELEASE, SETTINGS, label

Json = Dict[str, Any]

#: Characters of what a health check printed, and bytes after which the engine itself cuts it.
_HEALTH_OUTPUT = 500
_ENGINE_CUTS = 4096


def of_deployment(engine: Engine, deployment: str) -> List[Json]:
    """The deployment's containers alone: what a rollout looks at several times a second."""
    found = [one["Id"] for one in engine.get("/containers/json", all=True) if belongs(one, deployment)]
    details = in_parallel([inspecting(engine, "containers", one) for one in found])
    return [described(one) for one in details if one]


def belongs(one: Json, deployment: str) -> bool:
    """Whether a container is in the deployment's base project, or in the project of one of its releases."""
    return label(one, PROJECT) == deployment or (label(one, DEPLOYMENT) == deployment and bool(label(one, RELEASE)))


def described(one: Json) -> Json:
    """A container as the laptop knows it, from what `inspect` says."""
    labels, state = one["Config"].get("Labels") or {}, one["State"]
    health = state.get("Health") or {}
    networks = (one.get("NetworkSettings") or {}).get("Networks") or {}
    return {
        "id": one["Id"],
        "name": one["Name"].lstrip("/"),
        "service": labels.get("com.docker.compose.service", ""),
        "image": one["Image"],
        "state": state["Status"],
        "health": health.get("Status", "").replace("none", ""),
        "settings": labels.get(SETTINGS, ""),
        "exit_code": state["ExitCode"],
        "restarts": one["RestartCount"],
        "oom_killed": state["OOMKilled"],
        "started": timestamp(state["StartedAt"]),
        "one_off": labels.get("com.docker.compose.oneoff") == "True",
        "addresses": [net["IPAddress"] for net in networks.values() if net.get("IPAddress")],
        "ports": sorted(_published(one)),
        "exposed": sorted(_exposed(one)),
        "health_output": _health_output(state),
        "release": labels.get(RELEASE, ""),
        "restart": _restart((one.get("HostConfig") or {}).get("RestartPolicy") or {}),
        "networks": sorted(networks),
        "check": _check(one["Config"].get("Healthcheck") or {}),
    }


def _restart(policy: Json) -> str:
    """A restart policy as Compose writes it."""
    name, tries = policy.get("Name") or "no", policy.get("MaximumRetryCount") or 0
    return f"{name}:{tries}" if name == "on-failure" and tries else str(name)


def _exposed(one: Json) -> Iterable[int]:
    """Numbers of the TCP ports that the container says it listens on."""
    for port in one["Config"].get("ExposedPorts") or {}:
        number, _, protocol = port.partition("/")
        if protocol in ("", "tcp") and number.isdigit():
            yield int(number)


def _check(one: Json) -> Optional[Json]:
    """The check of a container's configuration, into which the engine has put the image's; None without one.

    The engine counts in nanoseconds, and 0 stands for its own defaults.
    """
    if (one.get("Test") or ["NONE"])[0] == "NONE":
        return None
    return {
        "interval": (one.get("Interval") or 0) / 1e9 or 30.0,
        "timeout": (one.get("Timeout") or 0) / 1e9 or 30.0,
        "retries": one.get("Retries") or 3,
        "start_period": (one.get("StartPeriod") or 0) / 1e9,
    }


def _health_output(state: Json) -> str:
    """What the last health check printed, on one line, shortened.

    By whole lines: the laptop masks secrets, and would not know the half of one.
    """
    log = (state.get("Health") or {}).get("Log") or []
    output = str(log[-1].get("Output") or "") if log else ""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    if len(output) >= _ENGINE_CUTS and len(lines) > 1:
        lines.pop()
    shown = ""
    for line in lines:
        if shown and len(shown) + len(line) >= _HEALTH_OUTPUT:
            break
        shown = f"{shown} {line}".strip()
    return shown


def _published(one: Json) -> Iterable[str]:
    for port, bindings in ((one.get("NetworkSettings") or {}).get("Ports") or {}).items():
        for binding in bindings or []:
            address = binding["HostIp"]
            yield f"{f'[{address}]' if ':' in address else address}:{binding['HostPort']}->{port}"


def named(one: Json) -> Json:
    """An entry of the list of containers, by its name and its project."""
    return {"name": name(one), "project": label(one, PROJECT)}


def name(one: Json) -> str:
    """The name of an entry of the list of containers."""
    return str((one.get("Names") or [one["Id"]])[0]).lstrip("/")


def published_ports(one: Json) -> Iterable[Json]:
    """The ports of the server that an entry of the list of containers holds."""
    for port in one.get("Ports") or []:
        if port.get("PublicPort"):
            yield {
                "host_ip": port.get("IP", ""),
                "port": port["PublicPort"],
                "protocol": port["Type"],
                "container": name(one),
                "project": label(one, PROJECT),
                "deployment": label(one, DEPLOYMENT),
            }
