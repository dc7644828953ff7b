"""`python -m chaos`: every place of every step, time-boxed; goes on where it was stopped, writes docs/chaos.md."""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from chaos import retire, troubles
from chaos.bed import Bed, bed
from chaos.cases import IN_PLACE, SCENES, Result, Scene, all_of
from chaos.table import document, lines
from testbed.common import run as run_command

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / ".chaos" / "results.json"
DOCUMENT = ROOT / "docs" / "chaos.md"


def main() -> None:
    """Run what has no good result yet, until the time is over."""
    parser = argparse.ArgumentParser(
        prog="python -m chaos", description="Kill the laptop at each step, under load, and more."
    )
    parser.add_argument("--minutes", type=float, default=60.0, help="begin no case after so long (60)")
    parser.add_argument("--fresh", action="store_true", help="forget the results of earlier runs")
    parser.add_argument(
        "--only", nargs="+", default=[""], metavar="TEXT", help="cases whose name begins with one of these"
    )
    parser.add_argument("--name", default="chaos", help="of the server and the app: two may run side by side")
    options = parser.parse_args()
    if options.fresh:
        KEPT.unlink(missing_ok=True)
    results = load()
    left = run(results, time.monotonic() + 60 * options.minutes, options.only, options.name)
    print("\n".join(lines(results)))
    DOCUMENT.write_text(document(results))
    bad = [one for one in results if one.wrong]
    print(f"\n{len(results)} cases, {len(bad)} went wrong, {left} not begun; written to {DOCUMENT.relative_to(ROOT)}")
    raise SystemExit(bool(bad))


def run(results: list[Result], end: float, only: list[str], server: str) -> int:
    """Run the chosen cases, each on the server that it needs; how many were not begun."""
    left = 0
    with tempfile.TemporaryDirectory(prefix="allfast-chaos-") as name:
        folder = Path(name)
        for cases, make in (
            (beside, partial(bed, server, folder / "beside")),
            (in_place, partial(bed, f"{server}-place", folder / "place", strategy="recreate")),
            (full, partial(bed, f"{server}-small", folder / "small", troubles.SMALL)),
        ):
            if chosen(only, *BEGINNINGS[cases]):
                with make() as machine:
                    left += work(results, end, cases(machine, only))
    return left


def work(results: list[Result], end: float, cases: Iterable[tuple[str, Callable[[], Result]]]) -> int:
    """Run what has no good result yet; how many were not begun."""
    left, commit = 0, run_command(["git", "-C", ROOT, "rev-parse", "--short=7", "HEAD"]).stdout.strip()
    for name, case in cases:
        if any(one.name == name and not one.wrong for one in results):
            continue
        if time.monotonic() > end:
            left += 1
            continue
        result = dataclasses.replace(case(), commit=commit)
        results[:] = [*(one for one in results if one.name != name), result]
        save(results)
        print(f"{'wrong' if result.wrong else 'well '}  {result.seconds:5.1f} s  {name}", flush=True)
        for words in result.wrong:
            print(f"        {words}", flush=True)
    return left


Cases = Iterator[tuple[str, Callable[[], Result]]]


def chosen(only: list[str], *beginnings: str) -> bool:
    """Whether a case whose name begins with one of these may be meant."""
    return any(text.startswith(name) or name.startswith(text) for text in only for name in beginnings)


def beside(machine: Bed, only: list[str]) -> Cases:
    """With strategy "side-by-side": troubles, the retiring process, and the scenes."""
    yield from _troubles(machine, troubles.TROUBLES, only)
    for place in retire.PLACES:
        if chosen(only, name := retire.name_of(place)):
            yield name, partial(retire.run, machine, place)
    yield from _scenes(machine, SCENES, only)


def in_place(machine: Bed, only: list[str]) -> Cases:
    """With strategy "recreate"."""
    return _scenes(machine, IN_PLACE, only)


def full(machine: Bed, only: list[str]) -> Cases:
    """On a small disk."""
    return _troubles(machine, troubles.FULL, only)


def _troubles(machine: Bed, those: Sequence[troubles.Trouble], only: list[str]) -> Cases:
    for trouble in those:
        if chosen(only, name := troubles.name_of(trouble)):
            yield name, partial(troubles.run, machine, trouble)


def _scenes(machine: Bed, scenes: Mapping[str, Scene], only: list[str]) -> Cases:
    """The steps of a scene are those that its journal has when nothing happens."""
    for name, scene in scenes.items():
        for case in all_of(name, scene.steps(machine)) if chosen(only, f"{name}: ") else ():
            if chosen(only, case.name):
                yield case.name, partial(scene.run, machine, case)


#: How the names of each server's cases begin.
BEGINNINGS: dict[Callable[[Bed, list[str]], Cases], tuple[str, ...]] = {
    beside: (
        *(f"{name}: " for name in SCENES),
        *map(troubles.name_of, troubles.TROUBLES),
        *map(retire.name_of, retire.PLACES),
    ),
    in_place: tuple(f"{name}: " for name in IN_PLACE),
    full: tuple(map(troubles.name_of, troubles.FULL)),
}


def load() -> list[Result]:
    """The results of earlier runs."""
    return [Result(**one) for one in json.loads(KEPT.read_text())] if KEPT.exists() else []


def save(results: list[Result]) -> None:
    """Keep them: the run may be stopped."""
    KEPT.parent.mkdir(exist_ok=True)
    KEPT.write_text(json.dumps([dataclasses.asdict(one) for one in results], indent=1))


if __name__ == "__main__":
    main()
