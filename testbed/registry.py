"""A registry of this machine's own, on a loopback port, with images of the machine's engine; no other one is used."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testbed.common import CHECKOUT, TestbedError, docker, free_port, machine_lock, run, state_folder, wait_until
from testbed.server import Server

CONFIG = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: "{data}"}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""
#: For Python on a server: fails unless something listens on a loopback port.
LISTENS = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])), 2)"


class Registry:
    """One that runs, at `port`; engines take a loopback registry without TLS."""

    def __init__(self, port: int) -> None:
        self.port = port

    def name(self, image: str) -> str:
        """What the image is called where it is reached at the port of that number."""
        return f"127.0.0.1:{self.port}/{image}"

    def push(self, local: str, image: str) -> str:
        """Put a local image there; its reference by digest. It has that name on this machine, too."""
        name = self.name(image)
        docker("tag", local, name)
        docker("push", "--quiet", name)
        found = json.loads(docker("image", "inspect", "-f", "{{json .RepoDigests}}", name).stdout)
        return str(next(one for one in found if one.startswith(f"{name.rpartition(':')[0]}@")))


@contextmanager
def registry() -> Iterator[Registry]:
    """Run an empty registry; with it go the names that images got for it."""
    folder = state_folder("registry")
    with machine_lock("registry"):
        run([CHECKOUT / "scripts" / "setup-registry", folder])
    data = Path(tempfile.mkdtemp(prefix="allfast-registry-"))
    program = folder / "usr" / "bin" / "docker-registry"
    process, found = _started(program, data)
    try:
        yield found
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(data, ignore_errors=True)
        names = docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", found.name("*")).stdout.split()
        if names:
            docker("image", "rm", *names, check=False)


def _started(program: Path, data: Path, tries: int = 5) -> tuple[subprocess.Popen[bytes], Registry]:
    """Start it. A free port may be taken by someone else before it has it, and it ends: then try another one."""
    found = Registry(free_port())
    (data / "config.yml").write_text(CONFIG.format(data=data / "data", port=found.port))
    words = [str(program), "serve", str(data / "config.yml")]
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: process.poll() is not None or _listens(found.port), "the registry", 60)
    if process.poll() is None:
        return process, found
    if tries == 1:
        raise TestbedError(f"the registry ended with exit code {process.returncode}, at each of several ports")
    return _started(program, data, tries - 1)


@contextmanager
def reachable(server: Server, port: int, here: int) -> Iterator[None]:
    """Within the block, the loopback `port` of a server leads to the port `here` of this machine."""
    options = ["-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes", "-N"]
    way = ["-R", f"127.0.0.1:{port}:127.0.0.1:{here}"]
    process = subprocess.Popen(["ssh", "-F", server.ssh_config, *options, *way, f"{server.name}-root"])
    asking = ["python3", "-c", LISTENS, str(port)]
    try:
        wait_until(lambda: server.exec(asking, check=False).returncode == 0, "the forwarded port", 60)
        yield
    finally:
        process.terminate()
        process.wait()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 2).close()
    except OSError:
        return False
    return True
