"""One connection to a server: who is there, its Docker engine, what else is reached through it."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any, TypeVar

from allfast.agent.engine import Engine, EngineUnreachable
from allfast.errors import AttentionError
from allfast.remote import docker_config
from allfast.remote.channel import Channel
from allfast.remote.codec import CodecError, from_json
from allfast.remote.ssh_errors import forwarding_refused
from allfast.remote.transport import Transport

#: Where the docker command finds itself and its files.
_DOCKER_NEEDS = ("PATH", "HOME", "XDG_RUNTIME_DIR", "TMPDIR")

T = TypeVar("T")


class Connection:
    """What every question to a server goes through. Whoever needs the server first waits until its agent greets."""

    def __init__(self, host: str, transport: Transport, channel: Channel) -> None:
        self.host = host
        self._transport = transport
        self._channel = channel
        self._mutex = threading.Lock()
        self._engine: Engine | None = None
        self._docker_config: Path | None = None

    @property
    def hostname(self) -> str:
        """The server's own name."""
        return str(self._channel.hello["hostname"])

    @property
    def folder(self) -> str:
        """The deployment's state folder on the server (it exists once a lock was taken)."""
        return str(self._channel.hello["folder"])

    def docker_env(self) -> dict[str, str]:
        """The environment of a docker command for this server's engine: none of the user's variables, nor logins."""
        kept = {name: os.environ[name] for name in _DOCKER_NEEDS if name in os.environ}
        with self._mutex:
            if self._docker_config is None:
                self._docker_config = docker_config.without_logins(self._transport.folder)
        return {**kept, "DOCKER_HOST": f"unix://{self.engine.path}", "DOCKER_CONFIG": str(self._docker_config)}

    @property
    def engine(self) -> Engine:
        """The server's engine, over the forwarded socket. Raises `RemoteError` where sshd does not forward it."""
        self._channel.await_hello()
        with self._mutex:
            if self._engine is None:
                remote = str(self._channel.hello["docker"])
                engine = Engine(str(self._transport.docker_socket(remote)))
                try:
                    engine.version()
                except EngineUnreachable as error:
                    raise forwarding_refused(self.host, f"the socket {remote}", self._transport.words()) from error
                self._engine = engine
            return self._engine

    def close(self) -> None:
        """Close what was opened on top of the connection."""
        with self._mutex:
            if self._engine is not None:
                self._engine.close()

    def _read(self, wanted: type[T], data: Any) -> T:
        try:
            return from_json(wanted, data)
        except CodecError as error:
            raise AttentionError(
                f"{self.host}: the ledger has something that this allfast does not understand: {error}",
                hint="was it written by a newer allfast? Update this one",
            ) from error
