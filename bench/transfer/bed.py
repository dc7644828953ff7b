"""Where it is measured: a laptop's engine of its own, a server, and the line between them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.bed import environment
from bench.transfer.model import Line
from testbed import bases
from testbed.common import CHECKOUT, docker, run, socket_folder, wait_until
from testbed.container import EngineContainer
from testbed.engine import Engine
from testbed.link import Link
from testbed.server import Server

NAME = "bench-transfer"
#: The registry as both engines name it; engines take a loopback registry without TLS.
REGISTRY_NAME = "127.0.0.1:5000"
CONFIG = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: "{data}"}}, delete: {{enabled: true}}}}
http: {{net: unix, addr: "{socket}"}}
"""
#: The kernel gives up what it has in memory of these files, but of those that are mapped by what runs.
COOL = """
import os
os.sync()
for top in ("/var/lib/allfast", "/var/lib/docker/overlay2"):
    for folder, below, names in os.walk(top):
        below[:] = [name for name in below if name != "merged"]
        for name in names:
            try:
                file = os.open(os.path.join(folder, name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            except OSError:
                continue
            try:
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            except OSError:
                pass
            os.close(file)
"""


@dataclass(frozen=True)
class Bed:
    """`folder` is for what lasts as long as the bench; a trip's caches are below it, too."""

    laptop: Engine
    server: Server
    link: Link
    folder: Path

    @property
    def ssh(self) -> list[str]:
        """The words before a remote command: over the line."""
        return ["ssh", "-F", str(self.link.ssh_config(self.server)), "-o", "BatchMode=yes"]

    @property
    def cache(self) -> Path:
        """What allfast remembers on this laptop, beside its engine."""
        return self.folder / "cache"

    @property
    def registry_data(self) -> Path:
        """What has been pushed to the registry."""
        return self.folder / "registry"

    @property
    def environment(self) -> dict[str, str]:
        """For commands on the laptop."""
        config = self.link.ssh_config(self.server)
        return {**environment(config, self.cache), "DOCKER_HOST": self.laptop.host}

    def roots(self) -> tuple[set[int], set[int]]:
        """The processes that all others of the two engines' containers come from, on each side."""
        return {_root(self.laptop)}, {_root(self.server)}

    def shape(self, line: Line) -> None:
        """The line is like that from now on."""
        self.link.rate, self.link.delay = line.rate, line.delay

    def forget_sent(self) -> None:
        """A laptop that has not sent what the server has."""
        shutil.rmtree(self.cache, ignore_errors=True)

    def cool(self) -> None:
        """What the server has lies on its disk and not in its memory, as of the day before."""
        self.server.exec(["python3", "-c", COOL], timeout=300)

    def forget_builds(self) -> None:
        """Remove from the laptop all that was built."""
        self.laptop.exec(
            ["docker", "image", "prune", "--all", "--force", "--filter", "label=allfast.deployment"], timeout=600
        )
        self.laptop.exec(["docker", "builder", "prune", "--all", "--force"], timeout=600)

    @contextmanager
    def registry(self) -> Iterator[int]:
        """A registry that the laptop's engine reaches as `REGISTRY_NAME`; gives its process id."""
        config = self.folder / "registry.yml"
        socket = socket_folder(self.laptop.name) / "registry.sock"
        config.write_text(CONFIG.format(data=self.registry_data, socket=socket))
        binary = CHECKOUT / ".bench" / "registry" / "usr" / "bin" / "docker-registry"
        process = subprocess.Popen(
            [binary, "serve", config], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            wait_until(socket.exists, "the registry", 20)
            yield process.pid
        finally:
            process.terminate()
            process.wait()
            socket.unlink(missing_ok=True)


def _root(container: EngineContainer) -> int:
    """The parent of a container's first process: of its shim come also the commands that are run in it."""
    first = docker("inspect", "-f", "{{.State.Pid}}", container.container).stdout.strip()
    status = (Path("/proc") / first / "status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("PPid:")).split()[1])


@contextmanager
def bed(folder: Path) -> Iterator[Bed]:
    """A new laptop's engine and a new server; all of it is removed at the end."""
    run([CHECKOUT / "scripts" / "setup-registry", CHECKOUT / ".bench" / "registry"])
    laptop, server = Engine("overlay2", f"{NAME}-laptop"), Server(NAME)
    try:
        laptop.remove()
        laptop.start((bases.PYTHON, bases.NODE))
        server.start()
        _forward(laptop)
        with Link(server.port(22)) as link:
            yield Bed(laptop, server, link, folder)
    finally:
        server.stop()
        laptop.remove()


def _forward(laptop: Engine) -> None:
    """The registry's socket as a loopback port of the laptop's engine."""
    shared = socket_folder(laptop.name)
    shutil.copy(Path(__file__).resolve().parent / "recipes" / "forward.py", shared)
    docker("exec", "-d", laptop.container, "python3", "/host/forward.py", "/host/registry.sock")
