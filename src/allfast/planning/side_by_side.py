"""What stands in the way of a release beside the live one: pure functions over facts."""

from __future__ import annotations

from allfast.config.definition import ties
from allfast.config.project import direct_ports
from allfast.model.facts import Facts
from allfast.model.plan import Finding
from allfast.model.release import Strategy
from allfast.model.service import Kind
from allfast.text import megabytes


def memory(facts: Facts) -> tuple[Finding, ...]:
    """Whether a second release beside the live one may not fit: judged by what the live one uses."""
    server = facts.server
    if facts.strategy is not Strategy.SIDE_BY_SIDE or not server.free_memory or server.memory < server.free_memory:
        return ()
    text = (
        f"{megabytes(server.free_memory)} of memory are free, and what runs of this application uses "
        f"{megabytes(server.memory)}: a second release beside it may not fit"
    )
    return (Finding("memory", "warn", text, 'free some, or set strategy = "recreate" for this target'),)


def alone(facts: Facts) -> tuple[Finding, ...]:
    """What a release in a project of its own cannot have: the very containers of data services."""
    if facts.strategy is not Strategy.SIDE_BY_SIDE:
        return ()
    data = {item.service.name for item in facts.of_kind(Kind.DATA)}
    return tuple(
        Finding(
            "strategy",
            "refuse",
            f"{item.service.name} shares the container of {other}, which is data: no second release can be beside it",
            'set strategy = "recreate" for this target',
            forceable=False,
        )
        for item in facts.of_kind(Kind.RELEASE)
        for other in sorted(ties(item.service.definition) & data)
    )


def out_of_reach(facts: Facts) -> tuple[Finding, ...]:
    """Services with routes that cannot join the network over which the proxy reaches containers."""
    if facts.strategy is not Strategy.SIDE_BY_SIDE:
        return ()
    modes = {i.service.name: str(i.service.definition.get("network_mode") or "") for i in facts.of_kind(Kind.RELEASE)}
    return tuple(
        Finding(
            "strategy",
            "refuse",
            f"services.{name}.network_mode is {modes[name]}: the proxy, which its routes need, cannot reach it",
            'take network_mode out, or set strategy = "recreate" for this target',
            forceable=False,
        )
        for name in facts.routes.services
        if modes.get(name, "") not in ("", "bridge", "default")
    )


def own_ports(facts: Facts) -> tuple[Finding, ...]:
    """Ports that a service publishes itself while the proxy has to listen there for the routes."""
    if facts.strategy is not Strategy.SIDE_BY_SIDE:
        return ()
    listens = {listen.port for listen in facts.routes.listens}
    return tuple(
        Finding(
            "port",
            "refuse",
            f"{item.service.name} publishes port {port} itself, and the proxy needs it for the routes",
            f"let a route lead to the container's port behind it ([services.{item.service.name}] port = ...), or "
            "publish another port",
            forceable=False,
        )
        for item in facts.of_kind(Kind.RELEASE)
        for port in direct_ports({item.service.name: item.service.definition}, facts.routes)
        if port in listens
    )


def fixed_addresses(facts: Facts) -> tuple[Finding, ...]:
    """Fixed addresses on networks that nobody makes: a release has networks of its own, where addresses are free."""
    if facts.strategy is not Strategy.SIDE_BY_SIDE:
        return ()
    of_data = {name for item in facts.of_kind(Kind.DATA) for name in item.service.definition.get("networks") or ()}
    made = {one.name for one in facts.server.resources if one.kind == "network"}
    unmade = {one.name for one in facts.resources if one.kind == "network"} - made
    return tuple(
        Finding(
            "strategy",
            "refuse",
            f"{item.service.name} has a fixed address on network {name}, which no data service is on: no second "
            "release can have it, and side by side the network is not made",
            'take the address out (services find each other by name), or set strategy = "recreate" for this target',
            forceable=False,
        )
        for item in facts.of_kind(Kind.RELEASE)
        for name, how in (item.service.definition.get("networks") or {}).items()
        if any((how or {}).get(key) for key in ("ipv4_address", "ipv6_address"))
        if name not in of_data and f"{facts.deployment}_{name}" in unmade
    )
