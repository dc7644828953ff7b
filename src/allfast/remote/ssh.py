"""A machine by SSH: one connection of the system's OpenSSH for one command, and everything goes over it.

The ssh process that runs the agent is also the connection's master (without persistence), so forwards can be added
while it runs. The user's configuration, agent, ProxyJump and host keys count. When this process dies, also by
SIGKILL, ssh's input ends, the agent ends, and with it the connection.
"""

from __future__ import annotations

import collections
import contextlib
import os
import re
import subprocess
import threading
from pathlib import Path

from allfast.errors import AllfastError, RemoteError
from allfast.remote import sockets
from allfast.remote.ssh_errors import explain
from allfast.remote.transport import pipes

#: Lines of ssh's own words that are kept for an error.
_KEPT_LINES = 60
#: Bytes of one, at most: a longer one counts as several.
_LONGEST_LINE = 1 << 16
#: What ssh takes for more than itself in a forward: this machine's environment (`${NAME}`), its own values (`%d`).
_EXPANDED = re.compile(r"[$%\\]")


class Ssh:
    """A connection that runs one remote command."""

    def __init__(self, host: str, config: Path | None, command: str) -> None:
        """Start ssh; it connects while the caller reads from it. Raises `RemoteError` where there is no ssh."""
        self._host = host
        self._folder = sockets.Folder()
        self.folder = self._folder.path
        self._control = self._folder.path / "c"
        options = [
            "ControlMaster=yes",
            f"ControlPath={self._control}",
            "ControlPersist=no",
            "BatchMode=yes",
            "ConnectTimeout=10",
            "ServerAliveInterval=15",
            "StreamLocalBindUnlink=yes",
            # For sessions of a person, and their ports are taken while such a one is open.
            "ClearAllForwardings=yes",
            "RemoteCommand=none",
            # Nor is anything of this machine for the server (its root could use the keys of a forwarded agent).
            "ForwardAgent=no",
            "ForwardX11=no",
            "PermitLocalCommand=no",
            "Tunnel=no",
        ]
        words = [word for option in options for word in ("-o", option)]
        try:
            self._process = subprocess.Popen(
                ["ssh", *(["-F", str(config)] if config else []), *words, "-T", "--", host, command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, "LC_ALL": "C"},
                process_group=0,  # Ctrl-C is for us: we still need the connection to put things right
            )
        except FileNotFoundError as error:
            self._folder.remove()
            raise RemoteError("there is no ssh on this machine", hint="install the OpenSSH client") from error
        self.to_agent, self.from_agent, self._errors = pipes(self._process)
        self._words: collections.deque[str] = collections.deque(maxlen=_KEPT_LINES)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def docker_socket(self, remote: str) -> Path:
        """A local unix socket that leads to the server's socket `remote`."""
        local = self._folder.path / "d"
        self._forward(str(local), remote, f"the socket {remote}")
        return local

    def _forward(self, here: str, there: str, name: str) -> None:
        if _EXPANDED.search(there):  # the server says it, and would be told what it expands to
            raise RemoteError(
                f"{self._host}: {name} has one of $ % \\ in it, which ssh may not be told",
                hint="on the server, give Docker's socket another path, and name it by DOCKER_HOST",
            )
        what = f"{here}:{there}"
        # Without the user's configuration: its own forwards would be asked for, too.
        words = ["ssh", "-F", "/dev/null", "-o", f"ControlPath={self._control}", "-O", "forward", "-L", what, "master"]
        done = subprocess.run(words, capture_output=True, text=True, errors="replace", timeout=30, process_group=0)
        if done.returncode:
            lines = (*self._words, *done.stderr.splitlines())
            hint = "correct what ssh says above, then run the command again"
            raise RemoteError(f"{self._host}: ssh could not forward {name}", hint=hint, evidence=tuple(lines[-5:]))

    def why(self) -> AllfastError:
        """Why the connection is not there (any more)."""
        try:
            status = self._process.wait(5)
        except subprocess.TimeoutExpired:
            status = 0  # the remote command closed its output and goes on: that is no agent
        else:
            self._listener.join(2)
        return explain(self._host, status, list(self._words))

    def words(self) -> list[str]:
        """What ssh has said so far."""
        return list(self._words)

    def cut(self) -> None:
        """End the connection at once."""
        self._process.kill()

    def close(self) -> None:
        """End the connection, in order where it can be."""
        with contextlib.suppress(OSError):  # what was not sent has nobody to go to
            self.to_agent.close()
        self._listener.join(
            1
        )  # to the end of its words: waiting for the process itself is done by looking now and then
        try:
            self._process.wait(1)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            self._listener.join(2)
        self.from_agent.close()
        self._folder.remove()

    def _listen(self) -> None:
        with self._errors:
            while line := self._errors.readline(_LONGEST_LINE):
                self._words.append(line.decode(errors="replace").rstrip())
