"""Trees of processes, from /proc (Linux only): what they have used so far, and what memory they have now.

A process that has ended counts on in its parent, which has waited for it; so the sum over a tree only grows.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
#: Names of the programs that are an engine, as the kernel cuts them; all below them is the engine's, too.
ENGINE = ("dockerd", "containerd", "containerd-shim")


@dataclass(frozen=True)
class Process:
    """One process: `cpu` in seconds with its ended children's, `memory` (resident) in bytes."""

    pid: int
    parent: int
    name: str
    cpu: float
    memory: int


def read_stat(text: str) -> Process:
    """From the text of /proc/PID/stat (proc(5)); a name may contain anything."""
    head, _, tail = text.rpartition(")")
    pid, _, name = head.partition(" (")
    fields = tail.split()
    ticks = sum(int(field) for field in fields[11:15])  # utime, stime, cutime, cstime
    return Process(int(pid), int(fields[1]), name, ticks / TICK, int(fields[21]) * PAGE)


def all_processes() -> dict[int, Process]:
    """All processes of this machine, also those in containers, by id."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError, ValueError, IndexError):  # it has ended meanwhile
                process = read_stat((folder / "stat").read_text())
                found[process.pid] = process
    return found


def tree(processes: Mapping[int, Process], roots: Collection[int]) -> set[int]:
    """The ids of the roots that exist, and of all below them."""
    children: dict[int, list[int]] = {}
    for process in processes.values():
        children.setdefault(process.parent, []).append(process.pid)
    found: set[int] = set()
    left = [pid for pid in roots if pid in processes]
    while left:
        pid = left.pop()
        if pid not in found:
            found.add(pid)
            left += children.get(pid, ())
    return found


def engine_part(processes: Mapping[int, Process], pids: Collection[int]) -> set[int]:
    """Those of a tree that are an engine's: its own, and what it has started."""
    return tree(processes, [pid for pid in pids if processes[pid].name in ENGINE])


def written(pids: Collection[int]) -> int | None:
    """Bytes that these processes have caused to be written to disks; None where the kernel does not tell us."""
    total = 0
    for pid in pids:
        try:
            total += int(dict(_lines(pid))["write_bytes"])
        except PermissionError:
            return None
        except (OSError, KeyError):
            continue  # it has ended meanwhile
    return total


def busy() -> float:
    """CPU seconds that this machine has spent on anything so far; not idle, waiting or stolen ones (proc(5), stat)."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    return sum(int(fields[column]) for column in (0, 1, 2, 5, 6)) / TICK


def peak_of(pid: int) -> int:
    """The most resident memory that a process ever had, in bytes; 0 where it has ended."""
    with suppress(OSError):
        for line in (Path("/proc") / str(pid) / "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def _lines(pid: int) -> Iterator[tuple[str, str]]:
    for line in (Path("/proc") / str(pid) / "io").read_text().splitlines():
        key, _, value = line.partition(": ")
        yield key, value
