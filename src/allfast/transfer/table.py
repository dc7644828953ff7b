"""A table from 64-bit keys to numbers that takes some 25 bytes an entry; a dict of Python's takes over 100."""

from __future__ import annotations

import secrets
from array import array
from collections.abc import Iterable

#: Keys come from elsewhere: nobody should know which of them meet in one slot.
_SALT = secrets.randbits(64) | 1


class Table:
    """Keeps the first number that was put under a key. Slots hold the entries' places from 1 on; 0 is an empty one."""

    def __init__(self) -> None:
        self._keys = array("Q")
        self._numbers = array("Q")
        self._slots = array("I", bytes(4 * 64))

    def __len__(self) -> int:
        return len(self._keys)

    def put(self, keys: Iterable[int], numbers: Iterable[int]) -> None:
        """Put each of the numbers under its key, where there is none yet."""
        stored, slots = self._keys, self._slots
        last = len(slots) - 1
        for key, number in zip(keys, numbers, strict=True):
            slot = (key * _SALT >> 32) & last  # as in `_slot`, without a call for each key
            while (place := slots[slot]) and stored[place - 1] != key:
                slot = slot + 1 & last
            if not place:
                stored.append(key)
                self._numbers.append(number)
                slots[slot] = len(stored)
                if 2 * len(stored) > last:
                    self._grow()
                    slots = self._slots
                    last = len(slots) - 1

    def get(self, key: int) -> int | None:
        """The number under a key."""
        place = self._slots[self._slot(key)]
        return self._numbers[place - 1] if place else None

    def _slot(self, key: int) -> int:
        """Where a key stands, or the empty slot where it would."""
        slots, keys = self._slots, self._keys
        last = len(slots) - 1
        slot = (key * _SALT >> 32) & last
        while (place := slots[slot]) and keys[place - 1] != key:
            slot = slot + 1 & last
        return slot

    def _grow(self) -> None:
        self._slots = slots = array("I", bytes(8 * len(self._slots)))
        last = len(slots) - 1
        for place, key in enumerate(self._keys, 1):
            slot = (key * _SALT >> 32) & last
            while slots[slot]:
                slot = slot + 1 & last
            slots[slot] = place
