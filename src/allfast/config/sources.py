"""From which file each value of a container's environment comes, and which keys two files set differently."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from allfast.config.compose_cli import ComposeCli

_VARIABLE = re.compile(r"(?<!\$)(?:\$\$)*\$(?:\{([A-Za-z_]\w*)|([A-Za-z_]\w*))", re.ASCII)


@dataclass(frozen=True, slots=True)
class Conflict:
    """A key of a service's environment that several files set to different values; the last one wins."""

    service: str
    key: str
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EnvFiles:
    """What each env file says, as Compose itself reads it; paths are absolute."""

    values: Mapping[str, Mapping[str, str]] = field(repr=False)


def read_env_files(cli: ComposeCli, paths: Iterable[str]) -> EnvFiles:
    """Let Compose read env files: one made-up service for each. Files that it cannot read are left out."""
    wanted = sorted(set(paths))
    if not wanted:
        return EnvFiles({})
    services = {
        f"file-{number}": {"image": "none", "env_file": [path.replace("$", "$$")]} for number, path in enumerate(wanted)
    }
    answer = cli.config(["-"], document=json.dumps({"services": services}))
    if answer.document is None:
        # Compose refuses all for one: ask for each alone.
        return EnvFiles({} if len(wanted) == 1 else {p: v for p in wanted for v in _alone(cli, p)})
    found = answer.document["services"]
    return EnvFiles({path: _plain(found[f"file-{number}"]) for number, path in enumerate(wanted)})


def _alone(cli: ComposeCli, path: str) -> list[Mapping[str, str]]:
    return list(read_env_files(cli, [path]).values.values())


def _plain(definition: Mapping[str, Any]) -> dict[str, str]:
    return {key: str(value or "") for key, value in (definition.get("environment") or {}).items()}


def env_file_paths(definition: Mapping[str, Any]) -> tuple[str, ...]:
    """The paths of a service's `env_file`, of a definition that was rendered without interpolation."""
    listed = definition.get("env_file") or ()
    entries = [listed] if isinstance(listed, str) else listed
    return tuple(str(one["path"] if isinstance(one, dict) else one) for one in entries)


def raw_environment(definition: Mapping[str, Any]) -> dict[str, str | None]:
    """A service's own `environment`, rendered without interpolation: a mapping, or a list of KEY=VALUE."""
    written = definition.get("environment") or {}
    if isinstance(written, dict):
        return {key: None if value is None else str(value) for key, value in written.items()}
    pairs = (str(one).partition("=") for one in written)
    return {key: value if equals else None for key, equals, value in pairs}


def key_sources(
    raw: Mapping[str, Any], environment: Iterable[str], files: EnvFiles, of_variable: Mapping[str, str], folder: Path
) -> dict[str, tuple[str, ...]]:
    """For each key of a service's environment the files (or, in words, the places) that its value comes from.

    Args:
        raw: the service's definition without interpolation.
        of_variable: variable -> where it comes from.
        folder: what shown paths are relative to.
    """
    written = raw_environment(raw)
    found: dict[str, tuple[str, ...]] = {}
    for key in environment:
        if key in written:
            value = written[key]
            names = [key] if value is None else [a or b for a, b in _VARIABLE.findall(value)]
            found[key] = tuple(dict.fromkeys(of_variable[n] for n in names if n in of_variable)) or ("Compose file",)
        else:
            setting = [path for path in env_file_paths(raw) if key in files.values.get(path, {})]
            found[key] = tuple(_shown(path, folder) for path in setting[-1:])
    return found


def conflicts(service: str, raw: Mapping[str, Any], files: EnvFiles, folder: Path) -> tuple[Conflict, ...]:
    """The keys that two env files of a service set to different values."""
    by_key: dict[str, list[tuple[str, str]]] = {}
    for path in env_file_paths(raw):
        for key, value in files.values.get(path, {}).items():
            by_key.setdefault(key, []).append((path, value))
    return tuple(
        Conflict(service, key, tuple(_shown(path, folder) for path, _ in setting))
        for key, setting in sorted(by_key.items())
        if len({value for _, value in setting}) > 1
    )


def _shown(path: str, folder: Path) -> str:
    file = Path(path)
    return str(file.relative_to(folder)) if file.is_relative_to(folder) else path
