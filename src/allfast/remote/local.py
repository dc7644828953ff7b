"""The machine itself as a server: the same agent and the same fencing, with a relay (agent/relay.py) in SSH's place."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from allfast.errors import AllfastError, RemoteError
from allfast.remote import bootstrap, sockets
from allfast.remote.transport import pipes


class Local:
    """The agent as a child process, in a session of its own."""

    def __init__(self, settings: dict[str, Any]) -> None:
        if sys.platform != "linux":
            raise RemoteError('host = "local" needs Linux on this machine', hint="deploy by SSH instead")
        self._folder = sockets.Folder()
        self.folder = self._folder.path
        program = self._folder.path / "agent.pyz"
        program.write_bytes(bootstrap.package().data)
        word = bootstrap.settings_word({**settings, "relay": str(self._folder.path / "d")})
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", str(program), word],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ,
            start_new_session=True,
        )
        self.to_agent, self.from_agent, self._errors = pipes(self._process)

    def docker_socket(self, remote: str) -> Path:
        """The relay's socket: the agent has put it in its hello."""
        return Path(remote)

    def why(self) -> AllfastError:
        """Why the agent is not there (any more)."""
        self._process.kill()
        lines = self._errors.read().decode(errors="replace").splitlines()
        hint = "run the command again; the lines above are the last that the agent wrote"
        return RemoteError("the agent on this machine ended", hint=hint, evidence=tuple(lines[-6:]))

    def words(self) -> list[str]:
        """Nothing: there is no SSH that could say anything."""
        return []

    def cut(self) -> None:
        """End the agent at once."""
        self._process.kill()

    def close(self) -> None:
        """End the agent, in order where it can be."""
        with contextlib.suppress(OSError):  # it is gone
            self.to_agent.close()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.from_agent.close()
        self._errors.close()
        self._folder.remove()
