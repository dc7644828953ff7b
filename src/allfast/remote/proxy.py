"""A server's proxy as the agent there sees it, and the requests that change its configuration (agent/proxy.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from allfast.errors import AttentionError, RemoteError
from allfast.model.routing import Fragment
from allfast.model.server import LockHolder
from allfast.remote.channel import Channel
from allfast.remote.codec import CodecError, from_json, to_json
from allfast.remote.failures import AgentRefusal


@dataclass(frozen=True, slots=True)
class ProxyContainer:
    """A container of the proxy; `ports` are the published ones (host address, port), `image` is as it was named."""

    id: str
    name: str
    running: bool
    exit_code: int
    image: str
    ports: tuple[tuple[str, int], ...]
    state: str  # the folder on the server that it mounts as its state


@dataclass(frozen=True, slots=True)
class ProxyState:
    """All there is of a server's proxy. `running` is the configuration in use, None where no proxy answers.

    `folder` is its state folder on the server (which may not exist yet), `group` the number of the group that the
    folder belongs to, None where Docker is rootless; `ipv6` tells whether a network may have IPv6 without changing
    the server, `migrates` whether its kernel can hand a closed listener's connections to another one; `live` has the
    content of each deployment's switch file, `canaries` the line of the file beside it, where there is one. `key` opens
    the deployment's own application while it is closed.
    """

    folder: str
    group: int | None
    ipv6: bool
    migrates: bool
    containers: tuple[ProxyContainer, ...]  # the running one first
    parts: tuple[Fragment, ...]
    live: dict[str, str] = field(hash=False)
    canaries: dict[str, str] = field(hash=False)
    closed: tuple[str, ...]  # deployments that are closed for maintenance
    key: str = field(repr=False)  # "" where it is not closed
    running: dict[str, Any] | None = field(default=None, hash=False)

    @property
    def container(self) -> ProxyContainer | None:
        """The container that serves, or served last."""
        return self.containers[0] if self.containers else None

    def part(self, deployment: str) -> Fragment | None:
        """A deployment's part."""
        return next((part for part in self.parts if part.deployment == deployment), None)


@dataclass(frozen=True, slots=True)
class Applied:
    """What came of a new configuration; `running` as in `ProxyState`."""

    reloaded: bool
    running: dict[str, Any] | None = field(hash=False)


class ProxyRequests:
    """The requests about the proxy over one connection. Those that change something need the deployment's lock."""

    def __init__(self, host: str, channel: Channel, who: Callable[[], dict[str, str]]) -> None:
        self._host = host
        self._channel = channel
        self._who = who

    def look(self) -> ProxyState:
        """What there is now."""
        answer = self._channel.call("proxy")
        try:
            return from_json(ProxyState, {**answer, "parts": list(answer["parts"].values())})
        except CodecError as error:
            raise AttentionError(
                f"{self._host}: the proxy's state has something that this allfast does not understand: {error}",
                hint="was it written by a newer allfast? Update this one",
            ) from error

    @contextmanager
    def lock(self, doing: str, waiting: Callable[[LockHolder], None] | None = None) -> Iterator[None]:
        """Hold the lock of the whole server's proxy, waiting for it and telling `waiting` who holds it.

        Makes the proxy's state folder if need be.
        """

        def note(value: dict[str, Any]) -> None:
            if waiting is not None and "waiting_for" in value:
                waiting(from_json(LockHolder, value["waiting_for"]))

        self._channel.call("proxy_lock", {"who": self._who(), "doing": doing, "wait": True}, note=note)
        try:
            yield
        finally:
            self._unlock()

    def _unlock(self) -> None:
        try:
            self._channel.call("proxy_unlock", settle=False)
        except RemoteError:
            return  # lost with the connection, and the error of the block itself counts

    def apply(self, part: Fragment, config: Mapping[str, Any], files: Mapping[str, str]) -> Applied:
        """Put this deployment's part and the whole configuration; needs the proxy's lock too.

        `files` (name -> text) are what the part names in the app's own folder. Raises `AgentRefusal` (kind proxy) with
        Caddy's words where it refuses the configuration: the one in use stays.
        """
        args = {"part": to_json(part), "config": dict(config), "files": dict(files)}
        return from_json(Applied, self._channel.call("proxy_apply", args))

    def remove(self, config: Mapping[str, Any]) -> Applied:
        """Take this deployment's part and switch away; `config` is the whole without it. Needs the proxy's lock too."""
        return from_json(Applied, self._channel.call("proxy_remove", {"config": dict(config)}))

    def keep_assets(self, release: str, container: str, path: str, url: str) -> int:
        """Keep what a container has below `path`, for requests below `url`, beyond its release; how many files.

        Raises `AgentRefusal` (kind not-found) where the container has no such path.
        """
        args = {"release": release, "container": container, "path": path, "url": url}
        return int(self._channel.call("keep_assets", args))

    def prune_assets(self, keep: Sequence[str]) -> None:
        """Forget the assets of all releases but these (the newest last)."""
        self._channel.call("prune_assets", {"keep": list(keep)})

    def close(self, page: str, token: str) -> None:
        """Give all visitors of the deployment this page (HTML), but those who bear the key `token`."""
        self._channel.call("proxy_close", {"page": page, "token": token})

    def open(self) -> None:
        """End what `close` began."""
        self._channel.call("proxy_open")

    def serve(self, container: str, name: str) -> None:
        """Start this container of the proxy in place of the one that serves, and call it `name`.

        The server does it to its end, also without this process. Raises `RemoteError` with the container's last lines
        where it does not come up: the former one serves again.
        """
        try:
            self._channel.call("proxy_serve", {"container": container, "name": name})
        except AgentRefusal as refusal:
            raise RemoteError(refusal.message, hint=refusal.hint, evidence=tuple(refusal.details or ())) from refusal

    def switch(self, content: str | None) -> str | None:
        """Set what this deployment's switch file holds, None to remove it; what it held before, None without one."""
        former: str | None = self._channel.call("proxy_switch", {"content": content})
        return former

    def canary(self, line: str | None) -> str | None:
        """Set what this deployment's canary file holds, None to remove it; what it held before, None without one."""
        former: str | None = self._channel.call("proxy_canary", {"line": line})
        return former
