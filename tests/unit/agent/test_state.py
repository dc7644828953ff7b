"""Where the state folder is."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from allfast.agent import state
from allfast.agent.docker import Docker
from allfast.config.model import AllfastToml

HOME = "/home/deploy/.local/state/allfast"


@pytest.mark.parametrize(
    ("asked", "rootless", "xdg", "place"),
    [
        (None, False, "", "/var/lib/allfast"),
        (None, True, "", HOME),
        (None, True, "/srv/own", "/srv/own/allfast"),
        ("/srv/state", False, "", "/srv/state"),
        ("/srv/state", True, "", "/srv/state"),
    ],
)
def test_the_login_s_own_folder_where_docker_is_its_own(
    monkeypatch: pytest.MonkeyPatch, asked: str | None, rootless: bool, xdg: str, place: str
) -> None:
    monkeypatch.setenv("HOME", "/home/deploy")
    monkeypatch.setenv("XDG_STATE_HOME", xdg)
    target = {"host": "h", **({"state_dir": asked} if asked else {})}
    config = AllfastToml.model_validate({"app": "chat", "targets": {"p": target}})
    docker = cast(Docker, SimpleNamespace(rootless=rootless))
    assert state.base(config.targets["p"].state_dir or "", docker) == Path(place)
