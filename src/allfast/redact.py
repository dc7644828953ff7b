"""The one redactor: everything that leaves the process (text, JSON, ledger, errors) goes through it.

It knows the secret values of the target (config/compose.py collects them) and replaces each of them, and the
forms that tools print them in, by `***`. Values shorter than `SHORTEST` characters cannot be told from ordinary
text and are left.

An application's own names (deployment, services, images) stay readable: a secret `tiny` masks no part of the
container `tiny-web-1`. A secret that is such a name itself is masked where it stands as a value: `PASSWORD=tiny`,
`user:tiny@host`.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar
from urllib.parse import quote, quote_plus

#: Characters of the shortest value that is masked.
SHORTEST = 4
MASK = "***"

T = TypeVar("T")

#: What stands before a value: an assignment, a key that says secret, or the user of an address.
_BEFORE = r"(?i:=|(?:pass\w*|pwd|secret\w*|token|key|auth)[\"']?\s*[:=]\s*|//[^\s/@:]*:)[\"']?"


def forms(value: str) -> set[str]:
    """The ways in which `value` may appear in output: plain, escaped, encoded, and line by line."""
    found = {value, value.strip(), json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    found |= {quote(value, safe=""), quote(value), quote_plus(value), value.replace("$", "$$"), repr(value)[1:-1]}
    found.add(value.replace("'", "'\"'\"'"))
    found.add(base64.b64encode(value.encode()).decode().rstrip("="))
    found.add(base64.urlsafe_b64encode(value.encode()).decode().rstrip("="))
    found.add(value.encode().hex())
    found |= {line.strip() for line in value.splitlines()}
    return {form for form in found if len(form) >= SHORTEST}


class Redactor:
    """Replaces secret values in text and in values; secrets can be added while it is in use."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._forms: set[str] = set()
        self._names: set[str] = set()
        self._doubtful: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self._kept: re.Pattern[str] | None = None
        self._as_value: re.Pattern[str] | None = None
        self.add(secrets)

    def add(self, secrets: Iterable[str], *, names: Iterable[str] = (), doubtful: Iterable[str] = ()) -> None:
        """Learn more secret values.

        Args:
            names: of the application, in which no part is masked.
            doubtful: secret values that are such names.
        """
        for secret in secrets:
            self._forms |= forms(secret)
        self._names |= set(names)
        self._doubtful |= {word for word in doubtful if len(word) >= SHORTEST}
        self._pattern = _any_of(self._forms)
        # most names have no secret in them and need no care
        self._kept = _any_of((n for n in self._names if self._pattern and self._pattern.search(n)), whole=True)
        words = _any_of(self._doubtful)
        self._as_value = re.compile(f"({_BEFORE})(?:{words.pattern})(?![\\w-])") if words else None

    def text(self, text: str) -> str:
        """`text` with every known secret masked."""
        if self._as_value:
            text = self._as_value.sub(lambda found: found[1] + MASK, text)
        if not self._pattern:
            return text
        kept = [found.span() for found in self._kept.finditer(text)] if self._kept else []
        return self._pattern.sub(lambda found: found[0] if _part(found.span(), kept) else MASK, text)

    def value(self, value: T) -> T:
        """A copy of a dataclass, mapping, sequence or scalar in which every string (keys too) is masked."""
        return self._value(value)  # type: ignore[no-any-return]

    def _value(self, value: Any) -> Any:
        if isinstance(value, str):
            masked = self.text(value)
            return value if masked == value else masked
        if is_dataclass(value) and not isinstance(value, type):
            changed = {f.name: self._value(getattr(value, f.name)) for f in fields(value) if f.init}
            return replace(value, **changed)
        if isinstance(value, dict):
            return {self._value(key): self._value(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(self._value(item) for item in value)
        return value


def _any_of(words: Iterable[str], *, whole: bool = False) -> re.Pattern[str] | None:
    """Finds these words, the longest first, so that one that contains another goes as a whole."""
    ordered = sorted(set(words), key=lambda word: (-len(word), word))
    if not ordered:
        return None
    found = "|".join(map(re.escape, ordered))
    return re.compile(f"(?<![A-Za-z0-9])(?:{found})(?![A-Za-z0-9])" if whole else found)


def _part(span: tuple[int, int], kept: list[tuple[int, int]]) -> bool:
    """Whether a secret that was found is a part of a name, and not the name itself or more."""
    return any(begin <= span[0] and span[1] <= end and (begin, end) != span for begin, end in kept)
