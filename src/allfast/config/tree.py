"""Small walks over rendered documents (dicts, lists and texts)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def escape(value: Any) -> Any:
    """A copy with each dollar doubled, as Compose reads it."""
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, Mapping):
        return {escape(k): escape(v) for k, v in value.items()}
    return [escape(one) for one in value] if isinstance(value, list | tuple) else value


def strings(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """All texts of a tree, with the path to each."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from strings(one, f"{path}.{key}")
    elif isinstance(value, list | tuple):
        for number, one in enumerate(value):
            yield from strings(one, f"{path}[{number}]")
