"""The containers of one release that is a Compose project of its own, beside others (strategy "side-by-side")."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from allfast.agent.engine import Engine
from allfast.agent.labels import PROJECT
from allfast.config.project import Join, ReleaseProject, Volume
from allfast.engines.compose import ComposeEngine
from allfast.model.server import Container


class ProjectEngine(ComposeEngine):
    """As `ComposeEngine`, whose arguments these are, for a release's own project; and what only such a one needs."""

    def __init__(
        self,
        project: ReleaseProject,
        environment: Mapping[str, str],
        api: Engine,
        survey: Callable[[], tuple[Container, ...]],
        check: Callable[[], object],
    ) -> None:
        super().__init__(project.name, environment, api, survey, check)
        self._release = project

    def prepare(self, aliases: Mapping[str, tuple[str, str]]) -> None:
        """Make the release's networks and containers, and join them to the networks around; start nothing.

        What is there already stays as it is.

        Args:
            aliases: service -> network and the name by which the proxy finds the service there.

        Raises:
            RolloutError: the engine could not make something; the message is the engine's.
        """
        for volume in self._release.volumes:
            self._make_volume(volume)
        self._unpause()
        words = ["create", "--no-build", "--pull", "never", "--no-recreate"]
        self._compose([*words, "--", *self._release.services], self._release.document, lambda: None)
        joins = dict(self._release.joins)
        there = {network["Name"] for network in self._api.get("/networks")}
        for container in self.containers():
            for join in joins[container.service]:
                # a network that only release services use is not needed: they find each other on their own
                if join.network in there:
                    self._join(container, join, ())
            if container.service in aliases:
                network, alias = aliases[container.service]
                self._join(container, Join(network), (alias,))

    def start(self, services: Sequence[str], meanwhile: Callable[[], object]) -> None:
        """Start containers that `prepare` made, each after those it depends on; running ones stay.

        `meanwhile` is called several times a second; what it raises ends the call. Raises RolloutError.
        """
        if services:
            words = ["up", "--detach", "--no-build", "--pull", "never", "--no-recreate", "--", *services]
            self._compose(words, self._release.document, meanwhile)

    def _unpause(self) -> None:
        """Stop what is paused: Compose would start it as it is, which the engine refuses; and its health is old."""
        for container in self.containers():
            if container.state == "paused":
                self._api.quietly("POST", f"/containers/{container.id}/unpause")
                self._api.stop(container.id)

    def _make_volume(self, volume: Volume) -> None:
        """Make a named volume of the base project as Compose would, unless it is there."""
        if not self._api.find(f"/volumes/{quote(volume.name)}"):
            with self._api.asking():
                self._api.engine.post("/volumes/create", _volume(volume, self._release.deployment))

    def _join(self, container: Container, join: Join, aliases: Sequence[str]) -> None:
        if join.network in container.networks:
            return
        settings: dict[str, Any] = {"Aliases": list(aliases)}
        if join.ipv4 or join.ipv6:
            settings["IPAMConfig"] = {"IPv4Address": join.ipv4, "IPv6Address": join.ipv6}
        body = {"Container": container.id, "EndpointConfig": settings}
        with self._api.asking():
            self._api.engine.post(f"/networks/{quote(join.network)}/connect", body)


def _volume(volume: Volume, deployment: str) -> dict[str, Any]:
    """The engine's request for a volume, with the labels by which Compose knows its own."""
    made = volume.definition
    labels = {PROJECT: deployment, "com.docker.compose.volume": volume.key}
    options = {key: str(value) for key, value in (made.get("driver_opts") or {}).items()}
    return {
        "Name": volume.name,
        "Driver": made.get("driver") or "local",
        "DriverOpts": options,
        "Labels": {**{k: str(v) for k, v in (made.get("labels") or {}).items()}, **labels},
    }
