"""Patterns of `.dockerignore` as regular expressions: as Docker translates them for Go, and from there to Python's."""

from __future__ import annotations

import re

_SPECIAL = frozenset(".+()|{}$")  # of a regular expression, but not of a pattern


def translate(pattern: str) -> tuple[str, str]:
    """A pattern as Docker's kind of match and its regular expression in Go's syntax, character by character."""
    kind, out, at = "exact", "", 0
    while at < len(pattern):
        char, first = pattern[at], at == 0
        at += 1
        if char == "*" and pattern[at : at + 1] == "*":
            at += 2 if pattern[at + 1 : at + 2] == "/" else 1
            if at < len(pattern):
                out, kind = out + "(.*/)?", "regexp"
            elif kind == "exact":
                kind = "prefix"
            else:
                out, kind = out + ".*", "regexp"
            if first:
                kind = "suffix"
        elif char in "*?":
            out, kind = out + ("[^/]*" if char == "*" else "[^/]"), "regexp"
        elif char in _SPECIAL:
            out += "\\" + char
        elif char == "\\":
            out, kind = out + "\\" + pattern[at], "regexp"
            at += 1
        else:
            out += char
            kind = "regexp" if char in "[]" else kind
    return kind, out


def to_python(expression: str) -> str:
    """A regular expression of Go as Python's: only escapes and character classes differ. Raises `ValueError`."""
    out, at = "", 0
    while at < len(expression):
        char = expression[at]
        if char == "\\":
            out += _escaped(expression[at + 1])
            at += 2
        elif char == "[":
            members, at = _class(expression, at + 1)
            out += members
        else:
            out += char
            at += 1
    return out


def _class(expression: str, at: int) -> tuple[str, int]:
    """The character class whose inside begins at `at`, in Python's syntax, and where it ends."""
    out = "["
    if expression[at : at + 1] == "^":
        out, at = "[^", at + 1
    begin = at
    while at == begin or expression[at : at + 1] != "]":
        if expression.startswith("[:", at) and ":]" in expression[at:]:
            raise ValueError("a character class by name")
        low, at = _member(expression, at)
        out += low
        if expression[at : at + 1] == "-" and expression[at + 1 : at + 2] != "]":
            high, at = _member(expression, at + 1)
            out += "-" + high
    return out + "]", at + 1


def _member(expression: str, at: int) -> tuple[str, int]:
    if at >= len(expression):
        raise ValueError("a character class without an end")
    if expression[at] == "\\":
        return _escaped(expression[at + 1]), at + 2
    return re.escape(expression[at]), at + 1


def _escaped(char: str) -> str:
    if not (char.isascii() and char.isalnum()):
        return re.escape(char)
    if char in "dDsSwWbBAaftnrv":  # an escaped letter is a class of Go's regular expressions: Docker passes it on
        return "\\" + char
    raise ValueError("an escaped letter or digit")
