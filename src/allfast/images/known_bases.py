"""The bases that the recipes of one shipment may refer to, each read once from this machine's memory of layers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from allfast.agent.index import ENTRIES
from allfast.transfer.bases import Bases, Known
from allfast.transfer.known import KnownLayers


class KnownBases:
    """Layers whose index is known here, by their names (hex), and those of them that recipes refer to now.

    Args:
        memory: what this machine remembers of layers.
    """

    def __init__(self, memory: KnownLayers) -> None:
        self._memory = memory
        self._read: dict[str, Known] = {}
        self._sent: list[str] = []  # of those that were read: what this shipment sent, the newest last
        self._used: list[str] = []  # and what `bases` is made of, in its order
        self._bases: Bases | None = None
        self._packed: dict[str, int | None] = {}  # bytes of indexes; None: there is none
        self._measures: dict[str, tuple[int, int]] = {}  # of all that were ever read: bytes of the tar, and entries

    @property
    def bases(self) -> Bases:
        """What an encoder takes."""
        if self._bases is None:
            self._bases = Bases(self._read[name] for name in self._used)
        return self._bases

    def has(self, name: str) -> bool:
        """Whether a layer is known here, read or not."""
        return name in self._read or self._index_bytes(name) is not None

    def read(self, name: str, worth: int, suits: Callable[[int], bool] = lambda _: True) -> bool:
        """Have a layer read, if there is room for it; whether it can be used.

        An index of more than `worth` bytes (packed) is not read for the first time. `suits` judges the bytes of the
        layer's tar.
        """
        if name not in self._read and self._is_worth_it(name, worth, suits):
            found = self._memory.find(name)
            if found is None:
                self._packed[name] = None
            elif suits(found.index.size):
                self.add(found)
            else:
                self._measure(found)
        return name in self._read and suits(self._measures[name][0])

    def add(self, known: Known) -> bool:
        """Keep a layer that was read, if there is room for it; whether there is."""
        name = self._measure(known)
        if self._has_room(name):
            self._read[name] = known
        return name in self._read

    def use(self, names: Sequence[str]) -> None:
        """Refer to these of the layers that were read, and to no others."""
        if set(self._used) - set(names):
            self._used, self._bases = [], None
        for name in names:
            self.refer_to(name)

    def refer_to(self, name: str) -> None:
        """Refer to a layer that was read."""
        if name not in self._used:
            self._used.append(name)
            if self._bases is not None:
                self._bases.add(self._read[name])

    def add_sent(self, known: Known) -> None:
        """Refer to a layer that was just sent: what comes next is likely to be like it, so others give way to it."""
        name = self._measure(known)
        others = self._by_use()
        while self._measures[name][1] <= ENTRIES and not self._has_room(name):
            self.drop([next(others)])
        if self.add(known):
            self._sent.append(name)
            self.refer_to(name)

    def keep(self, names: Collection[str]) -> None:
        """Drop all but these."""
        self.drop(self._read.keys() - names)

    def drop(self, names: Iterable[str]) -> None:
        """Drop these layers: the server does not have them any more, or there is no room for them."""
        for name in names:
            self._read.pop(name, None)
            if name in self._sent:
                self._sent.remove(name)
            if name in self._used:
                self._used.remove(name)
                self._bases = None

    def forget(self, names: Iterable[str]) -> None:
        """Drop these layers, and what is remembered of them for later: it proved wrong."""
        for name in names:
            self.drop([name])
            self._memory.forget(name)
            self._packed[name] = None

    def _by_use(self) -> Iterator[str]:
        """What was read, the least likely to be of use first: what is not used now, the last ones, what was sent."""
        idle = [name for name in self._read if name not in self._used]
        before = [name for name in reversed(self._used) if name not in self._sent]
        return iter([*idle, *before, *self._sent])

    def _is_worth_it(self, name: str, worth: int, suits: Callable[[int], bool]) -> bool:
        """Whether a layer should be read, as far as that can be told without it."""
        packed = self._index_bytes(name)
        if packed is None or packed > worth:
            return False
        return name not in self._measures or (suits(self._measures[name][0]) and self._has_room(name))

    def _index_bytes(self, name: str) -> int | None:
        if name not in self._packed:
            self._packed[name] = self._memory.index_bytes(name)
        return self._packed[name]

    def _has_room(self, name: str) -> bool:
        """Whether there is room for a layer that was measured."""
        return sum(self._measures[one][1] for one in {*self._read, name}) <= ENTRIES

    def _measure(self, known: Known) -> str:
        name = known.name.hex()
        self._measures[name] = known.index.size, known.index.entries
        return name
