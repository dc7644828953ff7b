"""Containers and anonymous volumes that go.

The engine goes on with a removal whose asker is dead (a Compose that was ended, say): it refuses to begin it once more,
and the container's volumes are in use until it is done. So whoever removes waits for what is under way.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import quote

from allfast.engines.server_api import ServerApi
from allfast.errors import RolloutError
from allfast.model.server import Container

#: How long the engine may take to remove a container, in seconds: the files of a large one are many.
REMOVAL_SECONDS = 60
_POLL_SECONDS = 0.1


class Removal:
    """See the module.

    Args:
        api: the server's engine.
        data: asks for the names of the services whose anonymous volumes stay, whatever becomes of their containers.
    """

    def __init__(self, api: ServerApi, data: Callable[[], Collection[str]]) -> None:
        self._api = api
        self._data = data

    def containers(self, containers: Sequence[Container]) -> None:
        """Remove containers, and with them the volumes that are theirs alone and that nobody named.

        Raises:
            RolloutError: the engine does not get done with one.
        """
        kept = self._data() if containers else ()
        for container in containers:
            known = self._api.container(container.id)
            own = container.service not in kept and not volumes_of_another(known)
            path = f"/containers/{container.id}"
            if self._api.quietly("DELETE", path, (404, 409), force=1, v=int(own)) == 409:
                self._await_end(container)

    def _await_end(self, container: Container) -> None:
        """Of a removal that somebody else began."""
        if not _comes_true(lambda: not self._api.container(container.id)):
            what = f"the server's engine has been removing the container {container.name} for {REMOVAL_SECONDS} s"
            raise RolloutError(what, hint="look at the server: docker ps --all; journalctl -u docker")

    def anonymous_volumes(self, containers: Iterable[Container]) -> tuple[str, ...]:
        """The names of the volumes that containers have and nobody named; none of data services."""
        kept = self._data()
        mine = [container for container in containers if container.service not in kept]
        return tuple(sorted({name for container in mine for name in unnamed(self._api.container(container.id))}))

    def volumes(self, names: Iterable[str]) -> None:
        """Remove those of these volumes that no container has any more."""
        for name in names:
            _comes_true(partial(self._volume_settled, name))

    def _volume_settled(self, name: str) -> bool:
        """Whether a volume is gone, which is tried, or is a container's that stays."""
        if self._api.quietly("DELETE", f"/volumes/{quote(name)}", (404, 409)) != 409:
            return True
        holders = self._api.get("/containers/json", all=1, filters={"volume": [name]})
        # one that is being removed is not listed any more at the very end, while its volumes are still in use
        return any(holder["State"] != "removing" for holder in holders)


def _comes_true(condition: Callable[[], bool]) -> bool:
    """Whether a condition holds before the engine has had time enough for a removal."""
    deadline = time.monotonic() + REMOVAL_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def unnamed(container: Mapping[str, Any]) -> set[str]:
    """The anonymous volumes of an inspected container: those that were made with it, for their names stand nowhere.

    A volume that Compose hands on to a successor, or that is another container's, is none of them.
    """
    settings = container.get("HostConfig") or {}
    if volumes_of_another(container):
        return set()
    named = {bind.partition(":")[0] for bind in settings.get("Binds") or ()}
    named |= {mount.get("Source", "") for mount in settings.get("Mounts") or ()}
    there = [mount for mount in container.get("Mounts") or () if mount["Type"] == "volume"]
    return {mount["Name"] for mount in there} - named


def volumes_of_another(container: Mapping[str, Any]) -> bool:
    """Whether an inspected container has all volumes of another one, too (`volumes_from`)."""
    return bool((container.get("HostConfig") or {}).get("VolumesFrom"))
