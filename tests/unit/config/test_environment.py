"""The variables of a target."""

from __future__ import annotations

from pathlib import Path

import pytest

from allfast.config.environment import interpolation
from allfast.config.load import load
from allfast.errors import ConfigError

TOML = """app = "chat"
[targets.production]
host = "h"
env_command = '''{}'''
"""


def test_what_a_failing_command_tells_is_shown_without_what_it_printed(tmp_path: Path) -> None:
    (tmp_path / "allfast.toml").write_text(
        TOML.format("echo PASSWORD=hunter22; echo no leave for hunter22 >&2; exit 3")
    )
    with pytest.raises(ConfigError, match="env_command: failed with exit code 3") as caught:
        interpolation(load(tmp_path / "allfast.toml", start=tmp_path), "production", {"PATH": "/usr/bin:/bin"})
    assert caught.value.evidence == ("no leave for ***",)
