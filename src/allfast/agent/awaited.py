"""Which layers must stay: the images for which they were sent, or found, are still to be loaded."""

from __future__ import annotations

import threading
from typing import Dict, Iterable, Set


class Awaited:
    """Layers by the chain id of the image that awaits them; for several threads."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._by_chain: Dict[str, Set[str]] = {}

    def add(self, chain: str, layers: Iterable[str]) -> None:
        """The image of that chain awaits these layers, too."""
        with self._mutex:
            self._by_chain.setdefault(chain, set()).update(layers)

    def is_over(self, chain: str) -> None:
        """That image awaits nothing any more."""
        with self._mutex:
            self._by_chain.pop(chain, None)

    def clear(self) -> bool:
        """No image awaits anything any more; whether one did."""
        with self._mutex:
            there = bool(self._by_chain)
            self._by_chain.clear()
            return there

    def layers(self) -> Set[str]:
        """All that are awaited."""
        with self._mutex:
            return {layer for layers in self._by_chain.values() for layer in layers}
