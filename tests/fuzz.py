"""Damaged and hostile streams into the agent's receiver for as long as one likes: `make fuzz ARGS="--minutes 30"`.

They are taken by a process of its own, of little memory: what it raises, dies of or hangs in ends the run with exit
code 1, and is told with the number that makes the same stream again: `make fuzz ARGS="--seed NUMBER --streams 1"`.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.limits import bound_memory
from tests.unit.agent.ground import Ground
from tests.unit.agent.hostile import Maker

#: Bytes of address space that streams may take besides what is there when they begin: two windows of zstd, a batch of
#: the largest size, packed and unpacked, and a thread.
ROOM = 192 << 20
#: Bytes of a file, at most.
FILE = 64 << 20
#: Seconds for one stream, at most.
HANGS = 60.0
#: What the process tells: the number of the stream under way, how many were taken, the peak of its memory in KiB.
SEED, TAKEN, PEAK = range(3)


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0 where no stream did harm."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="for how long (10)")
    parser.add_argument("--streams", type=int, default=1 << 62, help="how many, at most")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 48), help="the first number")
    options = parser.parse_args(argv)
    context = multiprocessing.get_context("fork")
    told = context.Array("Q", [options.seed, 0, 0], lock=False)
    with tempfile.TemporaryDirectory(prefix="allfast-fuzz-") as folder:  # which goes, whatever the process dies of
        maker, ground = Maker(), Ground(Path(folder))
        end = time.monotonic() + 60 * options.minutes
        process = context.Process(target=_take, args=(maker, ground, options.seed, options.streams, end, told))
        process.start()
        fault = _watched(process, told)
    mib = told[PEAK] >> 10
    print(f"{told[TAKEN]} streams, from number {options.seed} on; memory at its peak: {mib or 'unknown'} MiB")
    if fault:
        print(f'FAULT: {fault} at number {told[SEED]}: make fuzz ARGS="--seed {told[SEED]} --streams 1"')
    return 1 if fault else 0


def _watched(process: Any, told: Any) -> str:
    """Wait for its end; what went wrong, "" for nothing."""
    while True:
        before = told[TAKEN]
        process.join(HANGS)
        if process.exitcode is None and told[TAKEN] == before:
            process.kill()
            process.join()
            return f"it hangs for {HANGS:.0f} s"
        if process.exitcode is not None:
            break
    if process.exitcode < 0:
        return f"it died of {signal.Signals(-process.exitcode).name}"
    return "see above" if process.exitcode else ""


def _take(maker: Maker, ground: Ground, seed: int, most: int, end: float, told: Any) -> None:
    bound_memory(ROOM)
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE, FILE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while told[TAKEN] < most and time.monotonic() < end:
        told[SEED] = seed + told[TAKEN]
        ground.take(maker.stream(told[SEED]))
        told[TAKEN] += 1
        told[PEAK] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    sys.exit(main())
