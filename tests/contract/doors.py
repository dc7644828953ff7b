"""A bare door to a test server: its engine's socket, forwarded over real SSH without allfast's connection and agent."""

import base64
import dataclasses
import io
import itertools
import json
import subprocess
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from allfast.agent.engine import Engine
from allfast.agent.labels import DEPLOYMENT
from allfast.agent.layers import Layers
from allfast.agent.protocol import AgentError
from allfast.agent.receive import WINDOW, Receiver, text
from allfast.remote.failures import from_agent
from allfast.remote.hearing import Works
from allfast.remote.layers import Arrival, Found, GoOn, Loaded, Stock
from testbed.common import HOST_ENV, wait_until
from testbed.server import Server
from tests.unit.images.harbour import as_note

#: The deployment that the images of all yards belong to, and the labels by which they do.
DEPLOYMENT_NAME = "contract"
LABELS = {DEPLOYMENT: DEPLOYMENT_NAME}


class NearCache:
    """The agent's receiver, in this process (`allfast.images.sending.Cache`)."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self.shipped: set[str] = set()  # ids of the images that were loaded, as a ledger knows them
        self._streams = itertools.count(1)

    def expect(self, diff_ids: Sequence[str], chain: str) -> None:
        """Have layers stay for an image."""
        self.receiver.expect(list(diff_ids), chain)

    def stock(self, diff_ids: Sequence[str], chain: str = "") -> Stock:
        """What the cache has."""
        answer = self.receiver.stock(list(diff_ids), chain)
        return Stock(
            frozenset(answer["whole"]),
            answer["begun"],
            tuple(map(tuple, answer["cached"])),
            tuple(map(tuple, answer["cold"])),
            tuple(answer["codecs"]),
            answer["free"],
        )

    def files(self) -> set[str]:
        """The names of all files that lie in it but the indexes, which are made when there is time for them.

        One that is being written is hidden.
        """
        folder = self.receiver.cache.whole("sha256:" + "0" * 64).parent
        return {path.name for path in folder.glob("[!.]*") if path.suffix != ".index"}

    def clear(self) -> None:
        """Forget all layers."""
        for layer, _ in self.receiver.cache.layers():
            self.receiver.cache.drop(layer)

    def index(self, name: str, go_on: GoOn) -> bytes:
        """The index of a cached layer."""
        return base64.b64decode(self.receiver.index(name))

    def warm(self, layer: str, go_on: GoOn, works: Works) -> None:
        """Have a layer in the cache that the engine has."""
        with _refusals():
            self.receiver.warm(layer, as_note(works))

    def receive(
        self, arrival: Arrival, batches: Iterable[bytes], made: Callable[[int], None], go_on: GoOn, works: Works
    ) -> tuple[str, ...]:
        """Take a layer: every batch is sent before it is carried out, as over a line that is faster than a disk."""
        stream = next(self._streams)
        words = dataclasses.asdict(arrival)
        with ThreadPoolExecutor(1) as pool:
            room = threading.Semaphore(WINDOW)

            def note(value: Any) -> None:
                if "at" not in value:
                    as_note(works)(value)
                    return
                room.release()
                made(value["at"])

            work = pool.submit(self.receiver.receive, stream, **words, note=note)
            work.add_done_callback(lambda _: room.release(WINDOW))
            try:
                for batch in batches:
                    room.acquire()
                    self.receiver.batch(stream, io.BytesIO(batch))
            except BaseException:
                self.receiver.batch(stream, io.BytesIO())
                raise
            with _refusals():
                return tuple(work.result()["damaged"])

    def load(self, config: bytes, sizes: Sequence[int], layers: Sequence[int], limit: int, works: Works) -> Loaded:
        """Load an image."""
        with _refusals():
            answer = self.receiver.load(text(config), list(sizes), list(layers), limit, as_note(works))
        image = _found(answer["image"])
        self.shipped |= {image.engine_id} if image else set()
        return Loaded(answer["refused"], image)

    def find(self, ids: Sequence[str], diff_ids: Sequence[str]) -> Found | None:
        """The image that the engine has."""
        return _found(self.receiver.find(list(ids), list(diff_ids)))

    def name(self, names: Mapping[str, str]) -> None:
        """Name images."""
        with _refusals():
            self.receiver.name(dict(names))


@contextmanager
def _refusals() -> Iterator[None]:
    """The agent's errors as they come over a connection."""
    try:
        yield
    except AgentError as error:
        raise from_agent("here", error.to_json()) from error


def _found(value: Any) -> Found | None:
    return value and Found(value["id"], "/".join(value["platform"]).rstrip("/"))


class Door:
    """What shipping needs of a server (`allfast.images.cargo.Destination`), as a deployment's agent gives it."""

    def __init__(self, engine: Engine, process: subprocess.Popen[bytes], folder: Path) -> None:
        self._engine = engine
        self.process = process  # the ssh client
        self._layers = Layers()
        self.cache = NearCache(Receiver(engine, folder, lambda: self._layers.of_deployment(engine, DEPLOYMENT_NAME)))
        self.claims: int | None = None  # what `layers` says, where a test wants it to be wrong

    @property
    def engine(self) -> Engine:
        """The server's engine."""
        return self._engine

    def layers(self, diff_ids: Sequence[str]) -> int:
        """As the agent tells it, unless a test makes a claim."""
        if self.claims is not None:
            return self.claims
        return self._layers.leading(self._engine, list(diff_ids), self.cache.shipped)


@contextmanager
def door(server: Server) -> Iterator[Door]:
    """Open one; closed with the SSH process that was started for it."""
    with tempfile.TemporaryDirectory(prefix="allfast-door-") as folder:
        socket = Path(folder) / "docker.sock"
        options = ["-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes"]
        forward = f"{socket}:/var/run/docker.sock"
        process = subprocess.Popen(["ssh", "-F", server.ssh_config, *options, "-N", "-L", forward, server.name])
        try:
            wait_until(socket.exists, "the forwarded socket", 60)
            engine = Engine(str(socket))
            one = Door(engine, process, Path(folder))
            try:
                yield one
            finally:
                one.cache.receiver.trim(0)  # no index is being written any more when the folder is removed
            engine.close()
        finally:
            process.terminate()
            process.wait()


def empty(server: Server) -> None:
    """Remove all images of the server; `reset` would end the SSH sessions, too."""
    server.exec(["sh", "-c", "docker image ls --all --quiet | xargs -r docker image rm --force"])
    assert server.docker("image", "ls", "--all", "--quiet").stdout == ""


def compose_output(door: Door, image: str, *command: str) -> str:
    """What a Compose service with that pinned image prints on the server, with nothing pulled or built."""
    service = {"image": image, "command": list(command), "network_mode": "none"}
    document = json.dumps({"services": {"app": service}})
    environment = {**HOST_ENV, "DOCKER_HOST": f"unix://{door.engine.path}"}
    project = f"ship-{uuid.uuid4().hex[:8]}"
    words = ["docker", "compose", "-p", project, "-f", "-"]
    try:
        up = [*words, "up", "--no-build", "--pull", "never", "--no-log-prefix", "--abort-on-container-exit"]
        done = subprocess.run(up, input=document, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout
    finally:
        subprocess.run([*words, "down"], input=document, env=environment, capture_output=True, text=True, timeout=60)
