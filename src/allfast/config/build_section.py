"""The Compose `build:` section as a value, with all paths inside the checkout."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from allfast.config.storage import Ground
from allfast.errors import ConfigError
from allfast.model.service import COMMIT_ARGUMENT, Build


def build(service: str, definition: Mapping[str, Any], top: Mapping[str, Any], ground: Ground) -> Build | None:
    """How a service is built; None where it is not. `top` is the whole rendered document.

    Raises ConfigError: a context or Dockerfile that is not in the commit, a build secret without a value.
    """
    section = definition.get("build")
    if not section:
        return None
    where = f"services.{service}.build"
    context = _inside(f"{where}.context", str(section.get("context") or "."), ground)
    inline = section.get("dockerfile_inline")
    dockerfile = os.path.normpath(Path(context) / str(section.get("dockerfile") or "Dockerfile"))
    if inline is None:
        dockerfile = _inside(f"{where}.dockerfile", str(ground.checkout / dockerfile), ground)
    platforms = list(section.get("platforms") or ())
    args = section.get("args") or {}
    return Build(
        context=context,
        dockerfile="" if inline is not None else dockerfile,
        dockerfile_inline=inline,
        target=str(section.get("target") or ""),
        args=tuple(sorted((k, str(v)) for k, v in args.items() if v is not None and k != COMMIT_ARGUMENT)),
        contexts=tuple(sorted(_contexts(where, section.get("additional_contexts") or {}, ground))),
        secrets=tuple(sorted(_secrets(where, section.get("secrets") or (), top.get("secrets") or {}, ground))),
        ssh=tuple(map(str, section.get("ssh") or ())),
        platform=str(definition.get("platform") or (platforms[0] if len(platforms) == 1 else "")),
        extra_hosts=tuple(map(str, section.get("extra_hosts") or ())),
        network=str(section.get("network") or ""),
        shm_size=str(section.get("shm_size") or ""),
    )


def _contexts(where: str, contexts: Mapping[str, Any], ground: Ground) -> Iterator[tuple[str, str]]:
    for name, value in contexts.items():
        text = str(value)
        named = "://" in text or text.startswith(("service:", "target:"))
        yield name, text if named else _inside(f"{where}.additional_contexts.{name}", text, ground)


def _secrets(
    where: str, used: Any, secrets: Mapping[str, Mapping[str, Any]], ground: Ground
) -> Iterator[tuple[str, str]]:
    for one in used:
        source = str(one["source"])
        name = str(one.get("target") or source)
        definition = secrets.get(source, {})
        if "environment" in definition:
            variable = str(definition["environment"])
            if variable not in ground.variables:
                raise ConfigError(
                    f"{where}.secrets: {variable} (secret {source}) is not set",
                    hint=f"set {variable} in the target's env_file, or list it in the target's `env`",
                )
            yield name, f"env={variable}"
        elif "file" in definition:
            yield name, f"src={_inside(f'secrets.{source}', str(definition['file']), ground)}"
        else:
            raise ConfigError(
                f"{where}.secrets: {source} has neither `file` nor `environment`",
                hint=f"give secrets.{source} of the Compose files one of them",
            )


def _inside(where: str, text: str, ground: Ground) -> str:
    """A path relative to the checkout's root; it must be there."""
    path = Path(os.path.normpath(text))
    if not path.is_absolute() or not path.is_relative_to(ground.checkout):
        raise ConfigError(
            f"{where}: {text if '://' in text else 'the path'} leads out of the repository",
            hint="images are built from the commit: move the files into the repository",
        )
    relative = path.relative_to(ground.checkout).as_posix()
    if ground.leads_out(path):
        raise ConfigError(
            f"{where}: {relative} is a link that leads out of the repository",
            hint="images are built from the commit: commit the files themselves",
        )
    if not path.exists():
        raise ConfigError(
            f"{where}: {relative} is not in the commit",
            hint="commit it, or list it as `extra` of the service where Git ignores it",
        )
    return relative
