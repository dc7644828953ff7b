"""What `.dockerignore` leaves of a build context, exactly as Docker sees it.

The rules are those of Docker's own matcher (github.com/moby/patternmatcher and the walk of
github.com/tonistiigi/fsutil), quirks included: a pattern becomes a regular expression character by character, a
directory hands its matches on to its children, and a pattern that cannot change the verdict any more is not tried
(so it is not handed on either). `tests/contract/test_build_context.py` holds this against a real engine.
"""

from __future__ import annotations

import os
import posixpath
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from allfast.errors import ConfigError
from allfast.source.ignore_regex import to_python, translate

_SPACE = " \t\n\v\f\r\x85\xa0"  # what Go's TrimSpace removes; str.strip() would remove more
_GLOB = frozenset("*[]?^\\")


@dataclass(frozen=True, slots=True)
class Found:
    """One entry of a context: `path` is relative to it (POSIX); a directory is listed only when it is empty."""

    path: str
    kind: Literal["file", "link", "dir"]
    executable: bool = False
    size: int = 0  # bytes, of a file


@dataclass(frozen=True, slots=True)
class Pattern:
    """One line of an ignore file: `text` is cleaned, without the `!` of an exception."""

    text: str
    exception: bool
    matches: Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """The patterns of an ignore file, in its order; the last one that matches decides."""

    patterns: tuple[Pattern, ...] = ()

    def ignores(self, path: str) -> bool:
        """Whether Docker leaves the entry at `path` (POSIX, relative to the context) out.

        An ignored directory can still be there, as the parent of an entry that is not ignored.
        """
        parts = path.split("/")
        verdict, handed_on = False, None
        for end in range(1, len(parts) + 1):
            verdict, handed_on = self._judge("/".join(parts[:end]), handed_on)
        return verdict

    def walk(self, context: Path) -> Iterator[Found]:
        """The entries that Docker copies, sorted by path within each directory.

        Raises:
            OSError: the context cannot be read.
        """
        yield from self._walk(os.fspath(context), "", None)

    def _walk(self, directory: str, prefix: str, handed_on: list[bool] | None) -> Iterator[Found]:
        with os.scandir(directory) as scan:
            entries = sorted(scan, key=lambda entry: entry.name)
        for entry in entries:
            path = prefix + entry.name
            ignored, matched = self._judge(path, handed_on)
            if entry.is_dir(follow_symlinks=False):
                if ignored and not self._may_hold_exceptions(path):
                    continue
                empty = True
                for found in self._walk(entry.path, path + "/", matched):
                    empty = False
                    yield found
                if empty and not ignored:
                    yield Found(path, "dir")
            elif not ignored:
                yield from _leaf(entry, path)

    def _judge(self, path: str, handed_on: list[bool] | None) -> tuple[bool, list[bool]]:
        """The verdict on one path, and which patterns matched it, for its children."""
        ignored = False
        matched = []
        for index, pattern in enumerate(self.patterns):
            match = handed_on is not None and handed_on[index]
            if not match and pattern.exception == ignored:
                match = pattern.matches(path)
            matched.append(match)
            if match:
                ignored = not pattern.exception
        return ignored, matched

    def _may_hold_exceptions(self, directory: str) -> bool:
        """Whether an entry below an ignored directory can be an exception (else it is not entered: node_modules)."""
        for pattern in self.patterns:
            if pattern.exception:
                whole, star = pattern.text.removesuffix("/**"), pattern.text.removesuffix("/*")
                stem = min(whole, star, key=len)  # one of them: what is left of `a/*/**` is a glob
                if not _GLOB.isdisjoint(stem) or (stem + "/").startswith(directory + "/"):
                    return True
        return False


def _leaf(entry: os.DirEntry[str], path: str) -> Iterator[Found]:
    if entry.is_symlink():
        yield Found(path, "link")
    elif entry.is_file(follow_symlinks=False):
        status = entry.stat(follow_symlinks=False)
        yield Found(path, "file", bool(status.st_mode & stat.S_IXUSR), status.st_size)
    # sockets and devices: Docker leaves them out of a context, or cannot send them


def ignore_file(context: Path, dockerfile: Path | None) -> Path | None:
    """The ignore file in force: `<Dockerfile>.dockerignore` beside the Dockerfile, else `.dockerignore`, else None.

    Args:
        dockerfile: None for an inline Dockerfile, which has no ignore file of its own.
    """
    candidates = [context / ".dockerignore"]
    if dockerfile is not None:
        candidates.insert(0, dockerfile.with_name(dockerfile.name + ".dockerignore"))
    return next((path for path in candidates if path.is_file()), None)


def parse(text: bytes, name: str = ".dockerignore") -> IgnoreRules:
    """The rules of an ignore file's bytes; `name` is only for messages.

    Raises:
        ConfigError: a pattern that Docker refuses too, with file and line.
    """
    patterns = []
    for number, raw in enumerate(text.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        line = raw.decode("utf-8", "surrogateescape")
        if line.startswith("#") or not line.strip(_SPACE):
            continue
        try:
            patterns.append(_pattern(line.strip(_SPACE)))
        except (ValueError, re.error) as error:
            raise ConfigError(
                f"{name}:{number}: {error}: {line.strip(_SPACE)}",
                hint="correct the line; Docker refuses this pattern, too",
            ) from None
    return IgnoreRules(tuple(patterns))


def _pattern(line: str) -> Pattern:
    exception = line.startswith("!")
    text = line[1:].strip(_SPACE) if exception else line
    if not text:
        raise ValueError("an exception without a pattern")
    text = _clean(text)
    if exception and text == "/":
        raise ValueError("an exception for the whole context")  # Docker cleans it away to a mere "!"
    if len(text) > 1:
        text = text.removeprefix("/")
    if not _is_valid(text):
        raise ValueError("a malformed pattern")
    return Pattern(text, exception, _matcher(text))


def _clean(path: str) -> str:
    """Go's filepath.Clean: like normpath, which alone keeps two leading slashes."""
    cleaned = posixpath.normpath(path)
    return "/" + cleaned.lstrip("/") if cleaned.startswith("/") else cleaned


def _is_valid(pattern: str) -> bool:
    """The syntax check of Go's filepath.Match."""
    rest = pattern
    while rest:
        char, rest = rest[0], rest[1:]
        if char == "\\":
            if not rest:
                return False
            rest = rest[1:]
        elif char == "[":
            after = _class_end(rest.removeprefix("^"))
            if after is None:
                return False
            rest = after
    return True


def _class_end(rest: str) -> str | None:
    """What follows a character class whose inside begins at `rest`; None when it is malformed."""
    members = 0
    while not (rest.startswith("]") and members):
        for _ in range(2):
            if rest[:1] in ("", "-", "]"):
                return None
            rest = rest[2:] if rest[0] == "\\" else rest[1:]
            if not rest:
                return None
            if rest[0] != "-":
                break
            rest = rest[1:]
        else:
            return None
        members += 1
    return rest[1:]


def _matcher(pattern: str) -> Callable[[str], bool]:
    """How Docker compares a pattern with a path: literally, by a prefix or suffix, or by a regular expression."""
    kind, expression = translate(pattern)
    if kind == "exact":
        return lambda path: path == pattern
    if kind == "prefix":
        prefix = pattern[:-2]
        return lambda path: path.startswith(prefix)
    if kind == "suffix":
        suffix = pattern[2:]
        return lambda path: path.endswith(suffix) or (suffix[:1] == "/" and path == suffix[1:])
    compiled = re.compile(to_python(expression), re.ASCII)
    return lambda path: compiled.fullmatch(path) is not None
