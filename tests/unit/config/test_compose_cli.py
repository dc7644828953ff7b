"""What the Compose CLI of this machine is asked before anything else."""

from __future__ import annotations

from pathlib import Path

import pytest

from allfast.config.compose_cli import require_compose
from allfast.errors import UsageError


def test_a_machine_without_docker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="no `docker` on the PATH") as caught:
        require_compose()
    assert "Compose" in caught.value.hint


def test_a_docker_without_compose(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\necho \"docker: 'compose' is not a docker command.\" >&2\nexit 1\n")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="has no Compose") as caught:
        require_compose()
    assert caught.value.evidence == ("docker: 'compose' is not a docker command.",)
