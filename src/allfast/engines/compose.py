"""One server with Docker Compose: the laptop's Compose CLI against the server's engine, over the forwarded socket."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from urllib.parse import quote

from allfast.agent.asking import timestamp
from allfast.agent.engine import Engine, EngineUnreachable, unframed
from allfast.config.compose_cli import no_docker
from allfast.engines import Ended
from allfast.engines.removal import Removal
from allfast.engines.server_api import ServerApi
from allfast.errors import RolloutError
from allfast.model.server import Container

POLL_SECONDS = 0.3
_PROGRESS = re.compile(r"(Container|Network|Volume|Image) \S+ +\w+")
#: The states of a container that can be stopped.
RUNNING = ("running", "restarting", "paused")


class ComposeEngine:
    """See `engines.ReleaseEngine`.

    Args:
        project: the Compose project's name.
        environment: the whole environment of the Compose CLI (with DOCKER_HOST, without the user's variables).
        api: the server's Engine API.
        survey: asks the agent for the deployment's containers.
        check: raises the connection's own error where that is why the engine does not answer.
        data: asks for the names of the services whose anonymous volumes stay, whatever becomes of their containers.
    """

    def __init__(
        self,
        project: str,
        environment: Mapping[str, str],
        api: Engine,
        survey: Callable[[], tuple[Container, ...]],
        check: Callable[[], object],
        data: Callable[[], Collection[str]] = frozenset,
    ) -> None:
        self._project = project
        self._environment = dict(environment)
        self._api = ServerApi(api, check)
        self._survey = survey
        self._removal = Removal(self._api, data)

    def up(
        self, document: str, services: Sequence[str], *, fresh_volumes: bool, meanwhile: Callable[[], object]
    ) -> None:
        """Replace the services' containers (see the protocol)."""
        self._remove_halves()
        words = ["up", "--detach", "--no-deps", "--no-build", "--pull", "never", "--force-recreate"]
        words += ["--renew-anon-volumes"] if fresh_volumes else []
        self._compose([*words, "--", *services], document, meanwhile)

    def resume(self, services: Sequence[str]) -> None:
        """Start stopped and paused containers as they are (see the protocol)."""
        self._remove_halves()  # or there would be two on the same data
        for container in self.containers():
            if container.service in services and not container.one_off:
                action = "unpause" if container.state == "paused" else "start"
                self._api.quietly("POST", f"/containers/{container.id}/{action}")

    def _remove_halves(self) -> None:
        """Remove what Compose leaves when it is ended while it replaces a container: it would fail over the name.

        The successor is made under the name `<id of the old one>_<name>` before the old one goes. Where the old one has
        gone already the successor stays: it alone has the anonymous volumes.
        """
        there = self.containers()
        prefixes = tuple(f"{container.id[:12]}_" for container in there)
        self._removal.containers([container for container in there if container.name.startswith(prefixes)])

    def run_once(self, document: str, service: str) -> Ended:
        """Run a one-shot to its end (see the protocol)."""
        self.remove([service])  # what a dead run has left of it
        try:
            self.up(document, [service], fresh_volumes=True, meanwhile=lambda: None)
            container = next((c for c in self.containers() if c.service == service), None)
            if container is None:
                what = f"the container of {service} was removed by somebody else while it ran"
                raise RolloutError(
                    what, hint="see who removes containers on the server, then run the same command again"
                )
            return Ended(self._exit_code(container.id), self.last_lines(container.id))
        finally:
            self.remove([service])

    def _exit_code(self, container: str) -> int:
        """Wait for a container's end."""
        with self._api.asking(), self._api.engine.stream("POST", f"/containers/{container}/wait") as answer:
            for value in answer.values():
                return int(value["StatusCode"])
            raise EngineUnreachable("the connection ended before the container did")

    def remove(self, services: Sequence[str]) -> None:
        """Stop and remove the services' containers (see the protocol)."""
        gone = [c for c in self.containers() if c.service in services]
        self.stop(gone)
        self._removal.containers(gone)

    def anonymous_volumes(self, services: Sequence[str]) -> tuple[str, ...]:
        """The names of the volumes that the services' containers have and nobody named; none of data services."""
        return self._removal.anonymous_volumes([c for c in self.containers() if c.service in services])

    def remove_volumes(self, names: Iterable[str]) -> None:
        """Remove those of these volumes that no container has any more."""
        self._removal.volumes(names)

    def stop(self, containers: Sequence[Container]) -> None:
        """Stop containers gracefully, all at once; they stay."""
        running = [c for c in containers if c.state in RUNNING]
        if running:
            with ThreadPoolExecutor(len(running)) as pool:  # each may take its whole grace period
                list(pool.map(lambda c: self._api.stop(c.id), running))

    def set_restart(self, container: Container, policy: str) -> None:
        """Give a container another restart policy (as Compose writes it)."""
        name, _, tries = policy.partition(":")
        with self._api.asking():
            body = {"RestartPolicy": {"Name": name, "MaximumRetryCount": int(tries or 0)}}
            self._api.engine.post(f"/containers/{container.id}/update", body)

    def rename(self, container: Container, name: str) -> None:
        """Give a container another name."""
        self._api.quietly("POST", f"/containers/{container.id}/rename?name={quote(name)}")

    def containers(self) -> tuple[Container, ...]:
        """The project's containers now."""
        return self._survey()

    def last_exit(self, container: str) -> int | None:
        """The last exit code (see the protocol)."""
        # The engine's own state says 0 as soon as a container runs again; its events remember. They are asked for up to
        # now by the engine's own clock: by ours, estimated over a slow line, the last one may lie ahead.
        with self._api.asking():
            until = f"{timestamp(self._api.engine.get('/info')['SystemTime']):.6f}"
            asked = {"container": [container], "event": ["die"]}
            with self._api.engine.stream("GET", "/events", timeout=10, filters=asked, since="0", until=until) as answer:
                codes = [event["Actor"]["Attributes"].get("exitCode", "") for event in answer.values()]
        return int(codes[-1]) if codes and codes[-1].isdigit() else None

    def last_lines(self, container: str, count: int = 20) -> tuple[str, ...]:
        """The last lines that a container logged."""
        path = f"/containers/{container}"
        with self._api.asking():
            inspected = self._api.engine.get(f"{path}/json")
            with self._api.engine.stream("GET", f"{path}/logs", timeout=10, stdout=1, stderr=1, tail=count) as answer:
                raw = answer.read()
        body = raw if inspected["Config"]["Tty"] else unframed(raw)
        return tuple(body.decode(errors="replace").splitlines()[-count:])

    def _compose(self, words: Sequence[str], document: str, meanwhile: Callable[[], object]) -> None:
        # the file goes in by standard input: its secrets touch neither the laptop's disk nor a process list
        argv = [
            "docker",
            "compose",
            "--ansi",
            "never",
            "--progress",
            "plain",
            "--env-file",
            os.devnull,
            "-p",
            self._project,
            "-f",
            "-",
            *words,
        ]
        try:
            process = subprocess.Popen(
                argv,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,  # Ctrl-C is for allfast, which then ends this child in good order
            )
        except FileNotFoundError as error:
            raise no_docker() from error
        lines: list[str] = []
        reader = threading.Thread(target=lambda: lines.extend(process.stderr or ()), daemon=True)
        reader.start()
        try:
            assert process.stdin is not None
            with suppress(BrokenPipeError):  # it ended at once: what it said is read below
                process.stdin.write(document)
                process.stdin.close()
            _attend(process, meanwhile)
        finally:
            _end(process)
            reader.join(timeout=5)
            if process.stderr is not None and not reader.is_alive():
                process.stderr.close()
        if process.returncode != 0:
            hint = "the lines above are the engine's: correct their cause, on the server or in the Compose file"
            raise RolloutError("docker compose could not start the containers", hint=hint, evidence=complaint(lines))


def complaint(lines: Iterable[str]) -> tuple[str, ...]:
    """What Compose complains of, without its progress; all that it said last where there is nothing else."""
    told = [line.rstrip() for line in lines if line.strip()]
    return tuple([line for line in told if not _PROGRESS.fullmatch(line.strip())] or told)[-10:]


def _attend(process: subprocess.Popen[str], meanwhile: Callable[[], object]) -> None:
    while True:
        try:
            process.wait(POLL_SECONDS)
            return
        except subprocess.TimeoutExpired:
            meanwhile()


def _end(process: subprocess.Popen[str]) -> None:
    """Make sure that the child is gone, also when the caller was interrupted."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
