"""Networks and volumes that are there with other settings than the Compose files say now."""

from __future__ import annotations

from collections.abc import Iterator

from allfast.model.facts import Facts
from allfast.model.plan import Finding
from allfast.model.server import Resource

_HINTS = {
    "network": "on the server: stop and remove the containers on it, `docker network rm {name}`, and deploy again",
    "volume": "name a new volume, and copy the data of {name} to it; or set the Compose file back",
}


def findings(facts: Facts) -> tuple[Finding, ...]:
    """What no deploy changes: an existing network or volume stays as it was made."""
    there = {(one.kind, one.name): one for one in facts.server.resources}
    found = []
    for wanted in facts.resources:
        made = there.get((wanted.kind, wanted.name))
        if made is not None and (differing := ", ".join(_differing(wanted, made))):
            text = f"{wanted.kind} {wanted.name} stays as it was made: {differing} of the Compose file would not apply"
            found.append(Finding("resource", "warn", text, _HINTS[wanted.kind].format(name=wanted.name)))
    return tuple(found)


def _differing(wanted: Resource, made: Resource) -> Iterator[str]:
    """The names of the settings that differ; values can be secret. The engine gives networks options of its own."""
    if wanted.driver and wanted.driver != made.driver:
        yield "driver"
    old, new = dict(made.options), dict(wanted.options)
    gone = set(old) - set(new) if wanted.kind == "volume" else set()
    yield from sorted(f"driver_opts.{key}" for key in gone | {key for key in new if old.get(key) != new[key]})
    if wanted.internal != made.internal:
        yield "internal"
    if not set(wanted.subnets) <= set(made.subnets):
        yield "ipam"
