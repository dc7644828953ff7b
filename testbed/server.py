"""A throwaway server: a container with sshd, dockerd and python3, reached over real SSH on a loopback port."""

import json
import os
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from testbed import bases
from testbed.common import HOST_ENV, Result, TestbedError, docker, free_port, label_args, run, state_folder, wait_until
from testbed.container import EngineContainer
from testbed.snapshot import FOLDERS, Snapshot, read_snapshot

#: root; two in the docker group, without sudo; one outside of it. All take the server's one client key.
LOGINS = ("root", "deploy", "ops", "guest")
#: Ports of the server that are published on free loopback ports of this machine, for the deployed app.
PORTS = (80, 443, 8000, 8080)
SSH_SECONDS = 60
#: Seconds for which what a session had asked of the engine before it was ended may still come and go.
RESET_SECONDS = 60


class Server(EngineContainer):
    """A server of this checkout, by name; it lives from `start` to `stop`, longer than the Python process if need be.

    `store` is the engine's image store (overlay2, containerd), `login` the user that `ssh NAME` logs in as (one of
    `LOGINS`; `NAME-LOGIN` takes another one), `suite` the Debian suite, `ports` those that `url` and `port` can
    reach, `disk` the size of a small disk for the engine ("2g"; in memory), None for a usual one.
    """

    def __init__(
        self,
        name: str,
        *,
        store: str = "overlay2",
        login: str = "root",
        suite: str = "trixie",
        ports: Iterable[int] = PORTS,
        disk: str | None = None,
    ) -> None:
        super().__init__(name, store)
        if login not in LOGINS or suite not in bases.SERVERS:
            raise TestbedError(
                f"no such login or suite: {login}, {suite} (there are {', '.join(LOGINS)}; {', '.join(bases.SERVERS)})"
            )
        if suite == "bullseye" and store != "overlay2":
            raise TestbedError("Engine 20.10 (bullseye) has no containerd store")
        self.login = login
        self.suite = suite
        self.disk = disk
        #: Port of the server -> loopback port on this machine; 0 while there is none
        self.published = {22: 0, **dict.fromkeys(ports, 0)}
        self._folder = state_folder("servers", name)

    @classmethod
    def existing(cls, name: str) -> "Server":
        """The server that an earlier process started. Raises `TestbedError` if there is none."""
        try:
            saved = json.loads((state_folder("servers") / name / "server.json").read_text())
        except OSError:
            raise TestbedError(f"no server {name} in this checkout") from None
        published = {int(port): int(here) for port, here in saved.pop("published").items()}
        server = cls(name, **saved)
        server.published = published
        return server

    # Life

    def start(self, say: bases.Say = bases.say_nothing) -> "Server":
        """Start a new server, in place of an old one of this name; returns when SSH and the engine answer."""
        bases.ensure([bases.SERVERS[self.suite]], say)
        begun = time.monotonic()
        self.stop()
        self._make_keys()
        self._run_on_free_ports()
        self._write_ssh_files()
        self._wait()
        say(f"server {self.name} up in {time.monotonic() - begun:.1f} s")
        return self

    def stop(self) -> None:
        """Remove the server with all its data and keys; fine if there is none."""
        docker("rm", "-fv", self.container, check=False)
        docker("volume", "rm", "-f", self.container, check=False)
        shutil.rmtree(self._folder, ignore_errors=True)

    def off(self, *, hard: bool = False) -> None:
        """Switch the server off, `hard` as a power cut does, else after the engine has stopped its containers."""
        if not hard:
            self.stop_dockerd()
        docker("kill", self.container)

    def on(self) -> None:
        """Switch the server on again; returns when SSH and the engine answer."""
        docker("start", self.container)
        self._wait()

    def restart(self, *, hard: bool = False) -> None:
        """Reboot (see `off`)."""
        self.off(hard=hard)
        self.on()

    def pause(self) -> None:
        """Freeze all that runs on the server: its ports still take connections, and nobody answers."""
        docker("pause", self.container)

    def unpause(self) -> None:
        """Undo `pause`."""
        docker("unpause", self.container)

    def reset(self, *, keep_images: bool = False) -> None:
        """Make the server as new: without sessions, containers, volumes, networks, images, state, files in homes."""
        if not self.engine_answers():
            self.start_dockerd()
        said: list[str] = []

        def is_new() -> bool:
            done = self.exec(["server-reset", "yes" if keep_images else "no"], check=False)
            said.append(done.stdout + done.stderr)
            return done.returncode == 0

        wait_until(is_new, f"{self.name} to be as new", RESET_SECONDS, lambda: said[-1])

    # Reaching it

    @property
    def ssh_config(self) -> Path:
        """For `ssh -F`: host `NAME`, and `NAME-LOGIN` for each login."""
        return self._folder / "config"

    @property
    def known_hosts(self) -> Path:
        """The known_hosts file that the ssh config names; it has this server's key only."""
        return self._folder / "known_hosts"

    def ssh(self, command: str, *, login: str | None = None, check: bool = True, timeout: float = 60) -> Result:
        """Run a shell command on the server over SSH. Raises `TestbedError` with `check`."""
        host = f"{self.name}-{login}" if login else self.name
        return run(["ssh", "-F", self.ssh_config, "-o", "BatchMode=yes", host, command], check=check, timeout=timeout)

    def env(self) -> Mapping[str, str]:
        """An environment in which a plain `ssh NAME` reaches the server, and so does `DOCKER_HOST=ssh://NAME`."""
        return {**HOST_ENV, "PATH": f"{self._folder / 'bin'}{os.pathsep}{HOST_ENV.get('PATH', os.defpath)}"}

    def port(self, port: int) -> int:
        """The loopback port on this machine that leads to `port` of the server. `TestbedError` if there is none."""
        if not self.published.get(port):
            raise TestbedError(f"port {port} of {self.name} is not published (there are {sorted(self.published)})")
        return self.published[port]

    def url(self, port: int = 80, scheme: str = "http") -> str:
        """The URL on this machine that leads to `port` of the server, without a slash at the end."""
        return f"{scheme}://127.0.0.1:{self.port(port)}"

    def docker(self, *argv: str, check: bool = True) -> Result:
        """Run the server's own docker client as root. Raises `TestbedError` with `check`."""
        return self.exec(["docker", *argv], check=check)

    def snapshot(self, folders: Sequence[str] = FOLDERS, ignore: Sequence[str] = ()) -> Snapshot:
        """What is on the server now; `ignore` has patterns of file paths (fnmatch)."""
        return read_snapshot(self.exec(["server-facts", *folders]), ignore)

    # How it is made

    def _make_keys(self) -> None:
        given = state_folder("servers", self.name, "given")
        for path, comment in (
            (self._folder / "id_ed25519", f"client of {self.name}"),
            (given / "ssh_host_ed25519_key", self.name),
        ):
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path])
        shutil.copy(self._folder / "id_ed25519.pub", given / "authorized_keys")

    def _run_on_free_ports(self, tries: int = 5) -> None:
        """Start the container. A free port may be taken by someone else before the engine has it: then try others."""
        docker("volume", "create", *label_args(), self.container)
        store: list[str] = ["-v", f"{self.container}:/var/lib/docker"]
        if self.disk:
            store = ["--mount", f"type=tmpfs,destination=/var/lib/docker,tmpfs-size={self.disk}"]
        arguments = [*store, "-v", f"{self._folder / 'given'}:/testbed:ro"]
        for attempt in range(1, tries + 1):
            self.published = {port: free_port() for port in self.published}
            ports = [word for port, here in self.published.items() for word in ("-p", f"127.0.0.1:{here}:{port}")]
            started = self.run_container(
                bases.SERVERS[self.suite].tag, *arguments, *ports, environment={"STORE": self.store}
            )
            if started.returncode == 0:
                return
            docker("rm", "-fv", self.container, check=False)
            port_taken = any(
                words in started.stderr for words in ("port is already allocated", "address already in use")
            )
            if attempt == tries or not port_taken:
                raise TestbedError(f"server {self.name} did not start: {started.stderr.strip()}")

    def _write_ssh_files(self) -> None:
        key = (self._folder / "given" / "ssh_host_ed25519_key.pub").read_text()
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port(22)} {key}")
        lines = [
            f"Host {self.name} {self.name}-*",
            "HostName 127.0.0.1",
            f"Port {self.port(22)}",
            f'IdentityFile "{self._folder / "id_ed25519"}"',
            "IdentitiesOnly yes",
            "IdentityAgent none",
            f'UserKnownHostsFile "{self.known_hosts}"',
            "GlobalKnownHostsFile /dev/null",
            "StrictHostKeyChecking yes",
            "UpdateHostKeys no",
            f"Host {self.name}",
            f"User {self.login}",
        ]
        for login in LOGINS:
            lines += [f"Host {self.name}-{login}", f"User {login}"]
        self.ssh_config.write_text("\n".join(lines) + "\n")
        wrapper = state_folder("servers", self.name, "bin") / "ssh"
        wrapper.write_text(
            f'#!/bin/sh\nexec {shutil.which("ssh", path=HOST_ENV.get("PATH"))} -F "{self.ssh_config}" "$@"\n'
        )
        wrapper.chmod(0o755)
        options = {
            "store": self.store,
            "login": self.login,
            "suite": self.suite,
            "disk": self.disk,
            "published": self.published,
        }
        (self._folder / "server.json").write_text(json.dumps(options))

    def _wait(self) -> None:
        """Until SSH and the engine answer."""
        wait_until(
            lambda: self.ssh("true", login="root", check=False).returncode == 0,
            f"SSH of {self.name}",
            SSH_SECONDS,
            self._evidence,
        )
        self.wait_for_engine()

    def _evidence(self) -> str:
        return docker("logs", "--tail", "20", self.container, check=False).stderr
