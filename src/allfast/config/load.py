"""Reading `allfast.toml`: every mistake becomes `file:line: key.path: what is wrong`, with the nearest right name."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from allfast.config.model import AllfastToml, Config, schema
from allfast.config.nearest import nearest
from allfast.config.toml_lines import Path as KeyPath
from allfast.config.toml_lines import lines
from allfast.errors import ConfigError

FILE_NAME = "allfast.toml"

_SAID = {
    "missing": "is required",
    "string_type": "should be a string",
    "int_type": "should be a whole number",
    "float_type": "should be a number",
    "bool_type": "should be true or false",
    "tuple_type": "should be a list",
    "dict_type": "should be a table",
    "model_type": "should be a table",
    "enum": "should be {expected}",
    "literal_error": "should be {expected}",
    "greater_than": "should be greater than {gt:g}",
    "greater_than_equal": "should be at least {ge}",
    "less_than_equal": "should be at most {le:g}",
    "finite_number": "should be a finite number",
    "too_short": "should not be empty",
}

_ALL_KEYS = "correct it; docs/configuration.md of allfast has every key, with an example"
_TOML = "correct it at that place: text stands in quotes, each key is there once, each bracket is closed"


def load(path: Path | None, *, start: Path) -> Config:
    """Read `path`, or the `allfast.toml` in `start` or the nearest folder above it inside the same Git checkout.

    Raises ConfigError: no such file, not TOML, unknown keys, wrong types, names that lead nowhere.
    """
    file = _find(start) if path is None else (start / path)
    try:
        source = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{_shown(file)}: is not UTF-8 text", hint="save it as UTF-8") from error
    except OSError as error:
        raise ConfigError(
            f"{_shown(file)}: cannot be read: {error.strerror}", hint="name the file with --config FILE"
        ) from error
    file = file.resolve()
    toml = parse(source, _shown(file))
    return Config(file=file, folder=file.parent, root=_git_root(file.parent) or file.parent, toml=toml)


def parse(source: str, name: str) -> AllfastToml:
    """The checked values of a TOML source; `name` is the file's name in errors. ConfigError."""
    try:
        values = tomllib.loads(source)
    except tomllib.TOMLDecodeError as error:
        raise _invalid_toml(error, source, name) from error
    places = lines(source)
    try:
        toml = AllfastToml.model_validate(values)
    except ValidationError as error:
        found = sorted({_explain(one, places) for one in error.errors()})
        raise ConfigError("\n".join(f"{name}:{line}: {text}" for line, text in found), hint=_ALL_KEYS) from error
    default = toml.default_target
    if default is not None and default not in toml.targets:
        text = f"default_target: there is no [targets.{default}]; {nearest(default, toml.targets)}".rstrip("; ")
        raise ConfigError(
            f"{name}:{places[('default_target',)]}: {text}", hint=f"the targets are: {', '.join(sorted(toml.targets))}"
        )
    return toml


def place(config: Config, *path: str | int) -> str:
    """`file:line: key.path` of a key (or of the nearest table around it), to begin an error about its value with."""
    try:
        places = lines(config.file.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # gone or changed since it was loaded
        places = {}
    return f"{_shown(config.file)}:{_line(path, places)}: {_dotted(path)}"


def check_extras(config: Config) -> None:
    """Raises ConfigError where a file that is listed as `extra` does not exist."""
    for name, settings in config.toml.services.items():
        for number, path in enumerate(settings.extra):
            file = config.folder / path
            if not (file.exists() or file.is_symlink()):
                raise ConfigError(
                    f"{place(config, 'services', name, 'extra', number)}: there is no file {path}",
                    hint="make it (it is one that Git ignores and the build needs), or take it out of `extra`",
                )


def _find(start: Path) -> Path:
    top = _git_root(start)
    for folder in (start, *start.parents):
        if (folder / FILE_NAME).is_file():
            return folder / FILE_NAME
        if folder == (top or start):
            break
    raise ConfigError(
        f"there is no {FILE_NAME} in {start}" + ("" if top in (None, start) else f", nor above it up to {top}"),
        hint="go to the project's folder, or name the file with --config FILE",
    )


def _git_root(folder: Path) -> Path | None:
    """The checkout's root that `folder` is in; a worktree and a submodule have a file `.git`."""
    return next((one for one in (folder, *folder.parents) if (one / ".git").exists()), None)


def _shown(file: Path) -> str:
    """The file's path as a person would type it from here."""
    relative = os.path.relpath(file)
    return str(file) if relative.startswith("..") else relative


def _invalid_toml(error: tomllib.TOMLDecodeError, source: str, name: str) -> ConfigError:
    text = str(error)
    place = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)$", text)
    if place is None:
        return ConfigError(f"{name}: is not valid TOML: {text}", hint=_TOML)
    last = source.rstrip("\n").split("\n")
    line, column = (int(place[1]), int(place[2])) if place[1] else (len(last), len(last[-1]) + 1)
    return ConfigError(f"{name}:{line}:{column}: is not valid TOML: {text[: place.start()]}", hint=_TOML)


def _explain(error: ErrorDetails, places: Mapping[KeyPath, int]) -> tuple[int, str]:
    """The line of an error and its text, beginning with the key's path."""
    path: KeyPath = tuple(part for part in error["loc"] if part != "[key]")
    context = error.get("ctx", {})
    kind = error["type"]
    if kind == "extra_forbidden":
        known = _keys_at(path[:-1])
        what = f"unknown key; {nearest(str(path[-1]), known)}".rstrip("; ")
        if "did you mean" not in what:
            what += f"; the keys here are: {', '.join(sorted(known))}"
    elif kind == "value_error":
        what = str(context["error"])
    elif kind in ("int_type", "float_type") and isinstance(error["input"], str) and error["input"].isdecimal():
        what = f"{_SAID[kind]}: write {error['input']}, without quotes"
    else:
        what = _SAID.get(kind, error["msg"]).format(**context)
    if kind in ("enum", "literal_error") and isinstance(error["input"], str):
        what += f', not "{error["input"]}"'
    return _line(path, places), f"{_dotted(path)}: {what}"


def _line(path: KeyPath, places: Mapping[KeyPath, int]) -> int:
    """The line of the key, or of the nearest table around it; 1 where the key is missing at the top."""
    while path and path not in places:
        path = path[:-1]
    return places.get(path, 1)


def _dotted(path: KeyPath) -> str:
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            bare = re.fullmatch(r"[A-Za-z0-9_-]+", part, re.ASCII)
            text += ("." if text else "") + (part if bare else f'"{part}"')
    return text


def _keys_at(path: KeyPath) -> list[str]:
    """The keys that may stand in the table at `path`, by the JSON Schema."""
    whole = schema()
    node: dict[str, Any] = whole
    for part in path:
        options = [node, *(_follow(one, whole) for one in node.get("anyOf", []))]
        node = next(
            (
                child
                for one in options
                for child in [one.get("properties", {}).get(part), one.get("additionalProperties")]
                if isinstance(child, dict)
            ),
            {},
        )
        node = _follow(node, whole)
    options = [node, *(_follow(one, whole) for one in node.get("anyOf", []))]
    return [key for one in options for key in one.get("properties", {})]


def _follow(node: dict[str, Any], whole: dict[str, Any]) -> dict[str, Any]:
    reference = node.get("$ref")
    if reference is None:
        return node
    found: dict[str, Any] = whole["$defs"][str(reference).rsplit("/", 1)[1]]
    return found
