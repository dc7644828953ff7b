"""The state folder: where it is, and making it when the first changing command comes.

`<base>/<deployment>/` with base `/var/lib/allfast`, group of Docker's socket, mode 2770: whoever may use the engine
finds the same state. Only rootless Docker, which belongs to one login, uses that login's own folder.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import List

from allfast.agent.docker import Docker
from allfast.agent.engine import EngineError, EngineUnreachable
from allfast.agent.protocol import AgentError, Kind

DEFAULT_BASE = "/var/lib/allfast"
#: Every file the agent makes: readable and writable by the login and the group, by nobody else.
UMASK = 0o007
FOLDER_MODE = 0o2770

#: What `install` needs of the host to run in an empty container.
_HOST_PROGRAMS = ("/usr", "/bin", "/lib", "/lib64")


def base(asked: str, docker: Docker) -> Path:
    """The folder of all deployments; `asked` is the target's `state_dir`, "" for the default."""
    if asked:
        return Path(asked)
    if docker.rootless:
        return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "allfast"
    return Path(DEFAULT_BASE)


def make(base_folder: Path, deployment: str, docker: Docker) -> Path:
    """Make what is missing of the deployment's folder and return it.

    Raises `AgentError` state-permission when no way leads there.
    """
    folder = base_folder / deployment
    if not base_folder.is_dir():
        _make_base(base_folder, docker)
    try:
        make_folder(folder)
    except PermissionError as error:
        raise _refused(base_folder, docker, [str(error)]) from error
    return folder


def that_is_there(*places: Path) -> Path:
    """The first of these that is a folder, and may be looked at."""
    # Not Path.is_dir: on Python 3.9 it raises where a login may not look.
    return next(place for place in places if os.path.isdir(place))  # noqa: PTH112


def make_folder(folder: Path) -> None:
    """Make one folder of the state, open to the group whatever the login's umask."""
    if folder.is_dir():
        return
    folder.mkdir(exist_ok=True)
    folder.chmod(FOLDER_MODE)
    sync(folder.parent)


def sync(path: Path) -> None:
    """Have the kernel write a file or a folder's entries to the disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write(path: Path, data: bytes, mode: int = 0o660) -> None:
    """Replace a file as a whole: after a crash it holds either the old or the new bytes."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    try:
        with os.fdopen(fd, "wb") as file:
            os.fchmod(fd, mode)
            file.write(data)
            file.flush()
            os.fsync(fd)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync(path.parent)


def _make_base(folder: Path, docker: Docker) -> None:
    tried: List[str] = []
    for way in (_directly, _by_sudo, _by_container):
        try:
            way(folder, docker)
        except (OSError, EngineError, EngineUnreachable, subprocess.SubprocessError) as error:
            tried.append(str(error))
        if folder.is_dir():
            return
    raise _refused(folder, docker, tried)


def _refused(folder: Path, docker: Docker, tried: List[str]) -> AgentError:
    return AgentError(
        Kind.STATE_PERMISSION,
        f"the state folder {folder} cannot be made or used: " + "; ".join(dict.fromkeys(filter(None, tried))),
        f"on the server, as root: install -d -g {docker.gid} -m {FOLDER_MODE:o} {folder}",
    )


def _install(folder: Path, docker: Docker) -> List[str]:
    return ["/usr/bin/install", "-d", "-g", str(docker.gid), "-m", f"{FOLDER_MODE:o}", str(folder)]


def _directly(folder: Path, docker: Docker) -> None:
    if docker.rootless:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return
    # A parent that others may write would let them put their own folder in its place.
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    folder.mkdir()
    os.chown(folder, -1, docker.gid)
    folder.chmod(FOLDER_MODE)
    sync(folder.parent)


def _by_sudo(folder: Path, docker: Docker) -> None:
    if shutil.which("sudo"):
        subprocess.run(["sudo", "-n", *_install(folder, docker)], check=True, capture_output=True, timeout=20)


def _by_container(folder: Path, docker: Docker) -> None:
    """Let the engine do it, as root: in a container of an empty image that sees the host's own programs."""
    engine = docker.engine
    with engine.stream("POST", "/images/create", body=iter([bytes(10240)]), timeout=60, fromSrc="-") as answer:
        image = [value["status"] for value in answer.values() if "status" in value][-1]
    try:
        place = next(parent for parent in folder.parents if parent.is_dir())
        binds = [f"{path}:{path}:ro" for path in _HOST_PROGRAMS if Path(path).is_dir()] + [f"{place}:{place}"]
        host = {"Binds": binds, "NetworkMode": "none", "UsernsMode": "host", "SecurityOpt": ["label=disable"]}
        wanted = {"Image": image, "Cmd": _install(folder, docker), "User": "0:0", "HostConfig": host}
        container = engine.post("/containers/create", wanted)["Id"]
        try:
            engine.post(f"/containers/{container}/start")
            engine.post(f"/containers/{container}/wait")
        finally:
            engine.delete(f"/containers/{container}", force=True)
    finally:
        engine.delete(f"/images/{image}", force=True)
