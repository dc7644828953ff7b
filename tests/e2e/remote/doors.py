"""Connections to a bare server, and small things to send over them."""

import hashlib
import io
import tarfile
from contextlib import AbstractContextManager

from allfast.model.release import Commit, DataService, Image, Release, ReleaseService
from allfast.model.service import Kind, Method
from allfast.remote import server as remote
from testbed.server import Server


def connect(
    server: Server, login: str = "deploy", app: str = "chat", target: str = "production", state_dir: str = ""
) -> AbstractContextManager[remote.Server]:
    return remote.connect(
        f"{server.name}-{login}",
        deployment="chat",
        app=app,
        target=target,
        state_dir=state_dir,
        ssh_config=server.ssh_config,
    )


def release(number: str, live: str = "abc") -> Release:
    image = Image("sha256:c", live, ("sha256:1", "sha256:2"), "linux/amd64")
    web = ReleaseService("web", Kind.RELEASE, "s", image, "web", Method.QUICK, "because", "f" * 40, "i" * 64)
    return Release(number, Commit("f" * 40, "subject", 1), (web,), (DataService("redis", "s", "redis:8"),), ("f1",))


def tar(*members: tuple[tarfile.TarInfo, bytes]) -> tuple[str, bytes]:
    """A tar and its digest."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for member, data in members:
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return hashlib.sha256(buffer.getvalue()).hexdigest(), buffer.getvalue()


def entry(name: str, mode: int = 0o644, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.mode, found.type, found.linkname = mode, kind, link
    return found
