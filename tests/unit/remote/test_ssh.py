"""What the system's ssh is told of a server's own words."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from allfast.errors import RemoteError
from allfast.remote.ssh import Ssh


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with the words that ssh is told, a line for each time it is started; it does nothing."""
    file, program = tmp_path / "told", tmp_path / "ssh"
    file.touch()
    program.write_text(f'#!/bin/sh\necho "$*" >>{shlex.quote(str(file))}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return file


@contextmanager
def connection() -> Iterator[Ssh]:
    """One to a machine that is not there."""
    ssh = Ssh("web1", None, "true")
    try:
        yield ssh
    finally:
        ssh.close()


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(lambda ssh: ssh.docker_socket("/run/${SECRET}"), id="a value of the environment"),
        pytest.param(lambda ssh: ssh.docker_socket("/run/%d"), id="the home folder"),
        pytest.param(lambda ssh: ssh.docker_socket("/run/\\"), id="a backslash"),
    ],
)
def test_nothing_of_this_machine_stands_in_for_words_of_the_server(told: Path, ask: Callable[[Ssh], object]) -> None:
    with connection() as ssh, pytest.raises(RemoteError, match=r"web1: .*ssh may not be told") as caught:
        ask(ssh)
    assert "DOCKER_HOST" in caught.value.hint
    assert "-O forward" not in told.read_text()


def test_nothing_of_this_machine_is_lent_to_the_server(told: Path, tmp_path: Path) -> None:
    """Whatever a person's own configuration lends to each server: the keys of an agent, above all."""
    config = tmp_path / "config"
    config.write_text("Host *\nForwardAgent yes\nForwardX11 yes\nPermitLocalCommand yes\nTunnel yes\n")
    Ssh("web1", config, "true").close()
    real = shutil.which("ssh", path=os.defpath)
    assert real is not None
    shown = subprocess.run([real, "-G", *told.read_text().split()], capture_output=True, text=True, check=True).stdout
    assert {"forwardagent no", "forwardx11 no", "permitlocalcommand no", "tunnel false"} <= set(shown.splitlines())


def test_a_usual_path_is_forwarded(told: Path) -> None:
    with connection() as ssh:
        local = ssh.docker_socket("/run/user/1000/docker.sock")
    assert f"-O forward -L {local}:/run/user/1000/docker.sock master" in told.read_text()
