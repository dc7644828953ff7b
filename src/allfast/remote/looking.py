"""What a server is asked without its lock: the engine, the containers, the ledger; nothing changes."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

from allfast.model.release import Release, ReleaseState, Run
from allfast.model.server import Container, ServerFacts
from allfast.model.service import BuildInputs
from allfast.remote.connection import Connection
from allfast.remote.http import CouldNotAsk
from allfast.remote.records import RunRecord, StoredRelease


class Looking(Connection):
    """The questions."""

    def facts(self) -> ServerFacts:
        """All that a plan needs to know."""
        return self._read(ServerFacts, self._channel.call("facts"))

    def containers(self) -> tuple[Container, ...]:
        """The deployment's containers now."""
        return tuple(self._read(Container, one) for one in self._channel.call("containers"))

    def layers(self, diff_ids: Sequence[str]) -> int:
        """How many leading layers of this chain a partial archive may leave out."""
        return int(self._channel.call("layers", {"diff_ids": list(diff_ids)}))

    def http(
        self, url: str, headers: Mapping[str, str] | None = None, timeout: float = 10.0
    ) -> tuple[int, dict[str, str], bytes]:
        """A GET made on the server: status, headers (names in lower case), first MiB of the body; follows no redirect.

        Raises `http.CouldNotAsk` when no reply came.
        """
        answer = self._channel.call("http", {"url": url, "headers": dict(headers or {}), "timeout": timeout})
        if answer["error"]:
            raise CouldNotAsk(f"{url} on {self.host}: {answer['error']}")
        return (
            answer["status"],
            {name.lower(): value for name, value in answer["headers"]},
            base64.b64decode(answer["body"]),
        )

    def accepting(self, host: str, ports: Sequence[int], timeout: float) -> bool:
        """Whether one of a host's TCP ports accepts a connection from the server; `timeout` in seconds for each."""
        return bool(self._channel.call("accepting", {"host": host, "ports": list(ports), "timeout": timeout}))

    def releases(self) -> tuple[tuple[Release, ReleaseState], ...]:
        """All releases of the ledger, the newest first."""
        rows = self._channel.call("releases")
        return tuple((self._read(Release, release), ReleaseState(state)) for release, state in rows)

    def get_release(self, release: str) -> StoredRelease:
        """A release with its Compose file. Raises `AgentRefusal` (kind not-found)."""
        return self._read(StoredRelease, self._channel.call("get_release", {"id": release}))

    def inputs(self, digest: str) -> BuildInputs | None:
        """What an image was built from, None where that is not known."""
        found = self._channel.call("inputs", {"digest": digest})
        return None if found is None else self._read(BuildInputs, found)

    def history(self, limit: int = 20) -> tuple[Run, ...]:
        """The newest runs, the newest first."""
        return tuple(self._read(Run, run) for run in self._channel.call("history", {"limit": limit}))

    def run(self, run: int) -> RunRecord:
        """One run with its plan and its journal."""
        return self._read(RunRecord, self._channel.call("run", {"run": run}))
