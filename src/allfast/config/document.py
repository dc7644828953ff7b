"""The Compose file of a release: what `docker compose -f -` on the server's engine starts containers from.

The release's images are pinned, every `$` is doubled, and nothing in it names this machine. It holds secrets.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from allfast.config.compose import ComposeModel
from allfast.config.tree import escape
from allfast.model import labels
from allfast.model.service import Kind, Service

#: What a one-off container of a service must not share with the service itself: its place among the others.
_NOT_FOR_ONE_OFFS = (
    "ports",
    "expose",
    "healthcheck",
    "container_name",
    "hostname",
    "depends_on",
    "deploy",
    "scale",
    "links",
    "mac_address",
)


def release_document(model: ComposeModel, images: Mapping[str, str]) -> str:
    """The file as JSON, all services in it.

    Args:
        images: release service or one-shot -> the engine id of its image on the server.

    Raises KeyError: a release service or one-shot without an image.
    """
    services: dict[str, Any] = {}
    for service in model.services:
        pinned = dict(service.definition)
        if service.kind is not Kind.DATA:
            pinned["image"] = images[service.name]
        services[service.name] = pinned
        if service.name in model.before:
            services[before_name(service.name)] = _before(service, pinned, model.before[service.name])
    top = {kind: part for kind, part in model.top.items() if part}
    return json.dumps({"name": model.project, "services": services, **top}, sort_keys=True, ensure_ascii=False)


def with_services_of(document: str, other: str, names: Sequence[str]) -> str:
    """`document` with the services `names` as `other` (an earlier release's file) has them, and what they use."""
    mine, theirs = json.loads(document), json.loads(other)
    for name in names:
        mine["services"][name] = theirs["services"][name]
    for kind in ("networks", "volumes", "configs", "secrets"):
        merged = {**theirs.get(kind, {}), **mine.get(kind, {})}
        if merged:
            mine[kind] = merged
    return json.dumps(mine, sort_keys=True, ensure_ascii=False)


def before_name(service: str) -> str:
    """The name of the one-off service that runs the `before` command of `service`."""
    return f"{service}-before"


def _before(service: Service, pinned: Mapping[str, Any], words: Sequence[str]) -> dict[str, Any]:
    """The service with another command, run once: the entrypoint stays, as with `docker compose run`."""
    made = {key: value for key, value in pinned.items() if key not in _NOT_FOR_ONE_OFFS}
    # Without aliases and fixed addresses, so that nobody dials it for the service.
    if "networks" in made:
        made["networks"] = dict.fromkeys(made["networks"])
    # The profile keeps it out of an `up` that does not name it.
    made |= {"command": escape(list(words)), "restart": "no", "profiles": ["allfast-before"]}
    made["labels"] = {**made["labels"], labels.SERVICE: before_name(service.name)}
    return made
