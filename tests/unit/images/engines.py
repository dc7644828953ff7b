"""A server whose engine has layers that its cache has lost."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from allfast.agent.engine import Engine
from allfast.agent.engine_store import NoRoom, Unreadable
from allfast.agent.telling import Tell
from tests.unit.images.harbour import name_of
from tests.unit.transfer.recipes import tree

FILES = {f"app/{n}.js": random.Random(n).randbytes(3000) for n in range(200)}
OLD, NEW = tree(FILES, 1), tree({**FILES, "app/x": b"x"}, 2)
SMALL = tree({"lib/small": random.Random(1).randbytes(200_000)})
BASE = "sha256:" + "a" * 64
#: Bytes of a recipe where nothing but a file and the times are new.
LITTLE = 500


class Engines:
    """What an engine has, and how its layers are had; `read` are those that were asked for."""

    def __init__(self) -> None:
        self.images: dict[str, list[str]] = {}
        self.layers: dict[str, bytes] = {}
        self.read: list[str] = []
        self.meanwhile: Callable[[], object] = lambda: None
        self.after: Callable[[], object] = lambda: None

    def loaded(self, *layers: bytes) -> None:
        """It has an image of these layers, on a base."""
        self.images["sha256:image"] = [BASE, *map(name_of, layers)]
        self.layers.update({name_of(layer): layer for layer in layers})

    def fetch(
        self,
        engine: Engine,
        image: str,
        diff_ids: list[str],
        layer: str,
        file: Any,
        room: Callable[[int], bool],
        tell: Tell,
    ) -> None:
        """As `cold.fetch`."""
        self.read.append(layer)
        if layer not in self.layers:
            raise Unreadable("it is not in the archive")
        if not room(len(self.layers[layer])):
            raise NoRoom("no room for it")
        file.write(self.layers[layer])
        file.flush()
        self.meanwhile()
        tell(len(self.layers[layer]), len(self.layers[layer]))
        self.after()
