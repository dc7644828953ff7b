"""The networks and named volumes that the Compose files want."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from allfast.model.server import Resource


def resources(top: Mapping[str, Mapping[str, Any]], deployment: str) -> tuple[Resource, ...]:
    """Those that Compose makes, without external ones; `top` is `ComposeModel.top`."""
    return tuple(
        _wanted(kind, str(made.get("name") or f"{deployment}_{key}"), made)
        for kind in ("network", "volume")
        for key, made in ((key, one or {}) for key, one in sorted(top[f"{kind}s"].items()))
        if not made.get("external")
    )


def _wanted(kind: str, name: str, made: Mapping[str, Any]) -> Resource:
    options = {key: str(value).replace("$$", "$") for key, value in (made.get("driver_opts") or {}).items()}
    ranges = (made.get("ipam") or {}).get("config") or ()
    return Resource(
        kind=kind,
        name=name,
        driver=str(made.get("driver") or ""),
        options=tuple(sorted(options.items())),
        internal=bool(made.get("internal")),
        subnets=tuple(str(one["subnet"]) for one in ranges if one.get("subnet")),
    )
