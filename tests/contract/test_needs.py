"""Which images the real engine asks for, and which our reading of the Dockerfile says: they must be the same.

The cases are those of tests/unit/source/cases/dockerfile. Every image in them exists locally for the length of this
test, so the engine resolves all that it needs before the first step can fail.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.source.test_dockerfile import CASES, cases

ASKED = re.compile(r"(?:\[internal\]|\[context \S+\]) load metadata for docker\.io/(allfast-needs/\S+)")
NEW_FRONTEND = "frontend"  # cases with this key need a newer BuildKit than the oldest that is supported


@pytest.fixture(scope="module", autouse=True)
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A tiny image under all names of the cases."""
    text = "".join(path.read_text() for path in CASES.iterdir())
    names = {name for case in cases() for name in case.values[1]["images"]}
    names |= set(re.findall(r"allfast-needs/[a-z]+:[0-9]", text))
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /x\n")
    tags = [word for name in sorted(names) for word in ("--tag", name)]
    subprocess.run(["docker", "buildx", "build", "-q", *tags, str(folder)], check=True, capture_output=True)
    yield
    subprocess.run(["docker", "image", "rm", *sorted(names)], check=True, capture_output=True)


@pytest.mark.parametrize(("path", "case"), [case for case in cases() if NEW_FRONTEND not in case.values[1]])
def test_the_engine_asks_for_what_we_say(path: Path, case: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "context").mkdir()
    args = [f"--build-arg={key}={value}" for key, value in case.get("args", {}).items()]
    contexts = [f"--build-context={name}={tmp_path / 'context'}" for name in case.get("contexts", ())]
    words = ["--progress=plain", "--platform=linux/amd64", f"--target={case.get('target', '')}", *args, *contexts]
    done = subprocess.run(
        ["docker", "buildx", "build", "--no-cache", "-f", str(path), *words, str(tmp_path / "context")],
        capture_output=True,
        check=False,
        text=True,
    )
    asked = {name.removesuffix(":latest") for name in ASKED.findall(done.stderr)}
    assert sorted(asked) == case["images"], done.stderr
