"""Running `docker compose config` so that nothing but what it is given can change its answer.

Compose reads its shell, a file `.env` of the project folder, and COMPOSE_* and DOCKER_* variables. Here it gets an
environment of its own, and `--env-file` always, so that `.env` is never looked for. The CLI finds its plugins by
`--config` and needs no HOME.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from allfast.errors import UsageError

_PATH = "/usr/local/bin:/usr/bin:/bin"  # a constant: the user's own would be seen as ${PATH}
_SECONDS = 60.0
_NO_COMPOSE, _INSTALL = "the Docker CLI has no Compose", "install the Compose plugin, v2.24 or newer"
_WARNING = re.compile(r'^time="[^"]*" level=warning msg=("(?:[^"\\]|\\.)*"|\S+)', re.MULTILINE)
_UNSET = re.compile(r'The "([^"]+)" variable is not set')


@dataclass(frozen=True, slots=True)
class Rendered:
    """The answer of one call: `document` is None when Compose refused; `text` is its complaint."""

    document: dict[str, Any] | None
    text: str
    unset: tuple[str, ...]  # variables that Compose found nowhere, in the order it missed them
    warnings: tuple[str, ...]  # the other warnings


@dataclass(frozen=True, slots=True)
class ComposeCli:
    """One way to call Compose: the project's name and folder, and all the variables that it may see."""

    project: str
    folder: Path
    variables: Mapping[str, str]
    env_file: Path | None

    def config(self, files: Sequence[str], *options: str, document: str | None = None) -> Rendered:
        """The canonical form of `files` ("-" is `document`), `$` plain and not doubled.

        Raises UsageError: no Docker CLI, or it has no Compose.
        """
        words = [*_docker(), "compose", "-p", self.project, "--project-directory", str(self.folder)]
        words += ["--env-file", str(self.env_file or os.devnull)]
        words += [word for file in files for word in ("-f", file)]
        words += ["config", "--format", "json", *options]
        try:
            ended = subprocess.run(
                words,
                input=document or "",
                env={"PATH": _PATH, **self.variables},
                cwd=self.folder,
                capture_output=True,
                text=True,
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise UsageError(
                f"docker compose config did not answer in {_SECONDS:.0f} s",
                hint="try it by hand: docker compose config",
            ) from error
        return _read(ended.returncode, ended.stdout, ended.stderr)


def require_compose() -> None:
    """Raises UsageError unless this machine has a Docker CLI with Compose."""
    ended = subprocess.run([*_docker(), "compose", "version", "--short"], capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        raise UsageError(_NO_COMPOSE, hint=_INSTALL, evidence=tuple(ended.stderr.strip().splitlines()[-3:]))


def no_docker() -> UsageError:
    """What to say where there is no Docker CLI."""
    return UsageError("there is no `docker` on the PATH", hint="install the Docker CLI with Compose v2.24 or newer")


def _docker() -> list[str]:
    path = shutil.which("docker")
    if path is None:
        raise no_docker()
    folder = os.environ.get("DOCKER_CONFIG") or str(Path("~/.docker").expanduser())
    return [path, "--config", folder]


def _read(code: int, answer: str, complaint: str) -> Rendered:
    warnings = [_unquoted(word) for word in _WARNING.findall(complaint)]
    unset = [found[1] for word in warnings if (found := _UNSET.search(word))]
    others = [word for word in warnings if not _UNSET.search(word)]
    text = "\n".join(line for line in complaint.splitlines() if line.strip() and not _WARNING.match(line))
    if code != 0 and "is not a docker command" in text:
        raise UsageError(_NO_COMPOSE, hint=_INSTALL)
    # Compose doubles each dollar of what it prints, so that it could read it again.
    document = json.loads(answer.replace("$$", "$")) if code == 0 else None
    return Rendered(document, text, tuple(dict.fromkeys(unset)), tuple(dict.fromkeys(others)))


def _unquoted(word: str) -> str:
    return str(json.loads(word)) if word.startswith('"') else word
