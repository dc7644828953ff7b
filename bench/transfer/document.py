"""docs/bench.md with its plots and its JSON, from what was measured."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

from allfast.text import megabytes, seconds
from bench.transfer import plot
from bench.transfer.model import ALLFAST, LINES, REGISTRY, SAVE, SLOW, UNSHAPED, WAYS, Line, Trip, Work
from bench.transfer.results import Figures, Kept
from bench.transfer.targets import SAME, targets

INTRODUCTION = """\
# Bench of image transfer

Written by `make bench` ([bench/README.md](../bench/README.md) says how it measures); all runs are in
[bench.json](bench.json). Three ways of bringing an image from a laptop to a server:

"""
NOTES = """\
*Measured apart*: (b) and (c) are of different runs of the bench, between which the machine may have changed. Where the
same is brought again nothing is shipped: (c) is the whole command then, with its start, the connection, facts and plan,
and (b) push and pull alone.
"""
COSTS = """\
On the line as it is; medians. *Up* is to the server. Memory: of the way's own processes, and `+` what the engine's
grew by. Of (c) the stage `ship` of a deploy is measured, on the connection that the deploy has open; (a) and (b) open
their own. *Whole command*: bytes and seconds of that deploy from its start to its end, with the connection, facts,
plan, the containers' start and the proof, which (a) and (b) know nothing of.
"""
SECONDS = """\
Measured, or `≈` computed: the larger of the seconds without a limit, and of bytes divided by rate plus the delay. Of
(c) the stage `ship`, and below it the whole command.
"""
#: Why targets are missed, written by hand.
REASONS = Path(__file__).resolve().parent / "reasons.md"
#: Cores: from here on the figures of the time are not worth much.
BUSY = 0.5


def write(folder: Path, kept: Kept, trips: Sequence[Trip]) -> list[Path]:
    """Write all files; returns them."""
    figures = Figures(kept.samples)
    texts = {
        "bench.md": "\n".join(page(kept, trips)) + "\n",
        "bench-bytes.svg": _bytes_plot(figures, trips),
        "bench-seconds.svg": _seconds_plot(figures, trips),
        "bench.json": json.dumps(_document(kept), indent=1) + "\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    return [folder / name for name in texts]


def page(kept: Kept, trips: Sequence[Trip]) -> Iterator[str]:
    """The lines of the page."""
    figures = Figures(kept.samples)
    yield INTRODUCTION.rstrip("\n")
    yield ""
    yield from (f"- {words}" for words in WAYS.values())
    yield ""
    yield _where(kept)
    yield "\n## Targets\n"
    yield from _table(("target", "found", ""), [(one.what, one.found, one.verdict) for one in targets(figures)])
    yield "\n" + NOTES.rstrip("\n")
    yield "\n" + REASONS.read_text().rstrip("\n")
    yield "\n## What travels, and what it costs\n"
    yield COSTS
    yield "![Bytes on the wire](bench-bytes.svg)\n"
    head = ("work", "way", "up", "down", "CPU laptop", "CPU server", "memory laptop", "memory server", "written laptop")
    yield from _table(
        (*head, "written server", "whole command", "runs"),
        [row for work in _works(trips) for row in _costs(figures, work)],
    )
    yield "\n## Seconds\n"
    yield SECONDS
    yield "![Seconds on 20 Mbit/s](bench-seconds.svg)\n"
    rows = [row for work in _works(trips) for row in _times(figures, work)]
    yield from _table(("work", "way", *(line.name for line in LINES)), rows)
    yield "\n" + _rule(figures, trips)


def _where(kept: Kept) -> str:
    about, machine = kept.about, kept.about["machine"]
    scale = (
        ""
        if about["scale"] == 1
        else f" **Made images have {about['scale']:.3g} of their size: the disk has no more.**"
    )
    return (
        f"Measured {_when(kept)} on {machine['cores']} cores ({machine['processor']},"
        f" {machine['memory']} GB, Linux {machine['kernel']}, Docker {machine['engine']} with overlay2 on both sides);"
        f" laptop and server are on the same machine.{scale}{_others(kept)}"
    )


def _when(kept: Kept) -> str:
    """From when to when the samples were taken, and at which commits."""
    found = [sample for runs in kept.samples.values() for sample in runs]
    found.sort(key=lambda one: one.measured)
    commits = list(dict.fromkeys(sample.commit for sample in found)) or [kept.about["commit"]]
    words = f"at commit{'s' * (len(commits) > 1)} {', '.join(commits)}"
    told = [sample.measured for sample in found if sample.measured]
    if not told:
        return words
    older = len(found) - len(told)
    words = f"from {told[0]} to {told[-1]} (UTC) {words}"
    return words + (f", but {older} of {len(found)} samples, which are older and do not say when," if older else "")


def _others(kept: Kept) -> str:
    """How busy the machine was with other work."""
    found = [sample.others for runs in kept.samples.values() for sample in runs]
    if not found or (cores := statistics.median(found)) < BUSY:
        return ""
    return f" **Other work had {cores:.1f} of the cores meanwhile: all seconds are too long; bytes are not.**"


def _works(trips: Sequence[Trip]) -> list[Work]:
    return [work for trip in trips for work in trip.told]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(row) + " |" for row in (head, ("---",) * len(head), *rows)]


def _short(way: str) -> str:
    return {SAVE: "(a) save", REGISTRY: "(b) registry", ALLFAST: "(c) allfast"}[way]


def _costs(figures: Figures, work: Work) -> Iterator[tuple[str, ...]]:
    for way in WAYS:
        runs = len(figures.samples.get((work.name, way, UNSHAPED.name), ()))
        if not runs:
            continue

        def size(name: str, way: str = way) -> str:
            value = figures.median(work.name, way, name)
            return "-" if value is None else megabytes(value)

        def time(name: str, way: str = way) -> str:
            return seconds(figures.median(work.name, way, name) or 0.0)

        memory = [f"{size(f'memory_{side}')} + {size(f'engine_{side}')}" for side in ("laptop", "server")]
        sizes = (size("up"), size("down"), time("cpu_laptop"), time("cpu_server"), *memory)
        whole = (
            f"{size('whole_bytes')}, {time('whole_seconds')}" if figures.median(work.name, way, "whole_bytes") else ""
        )
        yield (work.title, _short(way), *sizes, size("written_laptop"), size("written_server"), whole, str(runs))


def _times(figures: Figures, work: Work) -> Iterator[tuple[str, ...]]:
    for way in WAYS:
        found = [figures.seconds(work.name, way, line) for line in LINES]
        if any(found):
            yield (work.title, _short(way), *(_told(one) for one in found))
    whole = [figures.median(work.name, ALLFAST, "whole_seconds", line) for line in LINES]
    if any(whole):
        yield (work.title, "whole command", *(seconds(one) if one else "-" for one in whole))


def _told(found: tuple[float, bool] | None) -> str:
    if found is None:
        return "-"
    return f"{'≈ ' if found[1] else ''}{seconds(found[0])}"


def _rule(figures: Figures, trips: Sequence[Trip]) -> str:
    """How well computed cells would have met the measured ones."""
    works = [work for work in _works(trips) if work.name != SAME]  # of 10 kB, the delay's round trips are all there is
    cells = ((work, way, line) for work in works for way in (SAVE, REGISTRY) for line in LINES[1:])
    found = ((figures.rule(work.name, way, line), work, way, line) for work, way, line in cells)
    ratios = [(pair[0] / pair[1], work, way, line) for pair, work, way, line in found if pair]
    if not ratios:
        return "The rule of the computed cells was not checked: no pair was measured."
    ratios.sort(key=lambda one: one[0])
    middle = ratios[len(ratios) // 2][0]
    least, most = (_pair(*ratios[index]) for index in (0, -1))
    return (
        f"The rule of the computed cells, checked on {len(ratios)} cells of (a) and (b) that were measured: measured"
        f" seconds are {middle:.2f} times the computed ones in the middle, from {least} to {most}."
    )


def _pair(ratio: float, work: Work, way: str, line: Line) -> str:
    return f"{ratio:.2f} ({work.title}, {_short(way)}, {line.name})"


def _bytes_plot(figures: Figures, trips: Sequence[Trip]) -> str:
    groups = [
        plot.Group(work.title, tuple(plot.Bar(figures.median(work.name, way, "wire")) for way in WAYS))
        for work in _works(trips)
    ]
    return plot.bars("Bytes on the wire, both ways", [_short(way) for way in WAYS], groups, megabytes)


def _seconds_plot(figures: Figures, trips: Sequence[Trip]) -> str:
    groups = []
    for work in _works(trips):
        found = [figures.seconds(work.name, way, SLOW) for way in WAYS]
        groups.append(plot.Group(work.title, tuple(plot.Bar(*one) if one else plot.Bar(None) for one in found)))
    title = f"Seconds on {SLOW.name} (hollow: computed)"
    return plot.bars(title, [_short(way) for way in WAYS], groups, seconds)


def _document(kept: Kept) -> dict[str, object]:
    verdicts = [{"what": t.what, "found": t.found, "reached": t.reached} for t in targets(Figures(kept.samples))]
    return {"about": kept.about, "targets": verdicts, "samples": kept.records()}
