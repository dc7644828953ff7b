"""Words of a Dockerfile: quotes, escapes and `$NAME`, `${NAME:-default}` ... as BuildKit expands them.

The rules are those of github.com/moby/buildkit, frontend/dockerfile/shell/lex.go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_NAME = re.compile(r"[0-9]+|[@*#?\-$!]|[A-Za-z_][A-Za-z_0-9]*")


class ExpansionError(ValueError):
    """A word that BuildKit refuses: an open quote, a bad substitution, a variable that must be set."""


def expand(word: str, variables: Mapping[str, str], escape: str = "\\") -> str:
    """The word with quotes and escapes removed and variables replaced; an unknown variable is empty.

    Raises:
        ExpansionError: BuildKit refuses the word too.
    """
    return _Expansion(word, variables, escape).until("")


def words(line: str, escape: str = "\\") -> list[str]:
    """The line cut at blanks outside of quotes and `${}`, nothing removed; an open quote is refused.

    Raises:
        ExpansionError: an open quote.
    """
    found, at = [], 0
    while at < len(line):
        begin = at
        while at < len(line) and not line[at].isspace():
            at = _token_end(line, at, escape)
        if at > begin:
            found.append(line[begin:at])
        at += 1
    return found


def _token_end(line: str, at: int, escape: str) -> int:
    """Where the character, quoted part or `${...}` that begins at `at` ends."""
    char = line[at]
    if char == escape:
        return min(at + 2, len(line))
    if char in "'\"":
        return _closing(line, at + 1, char, "" if char == "'" else escape)
    if line.startswith("${", at):
        return _closing(line, at + 2, "}", escape)
    return at + 1


def _closing(line: str, at: int, close: str, escape: str) -> int:
    while at < len(line):
        if escape and line[at] == escape:
            at += 1
        elif line[at] == close:
            return at + 1
        at += 1
    raise ExpansionError(f"no closing {close}")


class _Expansion:
    """One pass over a word, from left to right."""

    def __init__(self, text: str, variables: Mapping[str, str], escape: str) -> None:
        self.text = text
        self.variables = variables
        self.escape = escape
        self.at = 0

    def until(self, stop: str, *, keep_escapes: bool = False) -> str:
        """Everything up to `stop`, which is consumed, or up to the end where `stop` is empty."""
        out = ""
        while self.at < len(self.text):
            char = self.text[self.at]
            if stop and char == stop:
                self.at += 1
                return out
            if char == "'":
                out += self._single_quoted()
            elif char == '"':
                out += self._double_quoted()
            elif char == "$":
                out += self._variable()
            elif char == self.escape:
                out += (char if keep_escapes else "") + self.text[self.at + 1 : self.at + 2]
                self.at += 2
            else:
                out += char
                self.at += 1
        if stop:
            raise ExpansionError(f"no closing {stop}")
        return out

    def _single_quoted(self) -> str:
        end = self.text.find("'", self.at + 1)
        if end < 0:
            raise ExpansionError("no closing '")
        quoted = self.text[self.at + 1 : end]
        self.at = end + 1
        return quoted

    def _double_quoted(self) -> str:
        out = ""
        self.at += 1
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == '"':
                self.at += 1
                return out
            if char == "$":
                out += self._variable()
                continue
            if char == self.escape:
                following = self.text[self.at + 1 : self.at + 2]
                if following and following in f'"${self.escape}':
                    char = following
                    self.at += 1
                elif not following:
                    char = ""
            out += char
            self.at += 1
        raise ExpansionError('no closing "')

    def _variable(self) -> str:
        self.at += 1
        if self.text[self.at : self.at + 1] != "{":
            name = self._name()
            return self.variables.get(name, "") if name else "$"
        self.at += 1
        if self.text[self.at : self.at + 1] in ("", "{", "}", ":"):
            raise ExpansionError("bad substitution")
        name = self._name()
        operator = self._take()
        if operator == "}":
            return self.variables.get(name, "")
        if operator == "/":
            return self._replaced(self.variables.get(name, ""))
        empty_is_unset = operator == ":"
        if empty_is_unset:
            operator = self._take()
        return self._modified(name, operator, empty_is_unset)

    def _modified(self, name: str, operator: str, empty_is_unset: bool) -> str:
        if operator not in ("-", "+", "?", "#", "%"):
            raise ExpansionError(f'an unknown modifier "{operator}" of {name}')
        word = self.until("}", keep_escapes=operator in "#%")
        value = self.variables.get(name)
        if operator in "#%":
            return _trimmed(value or "", operator, word)
        is_set = value is not None and not (empty_is_unset and value == "")
        if operator == "-":
            return value or "" if is_set else word
        if operator == "+":
            return word if is_set else ""
        if not is_set:
            raise ExpansionError(f"{name}: {word or 'must be set'}")
        return value or ""

    def _replaced(self, value: str) -> str:
        everywhere = self.text[self.at : self.at + 1] == "/"
        self.at += everywhere
        pattern = _glob(self.until("/", keep_escapes=True))
        replacement = self.until("}", keep_escapes=True)
        return re.sub(pattern, lambda _: replacement, value, count=0 if everywhere else 1)

    def _name(self) -> str:
        match = _NAME.match(self.text, self.at)
        if match is None:
            return ""
        self.at = match.end()
        return match.group()

    def _take(self) -> str:
        char = self.text[self.at : self.at + 1]
        self.at += 1
        if not char:
            raise ExpansionError("no closing }")
        return char


def _trimmed(value: str, operator: str, word: str) -> str:
    """`#` cuts the shortest match of the pattern from the front, `##` the longest; `%` and `%%` from the end."""
    greedy = word.startswith(operator)
    pattern = re.compile(_glob(word.removeprefix(operator)))
    lengths = range(len(value) + 1)
    for length in reversed(lengths) if greedy else lengths:
        rest = len(value) - length
        if operator == "#" and pattern.fullmatch(value[:length]):
            return value[length:]
        if operator == "%" and pattern.fullmatch(value[rest:]):
            return value[:rest]
    return value


def _glob(pattern: str) -> str:
    out, at = "", 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "\\" and at < len(pattern):
            out += re.escape(pattern[at])
            at += 1
        elif char == "*":
            out += ".*"
        else:
            out += "." if char == "?" else re.escape(char)
    return out
