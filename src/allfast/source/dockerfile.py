"""A Dockerfile as stages and instructions: just what decides which images and sources a build needs (needs.py).

Lines, heredocs, directives and flags follow BuildKit's frontend (github.com/moby/buildkit, frontend/dockerfile); an
instruction that it would refuse is left for it to report.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from allfast.errors import ConfigError
from allfast.source.expansion import ExpansionError, words

_DIRECTIVE = re.compile(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$")
_HEREDOC = re.compile(r"\d*<<(-?)([^<]+)$")
_FLAG = re.compile(r"--([^\s=]+)(?:=((?:\\.|\"[^\"]*\"|'[^']*'|[^\s\"'\\])*))?(?:\s+|$)")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: `keyword` in capitals, `rest` what follows its flags, `line` where it begins (from 1)."""

    line: int
    keyword: str
    flags: tuple[tuple[str, str], ...]
    rest: str

    def flag(self, name: str) -> tuple[str, ...]:
        """All values of a flag, in their order."""
        return tuple(value for key, value in self.flags if key == name)


@dataclass(frozen=True, slots=True)
class Stage:
    """A `FROM` and what follows it; `name` is in small letters, "" where it has none."""

    start: Instruction
    base: str
    name: str
    body: tuple[Instruction, ...]


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """A parsed Dockerfile; `arguments` are the ARG instructions before the first FROM."""

    stages: tuple[Stage, ...]
    arguments: tuple[Instruction, ...]
    declared: frozenset[str]  # names of all ARG instructions, wherever they stand
    syntax: str = ""  # the frontend image of `# syntax=`
    escape: str = "\\"
    name: str = "Dockerfile"  # for messages


def parse(text: str, name: str = "Dockerfile") -> Dockerfile:
    """Parse a Dockerfile's text.

    Raises:
        ConfigError: no stage, or a heredoc without its end; with file and line.
    """
    lines = text.removeprefix("\ufeff").split("\n")
    directives = _directives(lines)
    escape = directives.get("escape", "\\")
    before: list[Instruction] = []
    stages: list[Stage] = []
    declared: set[str] = set()
    for instruction in _instructions(lines, escape, name):
        if instruction.keyword == "ARG":
            declared.update(key for key, _ in pairs(instruction, escape))
        if instruction.keyword == "FROM":
            stages.append(_stage(instruction, name))
        elif stages:
            last = stages[-1]
            stages[-1] = Stage(last.start, last.base, last.name, (*last.body, instruction))
        else:
            before.append(instruction)
    if not stages:
        raise ConfigError(
            f"{name}: no FROM instruction", hint="begin it with FROM: a Dockerfile needs at least one stage"
        )
    syntax = directives.get("syntax", "").split(" ")[0]
    return Dockerfile(tuple(stages), tuple(before), frozenset(declared), syntax, escape, name)


def _directives(lines: list[str]) -> dict[str, str]:
    """Parser directives: the comments `# key=value` at the very top, up to the first line that is none."""
    found: dict[str, str] = {}
    for line in lines:
        match = _DIRECTIVE.match(line.strip())
        if match is None or match[1].lower() not in ("syntax", "escape", "check"):
            break
        found.setdefault(match[1].lower(), match[2])
    if found.get("escape", "\\") not in ("\\", "`"):
        del found["escape"]
    return found


def _instructions(lines: list[str], escape: str, name: str) -> Iterator[Instruction]:
    """The instructions of the file: continuation lines joined, comments dropped, heredocs skipped."""
    mark = re.escape(escape)
    continued = re.compile(rf"(?:(?<=[^{mark}])|^){mark}[ \t]*$")
    at = 0
    while at < len(lines):
        begin = at + 1
        line, at = lines[at].rstrip("\r").lstrip(), at + 1
        if not line or line.startswith("#"):
            continue
        text = continued.sub("", line)
        open_end = text != line
        while open_end and at < len(lines):
            line, at = lines[at].rstrip("\r"), at + 1
            if line.strip() and not line.lstrip().startswith("#"):
                part = continued.sub("", line)
                text, open_end = text + part, part != line
        if text.strip():
            found = instruction(text, begin)
            yield found
            at = _after_heredocs(found, text, lines, at, name)


def instruction(text: str, line: int) -> Instruction:
    """One instruction from its joined text, as also an ONBUILD holds one."""
    keyword, _, rest = text.strip().replace("\t", " ", 1).partition(" ")
    rest = rest.lstrip()
    flags = []
    while (match := _FLAG.match(rest)) is not None:
        flags.append((match[1].lower(), re.sub(r"\\(.)|[\"']", r"\1", match[2] or "")))
        rest = rest[match.end() :]
    return Instruction(line, keyword.upper(), tuple(flags), rest.strip())


def _after_heredocs(opener: Instruction, text: str, lines: list[str], at: int, name: str) -> int:
    """The line after the heredocs that an instruction opens; the same line where it opens none."""
    keyword = opener.keyword
    if keyword == "ONBUILD":
        keyword = instruction(opener.rest, opener.line).keyword
    if keyword not in ("ADD", "COPY", "RUN") or "<<" not in text or _json_list(opener.rest) is not None:
        return at
    try:
        opened = [match for word in words(text) if (match := _HEREDOC.match(word))]
    except ExpansionError:
        return at  # an open quote: for BuildKit, too, there is no heredoc then
    for match in opened:
        end = re.sub(r"[\"']", "", match[2])
        while at < len(lines):
            line, at = lines[at].rstrip("\r"), at + 1
            if (line.lstrip("\t") if match[1] else line) == end:
                break
        else:
            raise ConfigError(
                f"{name}:{opener.line}: the heredoc {end} has no end",
                hint=f"end it with a line that is {end} alone",
            )
    return at


def _stage(start: Instruction, name: str) -> Stage:
    parts = start.rest.split()
    if len(parts) == 1:
        return Stage(start, parts[0], "", ())
    if len(parts) == 3 and parts[1].lower() == "as":
        return Stage(start, parts[0], parts[2].lower(), ())
    raise ConfigError(f"{name}:{start.line}: FROM {start.rest}", hint="write FROM IMAGE, or FROM IMAGE AS NAME")


def pairs(command: Instruction, escape: str) -> Iterator[tuple[str, str | None]]:
    """`KEY=value KEY` of ARG or ENV, values not yet expanded, None without one; also the old form `ENV KEY value`."""
    parts = _split(command.rest, escape)
    if command.keyword == "ENV" and parts and "=" not in parts[0]:
        yield parts[0], command.rest.removeprefix(parts[0]).strip()
        return
    for part in parts:
        key, equals, value = part.partition("=")
        yield key, value if equals else None


def sources(command: Instruction, escape: str) -> list[str]:
    """The sources of ADD or COPY, not yet expanded: all words but the last."""
    listed = _json_list(command.rest)
    return (_split(command.rest, escape) if listed is None else listed)[:-1]


def _split(rest: str, escape: str) -> list[str]:
    try:
        return words(rest, escape)
    except ExpansionError:
        return rest.split()


def _json_list(rest: str) -> list[str] | None:
    if not rest.startswith("["):
        return None
    try:
        value = json.loads(rest)
    except ValueError:
        return None
    return value if all(isinstance(item, str) for item in value) else None
