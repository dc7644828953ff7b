"""Masks secrets in log lines that the agent itself keeps: by a rule of its own, for the laptop's is not here."""

from __future__ import annotations

import json
import re
from typing import Dict, Iterable, Iterator, List, Set
from urllib.parse import quote, unquote

_KEY = re.compile("passw|passphrase|secret|token|key|dsn|credential", re.IGNORECASE)
_IN_ADDRESS = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^\s/@:]*:([^\s/]+)@")
_PLAIN = ("true", "false", "none", "null")
_SHORTEST = 4
MASK = b"***"


def masked(log: bytes, compose: str, secrets: Iterable[str]) -> bytes:
    """A log without what is secret in a release.

    Args:
        compose: its rendered Compose file (JSON, `$` doubled).
        secrets: the contents of its Compose secrets.
    """
    found: Set[str] = set(secrets)
    for service in json.loads(compose)["services"].values():
        environment: Dict[str, str] = service.get("environment") or {}
        for key, value in environment.items():
            found |= set(_secret(key, str(value or "").replace("$$", "$")))
    forms = {form for value in found for form in _forms(value) if len(form) >= _SHORTEST}
    ordered: List[bytes] = sorted((form.encode() for form in forms), key=len, reverse=True)
    return re.sub(b"|".join(map(re.escape, ordered)), MASK, log) if ordered else log


def _secret(key: str, value: str) -> Iterator[str]:
    if _KEY.search(key) and value.lower() not in _PLAIN:
        yield value
    for password in _IN_ADDRESS.findall(value):
        yield password
        yield unquote(password)


def _forms(value: str) -> Iterator[str]:
    """As it may stand in a line: as it is, line by line, escaped, or as a part of an address."""
    yield from (value.strip(), json.dumps(value)[1:-1], quote(value, safe=""))
    yield from (line.strip() for line in value.splitlines())
