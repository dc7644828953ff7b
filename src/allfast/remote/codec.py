"""Frozen values (model/) to JSON and back, by their annotations. Strict: an unknown key or a wrong type is an error."""

from __future__ import annotations

import types
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints


class CodecError(ValueError):
    """JSON that is not such a value; the message starts with the path to the wrong place."""


def to_json(value: Any) -> Any:
    """The value as what `json.dumps` takes: dataclasses as objects, tuples as lists, enums as their values."""
    if is_dataclass(value):
        return {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (tuple, list)):
        return [to_json(item) for item in value]
    if isinstance(value, dict):
        return {str(key): to_json(item) for key, item in value.items()}
    return value


T = TypeVar("T")


def from_json(wanted: type[T], data: Any) -> T:
    """The value of type `wanted` that `data` stands for. Raises `CodecError`."""
    found: T = _read(wanted, data, wanted.__name__)
    return found


def _read(wanted: Any, data: Any, path: str) -> Any:
    origin, args = get_origin(wanted), get_args(wanted)
    if is_dataclass(wanted):
        return _read_dataclass(wanted, data, path)
    if origin is tuple:
        return _read_tuple(args, data, path)
    if origin in (Union, types.UnionType):
        return _read_optional(args, data, path)
    if origin is dict or wanted is dict:
        return _expect(data, dict, path)
    if wanted is Any:
        return data
    if isinstance(wanted, type) and issubclass(wanted, Enum):
        try:
            return wanted(data)
        except ValueError as error:
            raise CodecError(f"{path}: {error}") from error
    if wanted is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    return _expect(data, wanted, path)


def _read_dataclass(wanted: Any, data: Any, path: str) -> Any:
    known = _hints(wanted)
    values = _expect(data, dict, path)
    unknown = sorted(values.keys() - known.keys())
    if unknown:
        raise CodecError(f"{path}: unknown {', '.join(unknown)}")
    missing = [f.name for f in fields(wanted) if f.default is f.default_factory is MISSING and f.name not in values]
    if missing:
        raise CodecError(f"{path}: no {', '.join(missing)}")
    found = {key: _read(known[key], value, f"{path}.{key}") for key, value in values.items()}
    try:
        return wanted(**found)
    except ValueError as error:  # of its own check
        raise CodecError(f"{path}: {error}") from error


def _read_tuple(args: tuple[Any, ...], data: Any, path: str) -> tuple[Any, ...]:
    items = _expect(data, list, path)
    if len(args) == 2 and args[1] is Ellipsis:
        args = (args[0],) * len(items)
    if len(args) != len(items):
        raise CodecError(f"{path}: {len(items)} items instead of {len(args)}")
    return tuple(_read(one, item, f"{path}[{n}]") for n, (one, item) in enumerate(zip(args, items, strict=True)))


def _read_optional(args: tuple[Any, ...], data: Any, path: str) -> Any:
    if data is None and type(None) in args:
        return None
    (inner,) = (one for one in args if one is not type(None))
    return _read(inner, data, path)


def _expect(data: Any, wanted: Any, path: str) -> Any:
    if not isinstance(data, wanted) or (isinstance(data, bool) and wanted is not bool):
        raise CodecError(f"{path}: {type(data).__name__} instead of {wanted.__name__}")
    return data


@cache
def _hints(wanted: type) -> dict[str, Any]:
    return get_type_hints(wanted)
