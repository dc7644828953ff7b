"""Removing what is being removed already: the engine takes its time over many files, and goes on alone."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from allfast.agent.engine import Engine, EngineError
from allfast.engines.removal import Removal
from allfast.engines.server_api import ServerApi
from allfast.images.local_engine import LocalEngine
from allfast.model.server import Container
from testbed import bases
from testbed.common import run, wait_until

MANY_FILES = "for n in range(60_000): open(f'/tmp/{n}', 'w').close()"


class Going:
    """A container with an anonymous volume; from `begin` on the engine removes it, and who asked for that is gone."""

    def __init__(self, api: Engine) -> None:
        self.api = api
        self.name = f"allfast-going-{uuid.uuid4().hex[:8]}"
        argv = [
            "docker",
            "run",
            "--name",
            self.name,
            "--volume",
            "/scratch",
            bases.PYTHON.tag,
            "python",
            "-c",
            MANY_FILES,
        ]
        run(argv)
        inspected = api.get(f"/containers/{self.name}/json")
        self.id: str = inspected["Id"]
        (self.volume,) = [mount["Name"] for mount in inspected["Mounts"]]

    def begin(self) -> None:
        """Have it removed. The engine is not at it for long: all else is made before."""
        asker = subprocess.Popen(["docker", "rm", self.name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: self.state() != "exited", "the removal to begin", 30)
        asker.kill()
        asker.wait()
        assert self.state() == "removing", "or the test proves nothing"

    def state(self) -> str:
        """The container's state; "" when it is gone."""
        with suppress(EngineError):
            return str(self.api.get(f"/containers/{self.id}/json")["State"]["Status"])
        return ""

    def volumes(self) -> set[str]:
        return {one["Name"] for one in self.api.get("/volumes")["Volumes"] or ()}


@pytest.fixture
def going(locals_by_store: Callable[[str], LocalEngine]) -> Iterator[Going]:
    api = Engine(locals_by_store("overlay2").socket())
    one = Going(api)
    yield one
    run(["docker", "rm", "--force", one.name], check=False)  # where it was not begun, or is under way
    wait_until(lambda: not one.state(), "the container to be gone", 60)
    run(["docker", "volume", "rm", "--force", one.volume])
    api.close()


def test_a_volume_is_removed_when_its_container_is_gone(going: Going) -> None:
    going.begin()
    removal(going).volumes([going.volume])
    assert going.volume not in going.volumes()


def test_a_volume_of_a_container_that_stays_is_left_at_once(going: Going) -> None:
    other = run(["docker", "create", "--volume", f"{going.volume}:/scratch", bases.PYTHON.tag]).stdout.strip()
    try:
        going.begin()
        removal(going).volumes([going.volume])
        assert going.state() == "removing", "it was not waited for"
        assert going.volume in going.volumes()
    finally:
        run(["docker", "rm", "--force", other])


def test_a_container_is_gone_when_its_removal_returns(going: Going) -> None:
    going.begin()
    container = Container(going.id, going.name, "web", "sha256:0", "removing", health="", settings="")
    removal(going).containers([container])
    assert not going.state()


def removal(going: Going) -> Removal:
    return Removal(ServerApi(going.api, lambda: None), frozenset)
