"""What Compose says of a target's files, in a clean environment; or what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from allfast.config import sources as key_source
from allfast.config.complaints import refused, unknown_service, unset
from allfast.config.compose_cli import ComposeCli, Rendered
from allfast.config.environment import interpolation
from allfast.config.load import place
from allfast.config.model import Config
from allfast.config.secrets import closed, of_environment, written_values
from allfast.config.storage import leads_out
from allfast.config.tree import strings
from allfast.errors import ConfigError
from allfast.redact import Redactor


@dataclass(frozen=True, slots=True)
class Answers:
    """The rendered document (`$` plain), and what only the files themselves tell."""

    document: Mapping[str, Any] = field(repr=False)
    raw: Mapping[str, Mapping[str, Any]] = field(repr=False)  # services without interpolation, {} where it cannot be
    env_files: key_source.EnvFiles
    variables: Mapping[str, str] = field(repr=False)  # all that Compose saw
    origins: Mapping[str, str]  # variable -> where it comes from, in words
    files: tuple[Path, ...]  # the Compose files
    warnings: tuple[str, ...]

    @property
    def services(self) -> Mapping[str, Mapping[str, Any]]:
        """The rendered services, by name."""
        return self.document.get("services") or {}


def ask(
    config: Config, target: str, checkout: Path, extras: tuple[Path, ...], shell: Mapping[str, str] | None
) -> Answers:
    """Render the target's files in the checkout's copy of the folder of allfast.toml; Git ignores `extras` in it.

    Raises ConfigError: files that are not there, variables that are not set, what Compose refuses; without secrets.
    """
    given, project = interpolation(config, target, shell), checkout / config.prefix
    files = _files(config, target, project)
    cli = ComposeCli(config.deployment(target), project, given.variables, given.env_file)
    with ThreadPoolExecutor(2) as pool:  # two calls at a time: each takes a tenth of a second or more
        rendering = pool.submit(cli.config, [str(file) for file in files])
        raw = pool.submit(cli.config, [str(file) for file in files], "--no-interpolate").result()
        services: Mapping[str, Any] = (raw.document or {}).get("services") or {}
        _check_env_files(services, checkout, extras)
        listed = {Path(path) for one in services.values() for path in key_source.env_file_paths(one)}
        present = sorted(file for file in listed | {given.env_file} if file is not None and file.is_file())
        env_files = pool.submit(key_source.read_env_files, cli, map(str, present)).result()
        rendered = rendering.result()
    from_file = env_files.values.get(str(given.env_file), {})
    variables = {**from_file, **given.variables}
    if rendered.document is None or rendered.unset:
        raise _complaint(rendered, config, target, project, files, services, present, env_files, variables)
    _check_environment(rendered.document, config, target, project, files)
    _check_names(config, project, set(rendered.document.get("services") or {}) | set(services))
    return Answers(
        document=rendered.document,
        raw=services,
        env_files=env_files,
        variables=variables,
        origins={**dict.fromkeys(from_file, str(config.target(target).env_file)), **given.sources},
        files=files,
        warnings=rendered.warnings,
    )


def public_words(config: Config, target: str) -> set[str]:
    """What stands in the open: all texts of allfast.toml, and the names that are made of it."""
    found = {text for _, text in strings(config.toml.model_dump(mode="json"))} | set(config.toml.targets)
    found |= {f"{one.url}/" for one in config.toml.targets.values() if one.url}
    name = config.deployment(target)
    return found | {name, *re.split("[-_]", name)}


def _files(config: Config, target: str, project: Path) -> tuple[Path, ...]:
    owner = ("targets", target) if config.target(target).compose is not None else ()
    for number, file in enumerate(config.compose_files(target)):
        if not (project / file).is_file():
            where = place(config, *owner, "compose", number)
            if (config.folder / file).is_file():
                raise ConfigError(
                    f"{where}: {file} is not in the commit", hint="commit it: a deploy is made from the commit"
                )
            raise ConfigError(f"{where}: there is no file {file}", hint="make it, or correct the key")
    return tuple(project / file for file in config.compose_files(target))


def _complaint(
    rendered: Rendered,
    config: Config,
    target: str,
    project: Path,
    files: tuple[Path, ...],
    raw: Mapping[str, Any],
    present: list[Path],
    env_files: key_source.EnvFiles,
    variables: Mapping[str, str],
) -> ConfigError:
    """What Compose did not like, without any value of the env files, the shell and the command."""
    if rendered.unset:
        return unset(rendered.unset, files, present, project, config.target(target))
    known = of_environment(variables, trusted=False)
    for file in present:
        known |= written_values(file.read_text(encoding="utf-8", errors="replace"))
    text = Redactor(closed(known, public_words(config, target))).text(rendered.text)
    listed = {name: key_source.env_file_paths(one) for name, one in raw.items()}
    unread = [file for file in present if str(file) not in env_files.values]
    return refused(text, files, project, listed, unread, config.target(target))


def _check_environment(
    document: Mapping[str, Any], config: Config, target: str, project: Path, files: tuple[Path, ...]
) -> None:
    """`environment: [KEY]` takes its value from Compose's environment: the server's has nothing to give later."""
    for name, one in (document.get("services") or {}).items():
        missing = [key for key, value in (one.get("environment") or {}).items() if value is None]
        if missing:
            raise unset(missing, files, [], project, config.target(target), service=name)


def _check_env_files(services: Mapping[str, Any], checkout: Path, extras: tuple[Path, ...]) -> None:
    """Whoever writes a path of the user's own into a Compose file is read by him; a link of the commit is not."""
    for name, one in services.items():
        for path in map(Path, key_source.env_file_paths(one)):
            if path.is_relative_to(checkout) and leads_out(path, checkout, extras):
                where = f"services.{name}.env_file: {path.relative_to(checkout)}"
                raise ConfigError(
                    f"{where} is a link that leads out of the repository",
                    hint="commit the file itself, or list it as `extra` of the service where Git ignores it",
                )


def _check_names(config: Config, project: Path, known: set[str]) -> None:
    """Each [services.X] is a service here, or (judged by the text) in the files of another target."""
    files = {project / file for one in config.toml.targets for file in config.compose_files(one)}
    for name in config.toml.services.keys() - known:
        there = re.compile(rf"^\s+[\"']?{re.escape(name)}[\"']?\s*:", re.MULTILINE)
        if not any(there.search(file.read_text(errors="replace")) for file in files if file.is_file()):
            raise unknown_service(place(config, "services", name), name, known)
