"""The kinds of values that stand in `allfast.toml`: each says in words what it should be where it is not."""

from __future__ import annotations

import re
from datetime import timedelta
from ipaddress import ip_network
from pathlib import PurePosixPath
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, StrictFloat, WithJsonSchema

from allfast.config.quantities import duration, size
from allfast.model.release import URL_PATH

_PROJECT = re.compile(r"[a-z0-9][a-z0-9_-]*", re.ASCII)
_NAME_LIMIT = 40  # a deployment's name becomes part of DNS names, whose labels have 63 characters at most


def _name(text: str) -> str:
    if not _PROJECT.fullmatch(text):
        raise ValueError("should be lower-case letters, digits, '-' and '_', beginning with a letter or a digit")
    if len(text) > _NAME_LIMIT:
        raise ValueError(f"should have at most {_NAME_LIMIT} characters")
    return text


def _path(text: str) -> str:
    """A path inside the project, relative to the folder of allfast.toml."""
    path = PurePosixPath(text)
    if not text or path.is_absolute() or ".." in path.parts:
        raise ValueError("should be a path inside the project, relative to the folder of allfast.toml")
    return str(path)


def _text(text: str) -> str:
    if not text.strip():
        raise ValueError("should not be empty")
    return text


def _host(text: str) -> str:
    # A leading dash would be read by ssh as an option.
    if not text or text.startswith("-") or any(c.isspace() or not c.isprintable() for c in text):
        raise ValueError('should be "user@host", an alias of ~/.ssh/config, or "local"')
    return text


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise ValueError('should be an address such as "https://chat.example.com", without user name')
    if parts.query or parts.fragment:
        raise ValueError("should have no query and no fragment")
    return text.rstrip("/")


def _variable(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text, re.ASCII):
        raise ValueError("should be the name of an environment variable")
    return text


def _state_dir(text: str) -> str:
    path = PurePosixPath(text)
    if not path.is_absolute() or ".." in path.parts or len(path.parts) < 2:
        raise ValueError("should be an absolute path on the server")
    return str(path)


def _url_path(text: str) -> str:
    if not URL_PATH.fullmatch(text):
        raise ValueError('should be a path such as "/api/version"')
    return text


def _duration(value: object) -> object:
    return duration(value) if isinstance(value, str) else value


def _size(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError('should be a size such as "512MiB" or "2GiB"')
    return size(value)


def _route(text: str) -> str:
    host, slash, path = text.partition("/")
    if not slash or any(c.isspace() or c in "?#*{}" for c in text) or ":" in host:
        raise ValueError('should be a path such as "/api", or a host and a path such as "api.example.com/"')
    return f"{host.lower()}/{path}"


def _network(text: str) -> str:
    try:
        return str(ip_network(text))
    except ValueError as error:
        raise ValueError('should be a network such as "10.0.0.0/8", or one address') from error


Name = Annotated[str, AfterValidator(_name)]
ProjectPath = Annotated[str, AfterValidator(_path)]
Text = Annotated[str, AfterValidator(_text)]
Share = Annotated[StrictFloat, Field(gt=0, le=1)]
Duration = Annotated[
    timedelta, BeforeValidator(_duration), WithJsonSchema({"type": "string", "pattern": "^[1-9][0-9]{0,5}[smhd]$"})
]
Size = Annotated[int, BeforeValidator(_size), WithJsonSchema({"type": "string", "pattern": "^[1-9][0-9]{0,5}[MGT]iB$"})]
Host = Annotated[str, AfterValidator(_host)]
Url = Annotated[str, AfterValidator(_url)]
Variable = Annotated[str, AfterValidator(_variable)]
ServerPath = Annotated[str, AfterValidator(_state_dir)]
UrlPath = Annotated[str, AfterValidator(_url_path)]
RouteText = Annotated[str, AfterValidator(_route)]
Network = Annotated[str, AfterValidator(_network)]
