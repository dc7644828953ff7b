"""Counts what both sides use while a way is under way."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from types import TracebackType

from bench.transfer import processes
from bench.transfer.model import Sample
from bench.transfer.processes import Process
from testbed.link import Link

SECONDS = 0.1


@dataclass
class Side:
    """One side: the roots of its trees, and what it has had since the last mark.

    `idle` are processes that were there before: no memory of theirs is the way's.
    """

    roots: set[int]
    idle: frozenset[int] = frozenset()
    memory: int = 0
    engine_before: int = 0
    engine: int = 0

    def look(self, found: dict[int, Process]) -> tuple[set[int], float]:
        """Take note of the memory of this moment; the side's processes, and the CPU seconds that they have used."""
        pids = processes.tree(found, self.roots)
        engine = processes.engine_part(found, pids - self.roots)
        own = pids - engine - self.idle
        peaks = [processes.peak_of(pid) for pid in own]
        self.memory = max(self.memory, sum(found[pid].memory for pid in own), *peaks, 0)
        self.engine = max(self.engine, sum(found[pid].memory for pid in engine))
        self.engine_before = self.engine_before or self.engine
        return pids, sum(found[pid].cpu for pid in pids)

    def begin(self) -> None:
        """Forget the memory so far."""
        self.memory = self.engine = self.engine_before = 0


@dataclass(frozen=True)
class Mark:
    """All counters at one moment; of memory, what there was since the mark before."""

    moment: float
    up: int
    down: int
    busy: float
    cpu: tuple[float, float]
    written: tuple[int | None, int | None]
    memory: tuple[int, int]
    engine: tuple[int, int]


@dataclass
class Meter:
    """Looks ten times a second at the laptop's and the server's processes; a context.

    `laptop` and `server` are process ids: of the containers that hold the engines. Programs besides are added.
    """

    link: Link
    laptop: Collection[int]
    server: Collection[int]
    _sides: tuple[Side, Side] = field(init=False)
    _mutex: threading.Lock = field(default_factory=threading.Lock)
    _ended: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Meter:
        found = processes.all_processes()
        idle = [frozenset(processes.tree(found, roots)) for roots in (self.laptop, self.server)]
        self._sides = (Side(set(self.laptop), idle[0]), Side(set(self.server), idle[1]))
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()

    def add(self, pid: int) -> None:
        """Count a program on the laptop, too."""
        with self._mutex:
            self._sides[0].roots.add(pid)

    def mark(self) -> Mark:
        """The counters now; the next peaks of memory begin here. The look itself counts to what follows."""
        moment, up, down = time.monotonic(), self.link.up, self.link.down
        with self._mutex:
            found = processes.all_processes()
            looked = [side.look(found) for side in self._sides]
            mark = Mark(
                moment,
                up,
                down,
                processes.busy(),
                (looked[0][1], looked[1][1]),
                (processes.written(looked[0][0]), processes.written(looked[1][0])),
                (self._sides[0].memory, self._sides[1].memory),
                (_grown(self._sides[0]), _grown(self._sides[1])),
            )
            for side in self._sides:
                side.begin()
                side.look(found)
            return mark

    def _watch(self) -> None:
        while not self._ended.wait(SECONDS):
            with self._mutex:
                found = processes.all_processes()
                for side in self._sides:
                    side.look(found)


def _grown(side: Side) -> int:
    return max(0, side.engine - side.engine_before)


def between(one: Mark, other: Mark, whole_bytes: int = 0, whole_seconds: float = 0.0) -> Sample:
    """What happened from one mark to the next."""
    seconds = other.moment - one.moment
    own = sum(other.cpu) - sum(one.cpu)
    written = [None if a is None or b is None else b - a for a, b in zip(one.written, other.written, strict=True)]
    return Sample(
        up=other.up - one.up,
        down=other.down - one.down,
        seconds=seconds,
        cpu_laptop=other.cpu[0] - one.cpu[0],
        cpu_server=other.cpu[1] - one.cpu[1],
        memory_laptop=other.memory[0],
        memory_server=other.memory[1],
        engine_laptop=other.engine[0],
        engine_server=other.engine[1],
        written_laptop=written[0],
        written_server=written[1],
        others=max(0.0, other.busy - one.busy - own) / seconds,
        whole_bytes=whole_bytes,
        whole_seconds=whole_seconds,
    )
