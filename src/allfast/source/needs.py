"""What a build takes from outside: the images and remote sources of one target of a Dockerfile.

Which stages count, and what a name means (a stage, an additional context, an image), follows BuildKit's frontend
(github.com/moby/buildkit, frontend/dockerfile/dockerfile2llb).
"""

from __future__ import annotations

import csv
import platform as machine
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from allfast.errors import ConfigError
from allfast.model.reference import short
from allfast.source.dockerfile import Dockerfile, Instruction, Stage, instruction, pairs, sources
from allfast.source.expansion import ExpansionError, expand

_REMOTE = re.compile(r"(?:https?|git|ssh)://|git@[^/:]+:", re.IGNORECASE)
_HTTP_FILE = re.compile(r"https?://(?!.*\.git(?:[#?]|$))", re.IGNORECASE)
_PINNED_COMMIT = re.compile(r"#[0-9a-f]{40}(?::|$)")


@dataclass(frozen=True, slots=True)
class Needs:
    """What the stages of one target take from outside.

    `images` are references as the Dockerfile (or the build arguments) give them, sorted; `unhashable` says in words
    what can change without any change of the inputs.
    """

    images: tuple[str, ...]
    unhashable: tuple[str, ...] = ()


def needs(
    dockerfile: Dockerfile,
    *,
    target: str = "",
    args: Mapping[str, str] | None = None,
    platform: str = "",
    contexts: Collection[str] = (),
) -> Needs:
    """What the target (the last stage where empty) needs from outside; other stages do not count.

    Args:
        args: build arguments that are passed.
        platform: what the image is built for, as `linux/amd64`.
        contexts: names of additional contexts; they stand before stages and images of the same name.

    Raises:
        ConfigError: an unknown target, or a base that cannot be expanded; with file and line.
    """
    return _Reach(dockerfile, args or {}, platform, {familiar(c) for c in contexts}).of(target)


class _Reach:
    """Walks from the target over the stages that it needs."""

    def __init__(self, file: Dockerfile, args: Mapping[str, str], platform: str, contexts: Collection[str]) -> None:
        self.file = file
        self.args = args
        self.contexts = contexts
        self.images: set[str] = set()
        self.unhashable: list[str] = []
        self.variables: dict[int, dict[str, str]] = {}  # of each stage that was visited, at its end
        self.names = {stage.name: index for index, stage in enumerate(file.stages) if stage.name}
        self.globals = _platform_arguments(platform)
        for command in file.arguments:
            if command.keyword == "ARG":
                for key, default in pairs(command, file.escape):
                    if key in args:
                        self.globals[key] = args[key]
                    elif default is not None:
                        self.globals[key] = self._expand(default, self.globals, command)

    def of(self, target: str) -> Needs:
        index = len(self.file.stages) - 1 if not target else self._index(target)
        if index is None:
            known = ", ".join(stage.name for stage in self.file.stages if stage.name) or "none has a name"
            raise ConfigError(f'{self.file.name}: no stage is named "{target}"', hint=f"its stages: {known}")
        self._visit(index)
        return Needs(tuple(sorted(self.images)), tuple(self.unhashable))

    def _visit(self, index: int) -> None:
        if index in self.variables:
            return
        stage = self.file.stages[index]
        self.variables[index] = {}
        if stage.name and familiar(stage.name) in self.contexts:
            return
        variables, triggers = self._base(stage, index)
        self.variables[index] = variables
        for command in (*triggers, *stage.body):
            self._follow(command, variables)

    def _base(self, stage: Stage, index: int) -> tuple[dict[str, str], tuple[Instruction, ...]]:
        """The variables and ONBUILD instructions that a stage inherits."""
        base = self._expand(stage.base, self.globals, stage.start)
        if not base:
            raise ConfigError(
                f'{self.file.name}:{stage.start.line}: the base image "{stage.base}" is empty',
                hint="give the argument a default (ARG NAME=image before the first FROM) or a value under build.args",
            )
        earlier = {s.name: i for i, s in enumerate(self.file.stages[:index]) if s.name}
        parent = earlier.get(base.lower())
        if parent is None:
            self._image(base)
            return {}, ()
        self._visit(parent)
        triggers = tuple(instruction(i.rest, i.line) for i in self.file.stages[parent].body if i.keyword == "ONBUILD")
        return dict(self.variables[parent]), triggers

    def _follow(self, command: Instruction, variables: dict[str, str]) -> None:
        match command.keyword:
            case "ARG":
                for key, default in pairs(command, self.file.escape):
                    self._argument(key, default, variables)
            case "ENV":
                known = dict(variables)
                for key, value in pairs(command, self.file.escape):
                    variables[key] = self._lenient(value or "", known)
            case "COPY":
                for source in command.flag("from"):
                    self._source(source)
            case "RUN":
                for mount in command.flag("mount"):
                    self._mount(mount)
            case "ADD":
                self._add(command, variables)

    def _argument(self, key: str, default: str | None, variables: dict[str, str]) -> None:
        if key in self.args:
            variables[key] = self.args[key]
        elif default is not None:
            variables[key] = self._lenient(default, variables)
        elif key in self.globals:
            variables[key] = self.globals[key]

    def _mount(self, mount: str) -> None:
        fields = dict(item.partition("=")[::2] for row in csv.reader([mount]) for item in row)
        options = {key.lower(): value for key, value in fields.items()}
        if options.get("from") and options.get("type", "bind") in ("bind", "cache"):
            self._source(options["from"])

    def _source(self, source: str) -> None:
        """Follow a `--from`: a stage by name or number, a context or an image."""
        index = self._index(source)
        if index is None:
            self._image(source)
        else:
            self._visit(index)

    def _add(self, command: Instruction, variables: Mapping[str, str]) -> None:
        pinned = bool(command.flag("checksum"))
        for source in sources(command, self.file.escape):
            expanded = self._lenient(source, variables)
            unknown = source.startswith("$") and not expanded  # a variable of the base image, perhaps
            if unknown or (_REMOTE.match(expanded) and not _is_pinned(expanded, pinned)):
                self.unhashable.append(f"{self.file.name}:{command.line}: ADD {source}")

    def _image(self, reference: str) -> None:
        if reference.lower() != "scratch" and familiar(reference) not in self.contexts:
            self.images.add(reference)

    def _index(self, name: str) -> int | None:
        found = self.names.get(name.lower())
        if found is None and name.isdecimal() and int(name) < len(self.file.stages):
            return int(name)
        return found

    def _expand(self, word: str, variables: Mapping[str, str], command: Instruction) -> str:
        try:
            return expand(word, variables, self.file.escape)
        except ExpansionError as error:
            raise ConfigError(
                f"{self.file.name}:{command.line}: {word}: {error}",
                hint="correct it, or give the variable a value (a default in the Dockerfile, or build.args)",
            ) from None

    def _lenient(self, word: str, variables: Mapping[str, str]) -> str:
        """Inside of a stage a word that cannot be expanded is BuildKit's to report."""
        try:
            return expand(word, variables, self.file.escape)
        except ExpansionError:
            return word


def _is_pinned(source: str, checksum: bool) -> bool:
    return checksum if _HTTP_FILE.match(source) else _PINNED_COMMIT.search(source) is not None


def _platform_arguments(platform: str) -> dict[str, str]:
    """The arguments that BuildKit predefines before the first FROM."""
    build = f"linux/{ {'x86_64': 'amd64', 'aarch64': 'arm64'}.get(machine.machine(), machine.machine()) }"
    values: dict[str, str] = {}
    for prefix, name in (("TARGET", platform or build), ("BUILD", build)):
        system, architecture, variant = (*name.split("/"), "", "")[:3]
        values[f"{prefix}PLATFORM"] = name
        values[f"{prefix}OS"] = system
        values[f"{prefix}ARCH"] = architecture
        values[f"{prefix}VARIANT"] = variant
    return values


def familiar(reference: str) -> str:
    """A reference or context name as BuildKit compares them."""
    return short(reference.lower())
