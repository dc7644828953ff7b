"""The commented example is the manual: it names every key, with its default, and it loads."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from allfast.config.load import load
from allfast.config.model import AllfastToml, Preflight, ServiceSettings, Target, Verify, Version, schema

EXAMPLE = Path(str(resources.files("allfast.config").joinpath("example.toml")))
MODELS: list[type[BaseModel]] = [AllfastToml, Target, Verify, ServiceSettings, Version, Preflight]


def fields() -> list[tuple[str, FieldInfo]]:
    return [(field.alias or name, field) for model in MODELS for name, field in model.model_fields.items()]


def shown(default: Any) -> str:
    """A default as TOML writes it."""
    if isinstance(default, timedelta):
        return json.dumps(f"{default // timedelta(minutes=1)}m")
    return json.dumps(list(default) if isinstance(default, tuple) else default)


def test_names_every_key() -> None:
    text = EXAMPLE.read_text()
    for name, _ in fields():
        assert re.search(rf"^[^#]*(\b{name} = |\[{name}[.\]])", text, re.MULTILINE), name


def test_names_every_default() -> None:
    text = EXAMPLE.read_text()
    for name, field in fields():
        if field.is_required() or field.default_factory is not None or isinstance(field.default, BaseModel):
            continue
        if field.default is None:  # told in words, in the comment above the key
            assert re.search(rf"(?:^#.*\n)+{name} = ", text, re.MULTILINE) or name in ("json", "header"), name
        else:
            assert re.search(rf"^{name} = {re.escape(shown(field.default))}", text, re.MULTILINE), name


def test_loads() -> None:
    config = load(EXAMPLE, start=Path("/"))
    assert config.toml.app == "chat"
    assert config.service("worker").fresh_after is not None


def test_schema_is_closed_and_says_what_each_table_is() -> None:
    whole = schema()
    for table in [whole, *(one for one in whole["$defs"].values() if one["type"] == "object")]:
        assert table["additionalProperties"] is False
        assert table["description"]
    assert set(whole["$defs"]["Version"]["properties"]) == {"path", "json", "header"}
