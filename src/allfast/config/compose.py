"""The rendered Compose model of one target: what Compose makes of a commit's files, as typed values.

`docker compose config` reads the YAML (see answers.py); here its answer is judged, its storage is moved to where the
server keeps it, and everything that names this machine is taken out, so that two checkouts of one commit, in any
folders, give equal values.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from allfast.config import sources as key_source
from allfast.config.answers import Answers, ask, public_words
from allfast.config.build_section import build
from allfast.config.definition import for_server, guard_leaks, http_port
from allfast.config.filesets import FileSet
from allfast.config.kinds import Judged, dialled, image_builders, kinds, reference
from allfast.config.load import place
from allfast.config.local_reads import refuse_local_reads
from allfast.config.model import Config
from allfast.config.secrets import closed, doubtful, looks_secret, of_environment, passwords, structure
from allfast.config.storage import Ground, Storage
from allfast.config.tree import escape, strings
from allfast.errors import ConfigError
from allfast.model.service import Build, Kind, Service


@dataclass(frozen=True, slots=True)
class ComposeModel:
    """All that a deploy needs to know of the Compose files. Holds secrets: never show `top`, `files` or `secrets`."""

    project: str
    services: tuple[Service, ...]  # sorted by name
    top: Mapping[str, Mapping[str, Any]] = field(repr=False)  # networks, volumes, configs, secrets; `$` doubled
    files: tuple[FileSet, ...]  # what has to be on the server, sorted by digest
    data: tuple[str, ...]  # folders below `<state folder>/data`, sorted
    before: Mapping[str, tuple[str, ...]]  # service -> the words of its `before` command
    secrets: frozenset[str] = field(repr=False)  # values that nothing may show
    doubtful: frozenset[str] = field(repr=False)  # values that are secret, and names of the application, too
    names: frozenset[str]  # of the application, and what allfast.toml says: in these nothing is masked
    variables: Mapping[str, str] = field(repr=False)  # the target's variables: build secrets, checks
    sources: Mapping[str, Mapping[str, tuple[str, ...]]]  # service -> environment key -> where its value comes from
    conflicts: tuple[key_source.Conflict, ...]
    mounted: tuple[tuple[str, str], ...]  # service, folder of the commit that it mounts writable
    secret_arguments: tuple[tuple[str, str], ...]  # service, build argument whose value looks secret
    notes: tuple[str, ...]  # what Compose warned of

    @property
    def public(self) -> set[str]:
        """The values of the services' environments that may be shown."""
        all_of = (str(v) for one in self.services for v in (one.definition.get("environment") or {}).values())
        return {value.replace("$$", "$") for value in all_of} - self.secrets

    def service(self, name: str) -> Service | None:
        """The service of that name, or None."""
        return next((one for one in self.services if one.name == name), None)


def render(
    checkout: Path,
    config: Config,
    target: str | None = None,
    *,
    state_folder: Callable[[], str],
    shell: Mapping[str, str] | None = None,
) -> ComposeModel:
    """Render the target's Compose files as they are in `checkout`.

    Args:
        checkout: the root of the commit's files, with `config.extras()` copied into it.
        target: the target's name; the default or only one without.
        state_folder: gives the deployment's folder on the server (`/var/lib/allfast/<deployment>`); called when Compose
            has answered, because that may have to wait for the server.
        shell: what the target's `env` is taken from; this process's environment unless given.

    Raises:
        ConfigError: what is wrong, where, and what to do; no secret is in it.
        UsageError: no such target; no Docker CLI with Compose.
    """
    name = config.target_name(target)
    checkout = checkout.resolve()
    project = checkout / config.prefix
    extras = tuple(checkout / extra for extra in config.extras())
    answers = ask(config, name, checkout, extras, shell)
    ground = Ground(
        checkout=checkout,
        project=project,
        working_tree=config.folder,
        server=state_folder().rstrip("/"),
        variables=answers.variables,
        written="\n".join([*(file.read_text(errors="replace") for file in answers.files), *answers.variables.values()]),
        extras=extras,
    )
    return _Reading(config, name, answers, ground).model()


class _Reading:
    """One reading of Compose's answers; `model` is the way through it."""

    def __init__(self, config: Config, target: str, answers: Answers, ground: Ground) -> None:
        self._config = config
        self._target = target
        self._answers = answers
        self._services = answers.services
        self._ground = ground
        self._storage = Storage(ground)

    def model(self) -> ComposeModel:
        names = sorted(self._services)
        document = self._answers.document
        binds = {name: self._storage.binds(name, self._services[name]) for name in names}
        top = self._top()
        secrets, parts = self._secrets(), self._names()
        words = public_words(self._config, self._target) | parts
        builds = {name: build(name, self._services[name], document, self._ground) for name in names}
        said = {name: s.kind for name, s in self._config.toml.services.items() if s.kind is not None}
        texts = self._texts(top)
        judged = kinds(self._services, said=said, texts=texts)
        called = dialled(self._services, texts)
        return ComposeModel(
            project=self._config.deployment(self._target),
            services=tuple(self._service(n, binds[n], top, judged, builds[n], n in called) for n in names),
            top=escape(top),
            files=tuple(self._storage.files[digest] for digest in sorted(self._storage.files)),
            data=tuple(sorted(self._storage.data)),
            before=self._before(),
            secrets=closed(secrets, words),
            doubtful=doubtful(secrets, parts),
            names=frozenset(words),
            variables=self._answers.variables,
            sources={name: self._sources(name) for name in names},
            conflicts=tuple(one for name in names for one in self._conflicts(name)),
            mounted=tuple(self._storage.mounted),
            secret_arguments=tuple(_secret_arguments(builds)),
            # Paths with "~" are refused on their own account, with a better text.
            notes=tuple(warning for warning in self._answers.warnings if "HOME" not in warning),
        )

    def _top(self) -> dict[str, dict[str, Any]]:
        """The parts beside the services, as far as containers use them."""
        document = self._answers.document
        top: dict[str, dict[str, Any]] = {
            "networks": dict(document.get("networks") or {}),
            "volumes": {n: self._storage.volume(n, v or {}) for n, v in (document.get("volumes") or {}).items()},
        }
        for kind in ("configs", "secrets"):
            used = {one["source"] for service in self._services.values() for one in service.get(kind) or ()}
            found = {name: one for name, one in (document.get(kind) or {}).items() if name in used}
            top[kind] = {n: self._storage.handed(kind.removesuffix("s"), n, v) for n, v in sorted(found.items())}
        return top

    def _texts(self, top: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[tuple[str, str], ...]]:
        """Each service's mounted files of the commit, and the configs that it uses."""
        found = {name: list(texts) for name, texts in self._storage.texts.items()}
        contents = {f"{self._ground.server}/files/{files.path}": files for files in self._storage.files.values()}
        for name, one in self._services.items():
            for used in one.get("configs") or ():
                files = contents.get(str(top["configs"].get(used["source"], {}).get("file", "")))
                if files is not None:
                    text = files.tar.decode(errors="replace")  # one small file: the tar's headers do no harm
                    found.setdefault(name, []).append((f"config {used['source']}", text))
        return {name: tuple(texts) for name, texts in found.items()}

    def _service(
        self,
        name: str,
        binds: list[dict[str, Any]],
        top: Mapping[str, Mapping[str, Any]],
        judged: Mapping[str, Judged],
        build: Build | None,
        dialled: bool,
    ) -> Service:
        original = self._services[name]
        deployment = self._config.deployment(self._target)
        definition, settings = for_server(name, original, binds, deployment=deployment, judged=judged, top=top)
        guard_leaks(name, definition, self._ground.checkout)
        refuse_local_reads(name, definition)
        port = self._config.service(name).port
        environment = original.get("environment") or {}
        return Service(
            name=name,
            kind=judged[name].kind,
            kind_reason=judged[name].reason,
            settings=settings,
            definition=escape(definition),
            build=build,
            image=str(original.get("image") or (f"{deployment}-{name}" if build else "")),
            built_by=name if build else image_builders(self._services).get(reference(original)),
            depends_on=tuple(sorted((o, h["condition"]) for o, h in (original.get("depends_on") or {}).items())),
            environment=tuple(sorted((k, hashlib.sha256(str(v).encode()).hexdigest()) for k, v in environment.items())),
            dialled=dialled,
            port=http_port(original) if port is None and judged[name].kind is Kind.RELEASE else port,
        )

    def _before(self) -> dict[str, tuple[str, ...]]:
        found = {}
        for name, settings in self._config.toml.services.items():
            if settings.before is not None and name in self._services:
                try:
                    found[name] = tuple(shlex.split(settings.before))
                except ValueError as error:
                    raise ConfigError(
                        f"{place(self._config, 'services', name, 'before')}: {error}",
                        hint="write it as for a shell: close each quote, and end it with no backslash",
                    ) from error
        return found

    def _sources(self, name: str) -> dict[str, tuple[str, ...]]:
        environment = self._services[name].get("environment") or {}
        raw = self._answers.raw.get(name, {})
        answers = self._answers
        return key_source.key_sources(raw, environment, answers.env_files, answers.origins, self._ground.project)

    def _conflicts(self, name: str) -> tuple[key_source.Conflict, ...]:
        raw = self._answers.raw.get(name, {})
        return key_source.conflicts(name, raw, self._answers.env_files, self._ground.project)

    def _secrets(self) -> set[str]:
        """Every value that looks secret; see secrets.py for what makes one."""
        found = of_environment(self._answers.variables, trusted=False) | self._storage.values
        for path, values in self._answers.env_files.values.items():
            file = Path(path)
            listed = any(file.is_relative_to(extra) for extra in self._ground.extras)
            tracked = file.is_relative_to(self._ground.checkout) and not listed
            found |= of_environment(values, trusted=tracked)
        for one in (self._answers.document.get("secrets") or {}).values():
            file = Path(str(one.get("file") or ""))  # those that only builds use, too
            if file.is_relative_to(self._ground.checkout) and file.is_file():
                text = file.read_bytes().decode(errors="replace")
                found |= {text, text.strip()}
        for name, one in self._services.items():
            raw = self._answers.raw.get(name)
            # An env file whose path could not be known in advance makes all values of the service secret.
            known = raw is not None and not any("$" in path for path in key_source.env_file_paths(raw))
            found |= of_environment(one.get("environment") or {}, trusted=known)
            found |= of_environment((one.get("build") or {}).get("args") or {}, trusted=True)
            for _, text in strings([one.get(key) for key in ("command", "entrypoint", "labels", "healthcheck")]):
                found |= set(passwords(text))
        return found

    def _names(self) -> set[str]:
        """The names of the application's parts."""
        images = {str(one["image"]) for one in self._services.values() if one.get("image")}
        return structure(self._config.deployment(self._target), self._services) | images


def _secret_arguments(builds: Mapping[str, Build | None]) -> Iterator[tuple[str, str]]:
    for name, one in sorted(builds.items()):
        for key, value in one.args if one else ():
            if looks_secret(key, value):
                yield name, key
