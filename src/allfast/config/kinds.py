"""What each service is to a deploy, and why: a pure function over the rendered Compose model.

A service belongs to the release when it is built, runs an image that another service builds, waits in line before the
release (a one-shot), or dials a service of the release. Everything else holds data and is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from allfast.model.reference import short
from allfast.model.service import Kind

COMPLETED = "service_completed_successfully"


@dataclass(frozen=True, slots=True)
class Judged:
    """A kind, with the reason in words."""

    kind: Kind
    reason: str


def kinds(
    services: Mapping[str, Mapping[str, Any]],
    *,
    said: Mapping[str, Kind],
    texts: Mapping[str, tuple[tuple[str, str], ...]],
) -> dict[str, Judged]:
    """The kind of each service.

    Args:
        services: the definitions, as Compose renders them, `$` plain.
        said: what `[services.X] kind` says.
        texts: for each service, name and text of the configuration files from the commit that it mounts.
    """
    judged = {name: Judged(kind, "allfast.toml says so") for name, kind in said.items() if name in services}
    builders = image_builders(services)
    for name, definition in services.items():
        if name in judged:
            continue
        if definition.get("build"):
            judged[name] = Judged(Kind.RELEASE, "it is built")
        elif (builder := builders.get(reference(definition))) is not None:
            judged[name] = Judged(Kind.RELEASE, f"it runs the image that {builder} builds")
    _spread(services, texts, judged)
    waiting = _waiting(services, judged)
    for name in services:
        before = judged.get(name)
        if name in waiting and name not in said:
            judged[name] = Judged(Kind.ONE_SHOT, f"{waiting[name]} waits for its end")
        elif before is None:
            judged[name] = Judged(Kind.DATA, "it is not built and dials no service of the release")
    return {name: judged[name] for name in services}


def dialled(
    services: Mapping[str, Mapping[str, Any]], texts: Mapping[str, tuple[tuple[str, str], ...]]
) -> frozenset[str]:
    """The services that another one dials (arguments as for `kinds`): who waits for a job from a queue is none."""
    return frozenset(
        other
        for other in services
        for name in services
        if name != other and _dials(services[name], other, services[other], texts.get(name, ())) is not None
    )


def image_builders(services: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Image reference -> the (first) service that builds it."""
    found: dict[str, str] = {}
    for name in sorted(services):
        if services[name].get("build") and services[name].get("image"):
            found.setdefault(reference(services[name]), name)
    return found


def reference(definition: Mapping[str, Any]) -> str:
    """The image's name, so that `chat-api` and `chat-api:latest` are the same; "" without one."""
    return short(str(definition.get("image") or ""))


def _spread(
    services: Mapping[str, Mapping[str, Any]],
    texts: Mapping[str, tuple[tuple[str, str], ...]],
    judged: dict[str, Judged],
) -> None:
    """Add the services that dial one of the release, until no more are found."""
    spreading = [name for name in services if name in judged and judged[name].kind is not Kind.DATA]
    while spreading:
        dialled = spreading.pop(0)
        for name in services:
            if name in judged:
                continue
            how = _dials(services[name], dialled, services[dialled], texts.get(name, ()))
            if how is not None:
                judged[name] = Judged(Kind.RELEASE, f"it dials {dialled} ({how})")
                spreading.append(name)


def _waiting(services: Mapping[str, Mapping[str, Any]], judged: Mapping[str, Judged]) -> dict[str, str]:
    """The services that somebody waits for the end of, and that are for the release -> who waits.

    For the release is what belongs to it, and what one of its services (or such a one-shot) waits for: a migration
    tool that is not built runs once per release, too; what prepares a volume for a database does not.
    """
    waits = [
        (name, other)
        for name, definition in services.items()
        for other, how in (definition.get("depends_on") or {}).items()
        if how.get("condition") == COMPLETED and other in services
    ]
    release = {name for name, one in judged.items() if one.kind is not Kind.DATA}
    data = judged.keys() - release
    found: dict[str, str] = {}
    while fresh := {o: n for n, o in reversed(waits) if o not in found and o not in data and {n, o} & release}:
        found |= fresh
        release |= fresh.keys()
    return found


def _dials(
    definition: Mapping[str, Any], other: str, others: Mapping[str, Any], texts: Iterable[tuple[str, str]]
) -> str | None:
    """How a service dials another one, in words; None where it does not."""
    if other in (definition.get("depends_on") or {}):
        return "depends_on"
    if any(str(link).split(":")[0] == other for link in definition.get("links") or ()):
        return "links"
    for key in ("network_mode", "ipc", "pid"):
        if definition.get(key) == f"service:{other}":
            return key
    named = re.compile("|".join(_patterns(_names(other, others))))
    for place, text in (*_own_texts(definition), *texts):
        if named.search(text):
            return place
    return None


def _names(name: str, definition: Mapping[str, Any]) -> Iterator[str]:
    """The names by which other containers reach a service."""
    yield name
    if definition.get("container_name"):
        yield str(definition["container_name"])
    for network in (definition.get("networks") or {}).values():
        yield from (network or {}).get("aliases") or ()


def _patterns(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        yield rf"(?<![\w.-]){re.escape(name)}:[0-9]{{1,5}}(?![0-9.])"
        yield rf"//(?:[^\s/@]*@)?{re.escape(name)}(?![\w.-])"


def _own_texts(definition: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in (definition.get("environment") or {}).items():
        yield f"environment {key}", str(value)
    for key in ("command", "entrypoint"):
        words = definition.get(key) or ()
        yield key, words if isinstance(words, str) else " ".join(map(str, words))
