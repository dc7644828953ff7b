"""Where each key of a TOML file stands: `tomllib` gives values without lines, and errors need lines.

The source has been accepted by `tomllib` before, so this scanner follows the grammar and does not judge. (The one
well-kept library with positions, tomlkit, keeps them to itself, and costs more to import than the rest of `config`.)
A path is a tuple of keys and, in arrays, indices from 0. Lines count from 1.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping

Path = tuple[str | int, ...]

_BLANK = " \t"
_SPACE = " \t\r\n"
_BARE_END = frozenset(",]}#\r\n")


def lines(source: str) -> Mapping[Path, int]:
    """The line of each key, table header and array item of a valid TOML source."""
    return _Scanner(source).document()


class _Scanner:
    """One pass over the source; `_at` is the next character's index."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0
        self._line = 1
        self._counted = 0
        self._found: dict[Path, int] = {}
        self._tables: dict[Path, int] = {}  # array of tables -> index of its last table

    def document(self) -> Mapping[Path, int]:
        table: Path = ()
        while self._skip(_SPACE):
            if self._peek() == "[":
                table = self._header()
            else:
                self._pair(table)
        return self._found

    def _header(self) -> Path:
        array = self._source.startswith("[[", self._at)
        line = self._here()
        self._at += 2 if array else 1
        keys = self._keys()
        self._at += 2 if array else 1
        table: Path = ()
        for number, key in enumerate(keys, 1):
            table = (*table, key)
            if array and number == len(keys):
                self._tables[table] = self._tables.get(table, -1) + 1
            self._found.setdefault(table, line)
            if table in self._tables:
                table = (*table, self._tables[table])
                self._found.setdefault(table, line)
        return table

    def _pair(self, table: Path) -> None:
        line = self._here()
        for key in self._keys():
            table = (*table, key)
            self._found.setdefault(table, line)
        self._at += 1  # the equals sign
        self._skip(_BLANK)
        self._value(table)

    def _keys(self) -> list[str]:
        """A dotted key; ends on the `=` or `]` behind it."""
        keys = []
        while True:
            self._skip(_BLANK)
            keys.append(self._key())
            self._skip(_BLANK)
            if self._peek() != ".":
                return keys
            self._at += 1

    def _key(self) -> str:
        start = self._at
        if self._peek() in "\"'":
            self._string()
            raw = self._source[start : self._at]
            return str(tomllib.loads(f"key = {raw}")["key"])  # its own escapes
        while self._peek() not in " \t.=]":
            self._at += 1
        return self._source[start : self._at]

    def _value(self, path: Path) -> None:
        match self._peek():
            case '"' | "'":
                self._string()
            case "[":
                self._array(path)
            case "{":
                self._inline_table(path)
            case _:
                while self._peek() and self._peek() not in _BARE_END:
                    self._at += 1

    def _array(self, path: Path) -> None:
        self._at += 1
        index = 0
        while self._skip(_SPACE) and self._peek() != "]":
            if self._peek() == ",":
                self._at += 1
                continue
            self._found[(*path, index)] = self._here()
            self._value((*path, index))
            index += 1
        self._at += 1

    def _inline_table(self, path: Path) -> None:
        self._at += 1
        while self._skip(_SPACE) and self._peek() != "}":
            if self._peek() == ",":
                self._at += 1
                continue
            self._pair(path)
        self._at += 1

    def _string(self) -> None:
        quote = self._peek()
        fence = quote * 3 if self._source.startswith(quote * 3, self._at) else quote
        self._at += len(fence)
        while not self._source.startswith(fence, self._at):
            self._at += 2 if quote == '"' and self._peek() == "\\" else 1
        self._at += len(fence)
        while len(fence) == 3 and self._peek() == quote:  # quotes that stand directly before the closing ones
            self._at += 1

    def _skip(self, blank: str) -> bool:
        """Go over blanks and, where line ends are blank, comments; False at the end of the source."""
        while self._at < len(self._source):
            if self._source[self._at] in blank:
                self._at += 1
            elif self._source[self._at] == "#" and "\n" in blank:
                end = self._source.find("\n", self._at)
                self._at = len(self._source) if end < 0 else end
            else:
                return True
        return False

    def _peek(self) -> str:
        return self._source[self._at : self._at + 1]

    def _here(self) -> int:
        """The line of the next character; only ever asked forwards."""
        self._line += self._source.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line
