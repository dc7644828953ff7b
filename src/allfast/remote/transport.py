"""How a machine is reached, as the rest of remote/ sees it; ssh.py and local.py are the two ways."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import IO, Any, Protocol

from allfast.errors import AllfastError
from allfast.remote import bootstrap


class Transport(Protocol):
    """A way to one machine, with an agent started at its end."""

    to_agent: IO[bytes]
    from_agent: IO[bytes]
    folder: Path  # of this connection alone (mode 0700); it goes at the end

    def docker_socket(self, remote: str) -> Path:
        """A socket here that leads to the engine's socket `remote` there."""

    def why(self) -> AllfastError:
        """Why the agent is not there (any more)."""

    def words(self) -> list[str]:
        """What the way there said by itself, line by line."""

    def cut(self) -> None:
        """End the connection at once."""

    def close(self) -> None:
        """End the connection in good order."""


def reach(host: str, settings: dict[str, Any], ssh_config: Path | None) -> Transport:
    """Start an agent with these settings on `host` (as ssh takes it, or `local`); it is on its way on return.

    Raises `RemoteError` where there is no ssh here, or `local` is not to be had.
    """
    if host == "local":
        from allfast.remote.local import Local

        return Local(settings)
    from allfast.remote.ssh import Ssh

    named = os.environ.get("ALLFAST_SSH_CONFIG", "")
    return Ssh(host, ssh_config or (Path(named) if named else None), bootstrap.command(settings))


def pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes], IO[bytes]]:
    """Input, output and errors of a process that was started with pipes for all three."""
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    return process.stdin, process.stdout, process.stderr
