"""A server, as the rest of allfast sees it: one connection, what can be asked over it, its lock and what needs that.

    with connect("deploy@host", deployment="chat", app="chat", target="production") as server:
        facts = server.facts()
        with server.lock("deploy 1a2b3c4"):
            ...

All methods raise `RemoteError` when the connection is lost, `LockLostError` when it was lost while the lock was held.
What is told to the server is carried out in its order, and not waited for: the next method that waits for an answer
raises the error of it, having done its own work. The end of the lock does, too, unless the block failed by itself.
"""

from __future__ import annotations

import getpass
import io
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from allfast.errors import AllfastError, LockLostError, RemoteError
from allfast.model.release import DataService, Release, ReleaseState, Run, RunKind
from allfast.model.server import LockHolder
from allfast.model.service import BuildInputs
from allfast.remote import bootstrap
from allfast.remote.channel import Channel
from allfast.remote.codec import to_json
from allfast.remote.layers import LayerRequests
from allfast.remote.looking import Looking
from allfast.remote.proxy import ProxyRequests
from allfast.remote.records import ArrivedImage, Held, RunRecord, StoredRelease
from allfast.remote.transport import Transport, reach

__all__ = ["ArrivedImage", "Held", "RunRecord", "Server", "StoredRelease", "connect"]

#: Seconds of the laptop's silence after which the server takes the lock away.
SILENCE = 30.0


@contextmanager
def connect(
    host: str,
    *,
    deployment: str,
    app: str,
    target: str,
    state_dir: str = "",
    ssh_config: Path | None = None,
    silence: float = SILENCE,
) -> Iterator[Server]:
    """Connect to `host` (as ssh takes it, or `local`) and start the agent there.

    The server is there at once, to be asked later: what asks it first waits until the agent has greeted.
    `state_dir` "" is the default; `ssh_config` is for `ssh -F` (default: $ALLFAST_SSH_CONFIG); `silence` in seconds.
    That one raises `RemoteError` with a next step: unreachable, refused, host key, no Docker, no permission ...
    """
    settings = {"deployment": deployment, "app": app, "target": target, "state_dir": state_dir, "silence": silence}
    transport = reach(host, settings, ssh_config)
    channel = Channel(host, transport.to_agent, transport.from_agent, silence, transport.why, transport.cut)
    try:
        channel.open(bootstrap.package().data)
        server = Server(host, transport, channel)
        try:
            yield server
        finally:
            server.close()
            channel.close()
    finally:
        transport.close()


def _whoami() -> dict[str, str]:
    """This login on this machine (model.release.Who)."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container without a passwd entry
        user = "unknown"
    return {"user": user, "host": socket.gethostname()}


class Server(Looking):
    """One connection to a server, all that is asked, and all that changes. For several threads; made by `connect`."""

    def __init__(self, host: str, transport: Transport, channel: Channel) -> None:
        super().__init__(host, transport, channel)
        self.proxy = ProxyRequests(host, channel, _whoami)
        self.cache = LayerRequests(channel)
        self._run = 0  # the run that steps belong to

    # the lock

    @contextmanager
    def lock(
        self,
        doing: str,
        wait: bool = False,
        waiting: Callable[[LockHolder], None] | None = None,
        settling: Callable[[], None] | None = None,
    ) -> Iterator[Held]:
        """Hold the deployment's lock; makes the state folder and the ledger if need be.

        With `wait`, wait for it, telling `waiting` who holds it. `settling` is told that somebody's run never ended,
        and that what the engine still does of it is waited for. Raises `LockHeldError` naming the holder.
        """

        def note(value: dict[str, Any]) -> None:
            if waiting is not None and "waiting_for" in value:
                waiting(self._read(LockHolder, value["waiting_for"]))
            if settling is not None and "settling" in value:
                settling()

        answer = self._channel.call("lock", {"who": _whoami(), "doing": doing, "wait": wait}, note=note)
        self._channel.locked = True
        try:
            unfinished = answer["unfinished"]
            yield Held(None if unfinished is None else self._read(Run, unfinished))
        finally:
            self._unlock()
        self._channel.settle()

    def _unlock(self) -> None:
        try:
            self._channel.call("unlock", settle=False)
        except RemoteError:
            return  # lost with the connection, and the error of the block itself counts
        self._channel.locked = False

    def check_lock(self) -> None:
        """Raise `LockLostError` if the lock is known to be lost, or the error of something told; asks nobody."""
        self._channel.check()

    # changing: only with the lock

    def new_release_id(self, suffix: str) -> str:
        """`YYYYMMDD-HHMMSS-<suffix>` by the server's clock, never given out before; `suffix` is `<commit7>[-dirty]`."""
        return str(self._channel.call("mint", {"suffix": suffix}))

    def put_release(self, release: Release, compose: str | None = None) -> None:
        """Record a release as prepared, or replace what is recorded of it; `compose` None leaves its Compose file."""
        self._channel.call("put_release", {"release": to_json(release), "compose": compose})

    def set_state(self, release: str, state: ReleaseState) -> None:
        """Set a release's state. The one that was live retires when another goes live."""
        self._channel.call("set_state", {"release": release, "state": state.value})

    def put_inputs(self, inputs: BuildInputs) -> None:
        """Keep what an image was built from. Told: the next call raises the error."""
        self._channel.tell("put_inputs", {"digest": inputs.digest, "data": to_json(inputs)})

    def record_images(self, images: Sequence[ArrivedImage]) -> None:
        """Record images that arrived. Awaited: some of what comes next forgives its own errors, and would this one."""
        self._channel.call("put_images", {"images": [to_json(image) for image in images]})

    def mark_stale(self, engine_ids: Sequence[str]) -> None:
        """Mark images as caught stale: they are never reused."""
        self._channel.call("mark_stale", {"engine_ids": list(engine_ids)})

    def record_data(self, services: Sequence[DataService]) -> None:
        """Record data services as they were applied."""
        self._channel.call("put_data", {"services": [to_json(service) for service in services]})

    def put_files(self, digest: str, tar: Path | bytes) -> str:
        """Send a set of files, a tar whose SHA-256 (hex) is `digest`, unless it is there; its folder on the server."""
        if self._channel.call("have_files", {"digests": [digest]}):
            return f"{self.folder}/files/{digest}"
        size = len(tar) if isinstance(tar, bytes) else tar.stat().st_size
        with io.BytesIO(tar) if isinstance(tar, bytes) else tar.open("rb") as body:
            return str(self._channel.call("put_files", {"digest": digest}, body=body, size=size))

    def ensure_data(self, paths: Sequence[str]) -> list[str]:
        """Make missing data folders (relative paths); all their full paths on the server."""
        return list(self._channel.call("ensure_data", {"paths": list(paths)}))

    def begin_run(self, kind: RunKind, plan: Any, release: str = "") -> int:
        """Record that a run begins (plan: JSON, without secrets); its number."""
        args = {"kind": kind, "who": _whoami(), "release": release, "plan": plan}
        self._run = int(self._channel.call("begin_run", args))
        return self._run

    def resume_run(self, run: int) -> int:
        """Steps from now on belong to a run that was begun by somebody else and never ended; its number."""
        self._run = run
        return run

    def put_services(self, run: int, services: Sequence[tuple[str, str, str]]) -> None:
        """Record the services of a run: name, method and reason of each."""
        values = {"services": [list(row) for row in services]}
        self._channel.call("update_run", {"run": run, "values": values})

    def end_run(
        self,
        run: int,
        outcome: Literal["done", "failed", "interrupted", "undone"],
        message: str = "",
        wire_bytes: int = 0,
    ) -> None:
        """Record how a run ended, and what it sent."""
        values = {"outcome": outcome, "message": message, "wire_bytes": wire_bytes}
        self._channel.call("update_run", {"run": run, "values": values})

    def add_phase(self, run: int, name: str, seconds: float, failed: bool = False) -> None:
        """Record how long a phase took. Told: the next call raises the error.

        Of one that `failed` the answer is awaited: what puts things right then must not meet that error.
        """
        args = {"run": run, "name": name, "seconds": seconds}
        if failed:
            self._channel.call("add_phase", args)
        else:
            self._channel.tell("add_phase", args)

    @contextmanager
    def step(self, name: str, detail: Mapping[str, Any] | None = None) -> Iterator[None]:
        """Journal a change of the run that `begin_run` began, before it is made, and how it ended: `done` or `failed`.

        `detail` is JSON, without secrets. What is not journaled is not made: the error of the journal is raised first.
        That it is `done` is told: the next call raises that error.
        """
        number = self._channel.call("begin_step", {"run": self._run, "step": name, "detail": dict(detail or {})})
        try:
            yield
        except BaseException:
            self._step_failed(number)
            raise
        self._channel.tell("end_step", {"step": number, "outcome": "done"})

    def _step_failed(self, number: int) -> None:
        """Tell the journal. That it cannot be told is no news beside the error of the step, unless the lock is lost."""
        try:
            self._channel.call("end_step", {"step": number, "outcome": "failed"}, settle=False)
        except LockLostError:
            raise
        except AllfastError:
            return

    def remove_release(self, release: str) -> None:
        """Stop and remove the containers and networks of a release's own project; its last log lines are kept."""
        self._channel.call("remove_release", {"release": release})

    def retire_later(self, keep_warm: float) -> None:
        """Leave a process on the server that removes what has been retired for `keep_warm` seconds by then."""
        self._channel.call("retire_later", {"keep_warm": keep_warm})

    def prune(self, keep: Sequence[str], layer_cache: int, *, resumable: bool = False) -> dict[str, list[str]]:
        """Remove releases, file sets and records that neither those releases, the live one nor images at hand need.

        Of the layer cache, what was of use last stays, `layer_cache` bytes of it. Where something is `resumable`, what
        the run that ends with this has used stays besides, for the next attempt; and all, where it has used nothing and
        has asked for no image's layers.
        """
        args = {"keep": list(keep), "layer_cache": layer_cache, "resumable": resumable}
        return dict(self._channel.call("prune", args))
