"""What is wrong with a project's Compose files, as errors with the cause, the place and the next step."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from allfast.config.model import Target
from allfast.config.nearest import nearest
from allfast.errors import ConfigError

_NEAR = re.compile(r' near ["\'`].*', re.DOTALL)  # what stands near a mistake in an env file may be a secret


def unset(
    variables: Sequence[str],
    files: Sequence[Path],
    env_files: Sequence[Path],
    project: Path,
    target: Target,
    *,
    service: str = "",
) -> ConfigError:
    """Variables that Compose found nowhere. `service`: its `environment` names them without a value."""
    lines = []
    in_env_file = False
    for variable in variables:
        where = _find(rf"\$\{{?{variable}\b", files, project)
        if not where and service:
            where = _find(rf"^\s*-?\s*[\"']?{variable}[\"']?\s*:?\s*(?:#.*)?$", files, project)
        if not where:
            where = _find(rf"\${{?{variable}\b", env_files, project)
            in_env_file = in_env_file or bool(where)
        part = f"services.{service}.environment: " if service else ""
        lines.append(f"{where or _names(files, project)}: {part}the variable {variable} is not set")
    if in_env_file:
        hint = "write the value in single quotes where the dollar is a part of it"
    else:
        hint = f"{_how_to_set(variables, target)}, or give a default in the Compose file: ${{{variables[0]}:-...}}"
    return ConfigError("\n".join(lines), hint=hint)


def refused(
    text: str,
    files: Sequence[Path],
    project: Path,
    env_files: Mapping[str, Sequence[str]],
    unread: Sequence[Path],
    target: Target,
) -> ConfigError:
    """What Compose itself complained of.

    Args:
        text: its words, without secrets.
        env_files: the paths of the env files of each service.
        unread: the env files that Compose cannot read.
    """
    for service, paths in sorted(env_files.items()):
        for path in paths:
            if path in text and not Path(path).exists() and "$" not in path:
                shown = _shown(Path(path), project)
                return ConfigError(
                    f"{_find(re.escape(Path(shown).name), files, project) or _names(files, project)}: "
                    f"services.{service}.env_file: {shown} is not in the commit",
                    hint=f'where Git ignores it, list it in allfast.toml: [services.{service}] extra = ["{shown}"]; '
                    "else commit it",
                )
    if unread:
        return _unreadable(text, unread[0], project)
    required = re.search(r"required variable (\w+) is missing a value", text)
    said = _NEAR.sub("", text).replace(f"{project}/", "").replace(str(project), ".").strip()
    hint = "run docker compose config for the whole picture"
    where = _names(files, project)
    if required:
        where = _find(rf"\$\{{{required[1]}\b", files, project) or where
        hint = _how_to_set([required[1]], target)
    return ConfigError(f"{where}: {said or 'Compose refused it without a word'}", hint=hint)


def _unreadable(text: str, file: Path, project: Path) -> ConfigError:
    """An env file with a line that Compose does not understand; it tells the line's number, not always the file."""
    said = _NEAR.sub("", text.removeprefix(f"failed to read {file}: ")).strip()
    line = re.match(r"line (\d+): ", said)
    where = _shown(file, project) + (f":{line[1]}" if line else "")
    return ConfigError(f"{where}: {said[line.end() :] if line else said}", hint="an env file has KEY=VALUE lines")


def unknown_service(where: str, name: str, known: Iterable[str]) -> ConfigError:
    """A [services.X] that the Compose files do not have."""
    names = sorted(known)
    return ConfigError(
        f"{where}: there is no such service in the Compose files",
        hint=f"{nearest(name, names)}the services are: {', '.join(names)}",
    )


def _how_to_set(variables: Sequence[str], target: Target) -> str:
    listed = ", ".join(variables)
    if target.env_file is not None:
        return f"set {listed} in {target.env_file}, or list it in the target's `env`"
    return f"name a file that sets {listed} as the target's `env_file`, or list it in the target's `env`"


def _find(pattern: str, files: Sequence[Path], project: Path) -> str:
    """`file:line` of the first line with the pattern, "" without one."""
    wanted = re.compile(pattern)
    for file in files:
        if not file.is_file():
            continue
        for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if wanted.search(line):
                return f"{_shown(file, project)}:{number}"
    return ""


def _names(files: Sequence[Path], project: Path) -> str:
    return ", ".join(_shown(file, project) for file in files)


def _shown(file: Path, project: Path) -> str:
    return str(file.relative_to(project)) if file.is_relative_to(project) else str(file)
