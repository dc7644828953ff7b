"""`python -m bench`: measure, print tables, keep the figures under .bench/; the transfer's go into docs/bench.md."""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import time
from pathlib import Path
from typing import Any

from allfast import __version__
from bench import cases, visitors
from bench.bed import bed
from bench.measure import Figure, table
from bench.transfer.model import TRIPS, WAYS
from bench.transfer.run import Options, measure

RESULTS = Path(__file__).resolve().parent.parent / ".bench"
#: Where cases are measured, and which.
PLACES: tuple[tuple[Any, dict[str, Any], dict[str, int]], ...] = (
    (bed, cases.CASES, cases.RUNS),
    (visitors.yard, visitors.CASES, visitors.RUNS),
)


def main() -> None:
    """Run the chosen cases."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # in order: servers and engines are removed
    names = [name for _, known, _ in PLACES for name in known]
    trips = [trip.name for trip in TRIPS]
    options = _options([*names, *trips])
    end = time.monotonic() + 60 * options.minutes
    if own := [name for name in options.only if name in names]:
        _own_time(own, options.runs)
    if chosen := [name for name in options.only if name in trips]:
        measure(chosen, Options(end, options.scale, options.fresh, tuple(options.ways)))


def _options(names: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure allfast.")
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="these cases alone")
    parser.add_argument("--runs", type=int, help="runs of each case of allfast's own time, in place of its own number")
    transfer = parser.add_argument_group("transfer")
    transfer.add_argument("--minutes", type=float, default=45.0, help="begin no measurement after so long (45)")
    transfer.add_argument(
        "--scale", type=float, help="size of made images, 1 being all; else what the disk has room for"
    )
    transfer.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS), help="by these ways alone")
    transfer.add_argument("--fresh", action="store_true", help="forget what earlier runs have measured")
    return parser.parse_args()


def _own_time(names: list[str], own_runs: int | None) -> None:
    """What takes allfast how long, as ratios in one run."""
    figures: list[Figure] = []
    load = os.getloadavg()[0]
    for place, known, runs in PLACES:
        if chosen := [name for name in names if name in known]:
            with place() as machine:
                for name in chosen:
                    print(f"{name}: {known[name].__doc__}", flush=True)
                    figures += known[name](machine, own_runs or runs[name])
    print()
    print("\n".join(table(figures)))
    print(f"\nload of this machine at the start: {load:.1f} on {os.cpu_count()} cores; kept in {_keep(figures, load)}")
    if load > (os.cpu_count() or 1):
        print("the machine was busy with something else: these figures say little about allfast")


def _keep(figures: list[Figure], load: float) -> Path:
    """Write the figures as JSON: one file a run."""
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / time.strftime("%Y%m%d-%H%M%S.json", time.gmtime())
    document = {
        "allfast": __version__,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load": load,
        "figures": [
            {
                "name": one.name.strip(),
                "what": one.what,
                "unit": one.unit,
                "median": one.median,
                "runs": one.runs,
                "target": one.target,
                "parts": dict(one.detail),
            }
            for one in figures
        ],
    }
    file.write_text(json.dumps(document, indent=1) + "\n")
    return file.relative_to(RESULTS.parent)


if __name__ == "__main__":
    main()
