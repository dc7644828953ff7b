"""Real engines for contract tests: the machine's own (overlay2), one with the containerd store, test servers."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from allfast.images.local_engine import LocalEngine
from testbed import bases
from testbed.common import HOST_ENV
from testbed.engine import Engine
from testbed.server import Server
from tests.contract.doors import Door, door
from tests.contract.yard import Yard

LOCAL_STORES = ("overlay2", "containerd")


@pytest.fixture(scope="session")
def locals_by_store() -> Callable[[str], LocalEngine]:
    """Local engines, by image store; started when first asked for, and left running for the next test run."""
    engines: dict[str, LocalEngine] = {}

    def get(store: str) -> LocalEngine:
        if store not in engines:
            bases.ensure([bases.PYTHON])
            host = {} if store == "overlay2" else {"DOCKER_HOST": Engine(store).start((bases.PYTHON,)).host}
            engines[store] = LocalEngine.of_shell({**HOST_ENV, **host})
        return engines[store]

    return get


@pytest.fixture(params=LOCAL_STORES)
def local(request: pytest.FixtureRequest, locals_by_store: Callable[[str], LocalEngine]) -> LocalEngine:
    """A local engine with each image store."""
    return locals_by_store(request.param)


@pytest.fixture(scope="module")
def doors() -> Iterator[Callable[[str], tuple[Server, Door]]]:
    """Test servers with a door to each, by `store` or `suite`; started when first asked for, stopped after the file."""
    with ExitStack() as stack:
        opened: dict[str, tuple[Server, Door]] = {}

        def get(kind: str) -> tuple[Server, Door]:
            if kind not in opened:
                choice = {"suite": kind} if kind == "bullseye" else {"store": kind}
                server = Server(f"contract-{kind}-{os.getpid()}", **choice).start()  # type: ignore[arg-type]
                stack.callback(server.stop)
                opened[kind] = (server, stack.enter_context(door(server)))
            return opened[kind]

        yield get


@pytest.fixture
def yards(locals_by_store: Callable[[str], LocalEngine], tmp_path: Path) -> Iterator[Callable[[str], Yard]]:
    """Yards, by the image store of their engine; what they built is removed."""
    made: list[Yard] = []

    def get(store: str) -> Yard:
        made.append(Yard(locals_by_store(store), tmp_path))
        return made[-1]

    yield get
    for yard in made:
        names = yard.local.run("image", "ls", "--quiet", yard.name).split()
        if names:
            yard.local.run("image", "rm", "--force", *names)
