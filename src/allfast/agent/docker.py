"""Finds the engine's socket on this machine: asked in the order in which the docker command asks, never assumed."""

from __future__ import annotations

import hashlib
import json
import os
import pwd
from pathlib import Path
from typing import Iterator, List, NamedTuple, Tuple

from allfast.agent.engine import Engine, EngineError, EngineUnreachable
from allfast.agent.protocol import AgentError, Kind

SYSTEM_SOCKET = "/var/run/docker.sock"
#: Seconds that a live daemon may need for its version.
PATIENCE = 10.0


class Docker(NamedTuple):
    """The engine of this machine: its socket, the socket's group, and whether it runs as this login (rootless)."""

    socket: str
    gid: int
    rootless: bool
    engine: Engine


def find() -> Docker:
    """The engine that `docker` would use here, asked for its version.

    Raises `AgentError`: no-docker, docker-permission or docker-silent.
    """
    seen: List[Tuple[str, str]] = []
    for source, path in _candidates():
        seen.append((source, path))
        if _may_be_there(path):
            engine = _ask(path)
            status = Path(path).stat()
            return Docker(path, status.st_gid, status.st_uid == os.getuid() != 0, engine)
    places = ", ".join(f"{path} ({source})" for source, path in seen)
    raise AgentError(
        Kind.NO_DOCKER,
        f"no Docker engine on {os.uname().nodename}: no socket at {places}",
        "install Docker on the server and start it (systemctl start docker)",
    )


def _candidates() -> Iterator[Tuple[str, str]]:
    """Where the socket is said to be: (who says so, path). What is said outright ends the search."""
    host = os.environ.get("DOCKER_HOST", "")
    if host:
        yield "DOCKER_HOST", _unix(host, "DOCKER_HOST")
        return
    context = _context()
    if context:
        yield context
        return
    yield "the default", SYSTEM_SOCKET
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    yield "rootless Docker", f"{runtime}/docker.sock"


def _may_be_there(path: str) -> bool:
    """Also when its folder may not be looked into: then asking tells that the login has no permission."""
    try:
        return Path(path).exists()
    except PermissionError:
        return True


def _context() -> "Tuple[str, str] | None":
    """The endpoint of docker's current context, None for the default one."""
    home = Path(os.environ.get("DOCKER_CONFIG") or Path(pwd.getpwuid(os.getuid()).pw_dir) / ".docker")
    try:
        name = os.environ.get("DOCKER_CONTEXT") or json.loads((home / "config.json").read_text()).get(
            "currentContext", ""
        )
    except (OSError, ValueError, AttributeError):
        return None
    if not name or name == "default":
        return None
    meta = home / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest() / "meta.json"
    try:
        host = json.loads(meta.read_text())["Endpoints"]["docker"]["Host"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AgentError(
            Kind.NO_DOCKER,
            f'Docker\'s current context "{name}" cannot be read ({meta}): {error}',
            "choose another one on the server: docker context use default",
        ) from error
    return f'the context "{name}"', _unix(host, f'the context "{name}"')


def _unix(host: str, source: str) -> str:
    if host.startswith("unix://"):
        return host[len("unix://") :]
    raise AgentError(
        Kind.NO_DOCKER,
        f"{source} points to {host}, which is not a socket of this machine",
        "deploy to the machine that runs the engine, or unset it on the server",
    )


def _ask(path: str) -> Engine:
    engine = Engine(path)
    try:
        engine.version(PATIENCE)
    except EngineUnreachable as error:
        raise _refusal(path, error.__cause__) from error
    except EngineError as error:
        raise AgentError(
            Kind.DOCKER_SILENT, f"Docker's socket {path} answers {error.status}: {error.message}", _LOOK_AT_DAEMON
        ) from error
    return engine


_LOOK_AT_DAEMON = "look at the daemon on the server: systemctl status docker; journalctl -u docker"


def _refusal(path: str, cause: "BaseException | None") -> AgentError:
    login = pwd.getpwuid(os.getuid()).pw_name
    if isinstance(cause, PermissionError):
        return AgentError(
            Kind.DOCKER_PERMISSION,
            f"{login} may not use Docker's socket {path} on {os.uname().nodename}",
            f"on the server, as root: sudo usermod -aG docker {login}",
        )
    return AgentError(Kind.DOCKER_SILENT, f"Docker's socket {path} does not answer: {cause}", _LOOK_AT_DAEMON)
