"""What Compose sees of the world: the target's `env_file`, `env` and `env_command`, and nothing else."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from allfast.config.load import place
from allfast.config.model import Config
from allfast.config.secrets import closed, written_values
from allfast.errors import ConfigError
from allfast.redact import Redactor

_SECONDS = 300.0  # somebody may have to type a passphrase
_LAST_LINES = 5


@dataclass(frozen=True, slots=True)
class Interpolation:
    """The variables of a target. `variables` win over those of `env_file`, as Compose has it."""

    variables: Mapping[str, str] = field(repr=False)
    env_file: Path | None
    sources: Mapping[str, str]  # variable -> where it comes from, in words; those of env_file are not in it


def interpolation(config: Config, name: str, shell: Mapping[str, str] | None = None) -> Interpolation:
    """Gather the variables of the target `name`; `shell` is this process's environment unless given.

    Raises ConfigError: a missing env_file, a variable of `env` that is not set, an `env_command` that fails.
    """
    shell = os.environ if shell is None else shell
    target = config.target(name)
    here = ("targets", name)
    env_file = config.folder / target.env_file if target.env_file is not None else None
    if env_file is not None and not env_file.is_file():
        raise ConfigError(
            f"{place(config, *here, 'env_file')}: there is no file {target.env_file}",
            hint="make it (it may be one that Git ignores), or correct the key",
        )
    variables: dict[str, str] = {}
    sources: dict[str, str] = {}
    for number, variable in enumerate(target.env):
        if variable not in shell:
            raise ConfigError(
                f"{place(config, *here, 'env', number)}: {variable} is not set in this shell",
                hint=f"export {variable}=..., or take it from env_file or env_command",
            )
        variables[variable] = shell[variable]
        sources[variable] = "the shell (env)"
    if target.env_command is not None:
        told = dict(_command(config, name, target.env_command, shell))
        variables |= told
        sources |= dict.fromkeys(told, "env_command")
    return Interpolation(variables, env_file, sources)


def _command(config: Config, name: str, command: str, shell: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    where = place(config, "targets", name, "env_command")
    try:
        ended = subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=config.folder,
            env=dict(shell),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ConfigError(f"{where}: did not end in {_SECONDS:.0f} s", hint="try the command by hand") from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{where}: printed something that is not text", hint="have it print KEY=VALUE lines in UTF-8"
        ) from error
    if ended.returncode != 0:
        raise ConfigError(
            f"{where}: failed with exit code {ended.returncode}",
            hint="try the command by hand",
            evidence=_masked(ended.stderr, ended.stdout)[-_LAST_LINES:],
        )
    yield from _pairs(ended.stdout, where)


def _masked(told: str, printed: str) -> tuple[str, ...]:
    """What a command told, line by line, without what it printed as values until it failed."""
    return tuple(Redactor(closed(written_values(printed), ())).text(told).splitlines())


def _pairs(text: str, where: str) -> Iterator[tuple[str, str]]:
    """KEY=VALUE lines. Values are taken as they stand, without the quotes around them: `$` has no meaning here."""
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = re.fullmatch(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)", line, re.ASCII)
        if found is None:  # the line itself may be a secret
            raise ConfigError(f"{where}: line {number} of its output is not KEY=VALUE", hint="try the command by hand")
        value = found[2].strip()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        yield found[1], value
