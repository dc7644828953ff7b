"""Where what a container mounts lives on the server, with either strategy.

Named volumes keep the names that the deployment's project gives them. A bind mount whose source is in the commit (or
listed as `extra`), and Compose configs and secrets, become content-addressed file sets. Any other relative source is
data, at one path for all releases. Absolute sources stay what they are.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from allfast.config.filesets import FileSet, from_path, from_text
from allfast.errors import ConfigError

#: Files that only keep an empty folder in Git: a folder of these is a place for data.
_PLACEHOLDERS = frozenset({".gitkeep", ".keep", ".gitignore"})
_TEXT_LIMIT = 1_000_000


def leads_out(path: Path, checkout: Path, extras: Iterable[Path]) -> bool:
    """Whether a link of the commit leads out of the checkout; one in what Git ignores (`extras`) is the user's own."""
    inside = Path(os.path.realpath(path)).is_relative_to(checkout)
    return not inside and not any(path.is_relative_to(one) for one in extras)


@dataclass(frozen=True, slots=True)
class Ground:
    """Where things are: the checkout and the project's folder in it, the working tree's folder, the server's folder.

    `extras` are the paths in the checkout that Git ignores. `server` is the deployment's state folder on the server;
    `variables` are what configs and secrets with `environment:` take their values from; `written` is the text of all
    files and values that a path can stand in.
    """

    checkout: Path
    project: Path
    working_tree: Path
    server: str
    variables: Mapping[str, str] = field(repr=False)
    written: str = field(repr=False)
    extras: tuple[Path, ...] = ()

    def leads_out(self, path: Path) -> bool:
        """As the function of that name."""
        return leads_out(path, self.checkout, self.extras)


@dataclass(slots=True)
class Storage:
    """Collects what the services mount while their definitions are rewritten."""

    ground: Ground
    files: dict[str, FileSet] = field(default_factory=dict)  # digest -> set
    data: set[str] = field(default_factory=set)  # paths below the folder `data`
    texts: dict[str, list[tuple[str, str]]] = field(default_factory=dict)  # service -> configuration files
    mounted: list[tuple[str, str]] = field(default_factory=list)  # service, folder of the commit, writable
    values: set[str] = field(default_factory=set, repr=False)  # contents of Compose secrets

    def binds(self, service: str, definition: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The service's volumes with every bind source as it is on the server."""
        return [
            {**one, "source": self._source(service, one)} if one.get("type") == "bind" else dict(one)
            for one in definition.get("volumes") or ()
        ]

    def volume(self, name: str, definition: Mapping[str, Any]) -> dict[str, Any]:
        """A top-level volume; a local folder as its device is data."""
        options = dict(definition.get("driver_opts") or {})
        device = str(options.get("device") or "")
        if "bind" in str(options.get("o") or "").split(",") and device:
            path = Path(device)
            inside = path if path.is_absolute() else self.ground.project / path
            if inside.is_relative_to(self.ground.checkout):
                options["device"] = self._data(f"volumes.{name}", inside)
                return {**definition, "driver_opts": options}
        return dict(definition)

    def handed(self, kind: str, name: str, definition: Mapping[str, Any]) -> dict[str, Any]:
        """A top-level config or secret (`kind`), as a file on the server; external ones stay."""
        if definition.get("external"):
            return dict(definition)
        if "file" in definition:
            source = Path(str(definition["file"]))
            if not source.is_relative_to(self.ground.checkout):
                return dict(definition)
            self._refuse_way_out(f"{kind}s.{name}", source)
            if not source.is_file():
                self._missing(f"{kind}s.{name}", source)
            files = from_path(source, self._shown(source))
            body = source.read_bytes().decode(errors="replace")
        else:
            body = str(definition["content"]) if "content" in definition else self._variable(kind, name, definition)
            files = from_text(name, body, f"{kind} {name}")
        if kind == "secret":
            self.values |= {body, body.strip()}
        return {"name": definition["name"], "file": self._keep(files)}

    def _source(self, service: str, mount: Mapping[str, Any]) -> str:
        source = Path(os.path.normpath(str(mount["source"])))
        ground = self.ground
        if not source.is_relative_to(ground.checkout):
            # "../x" comes as an absolute path, too: near the checkout, only what somebody wrote is taken for one.
            if not source.is_relative_to(ground.checkout.parent.parent) or str(source) in ground.written:
                return str(mount["source"])
            raise ConfigError(
                f"services.{service}.volumes: the source of {mount['target']} leads out of the repository",
                hint="name an absolute path of the server, or a volume",
            )
        if source.is_relative_to(ground.project / "~"):
            raise ConfigError(
                f"services.{service}.volumes: ~ in the source of {mount['target']} is your home folder, "
                "which the server does not have",
                hint="name an absolute path of the server, or a volume",
            )
        self._refuse_way_out(f"services.{service}.volumes", source)
        if source.exists() and not _only_placeholders(source):
            return self._from_commit(service, source, writable=not mount.get("read_only"))
        return self._data(f"services.{service}.volumes", source)

    def _from_commit(self, service: str, source: Path, *, writable: bool) -> str:
        shown = self._shown(source)
        if source.is_dir() and writable:
            self.mounted.append((service, shown))
        for file in sorted(source.rglob("*")) if source.is_dir() else [source]:
            if file.is_file() and file.stat().st_size <= _TEXT_LIMIT:
                text = file.read_bytes().decode(errors="replace")
                self.texts.setdefault(service, []).append((self._shown(file), text))
        return self._keep(from_path(source, shown))

    def _data(self, where: str, source: Path) -> str:
        ground = self.ground
        if not source.is_relative_to(ground.project):
            raise ConfigError(
                f"{where}: {self._shown(source)} is outside of the project's folder, and not in the commit",
                hint="name an absolute path of the server, or a volume",
            )
        relative = source.relative_to(ground.project)
        if (ground.working_tree / relative).is_file():
            raise ConfigError(
                f"{where}: {relative} is a file that is not in the commit",
                hint=f'list it where it is configuration (extra = ["{relative}"] in allfast.toml), '
                "or mount the folder that holds it where it is data",
            )
        path = str(PurePosixPath(*relative.parts))
        self.data.add(path)
        return f"{ground.server}/data/{path}".removesuffix("/.")

    def _variable(self, kind: str, name: str, definition: Mapping[str, Any]) -> str:
        variable = str(definition.get("environment"))
        if variable not in self.ground.variables:
            raise ConfigError(
                f"{kind}s.{name}.environment: {variable} is not set",
                hint=f"set {variable} in the target's env_file, or list it in the target's `env`",
            )
        return self.ground.variables[variable]

    def _missing(self, where: str, source: Path) -> None:
        relative = source.relative_to(self.ground.checkout)
        raise ConfigError(
            f"{where}: {relative} is not in the commit",
            hint=f'commit it, or list it under the service that uses it: extra = ["{self._shown(source)}"]',
        )

    def _refuse_way_out(self, where: str, source: Path) -> None:
        """A source that is a link itself goes to the server as a link."""
        if source != self.ground.checkout and self.ground.leads_out(source.parent):
            raise ConfigError(
                f"{where}: a folder of {self._shown(source)} is a link that leads out of the repository",
                hint="commit the files themselves, or list them as `extra` of the service where Git ignores them",
            )

    def _keep(self, files: FileSet) -> str:
        self.files[files.digest] = files
        return f"{self.ground.server}/files/{files.path}"

    def _shown(self, source: Path) -> str:
        """A path of the checkout as the project's files write it."""
        return os.path.relpath(source, self.ground.project)


def _only_placeholders(source: Path) -> bool:
    return source.is_dir() and all(file.is_dir() or file.name in _PLACEHOLDERS for file in source.rglob("*"))
