"""Projects of a few files, and their rendered Compose model."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from allfast.config.compose import ComposeModel, render
from allfast.config.load import load
from allfast.errors import ConfigError

TOML = 'app = "chat"\n[targets.production]\nhost = "h"\n'
STATE = "/var/lib/allfast/chat"
REPOSITORY = Path(__file__).parents[2]


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def rendered(
    tmp_path: Path,
    files: Mapping[str, str],
    *,
    toml: str = TOML,
    untracked: Mapping[str, str] | None = None,
    shell: Mapping[str, str] | None = None,
    name: str = "checkout",
) -> ComposeModel:
    """The model of a project with these files in the commit, and `untracked` ones only in the working tree."""
    tree, checkout = tmp_path / "tree", tmp_path / name / "src"
    for folder in (tree, checkout):
        folder.mkdir(parents=True, exist_ok=True)
        write(folder, files)
    write(tree, {**(untracked or {}), "allfast.toml": toml})
    config = load(tree / "allfast.toml", start=tree)
    for extra in config.extras():
        (checkout / extra).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tree / extra, checkout / extra)
    return render(checkout, config, state_folder=lambda: STATE, shell=shell or {})


def problem(tmp_path: Path, files: Mapping[str, str], **more: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        rendered(tmp_path, files, **more)
    assert str(tmp_path / "checkout") not in str(caught.value) + caught.value.hint
    return caught.value


def one(model: ComposeModel, name: str = "web") -> dict[str, Any]:
    service = model.service(name)
    assert service is not None
    return service.definition


def service(body: str, top: str = "") -> dict[str, str]:
    """A project with one service `web` of the given YAML lines."""
    indented = "".join(f"    {line}\n" for line in body.splitlines())
    return {"compose.yaml": f"services:\n  web:\n    image: none\n{indented}{top}"}


#: Shows which variables Compose saw.
SEEN = service('environment:\n  COLOUR: ${COLOUR:-blue}\n  HOME_SEEN: ${HOME:-none}\n  PLACE: "${PWD:-none}"')
