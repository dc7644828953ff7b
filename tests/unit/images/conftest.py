"""A laptop, and a server whose engine has layers that its cache has lost."""

from pathlib import Path

import pytest

from tests.unit.images.engines import OLD, SMALL, Engines
from tests.unit.images.harbour import Harbour, Laptop


@pytest.fixture
def engine() -> Engines:
    return Engines()


@pytest.fixture
def laptop(engine: Engines, tmp_path: Path) -> Laptop:
    """A laptop that has sent two layers, which the server's engine has loaded, and which its cache has lost then."""
    harbour = Harbour(tmp_path / "server", engine.images, engine.fetch)
    laptop = Laptop(harbour, tmp_path / "laptop")
    for layer in (OLD, SMALL):
        laptop.send(layer)
    harbour.receiver._indexing.finish()
    engine.loaded(OLD, SMALL)
    harbour.cache.trim(0)
    laptop.next_shipment()
    return laptop
