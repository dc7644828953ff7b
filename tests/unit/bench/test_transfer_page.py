"""What the bench of the transfer says of what was measured."""

from __future__ import annotations

import dataclasses
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from bench.transfer import document, plot
from bench.transfer.model import ALLFAST, LINES, MB, REGISTRY, SAVE, SLOW, TRIPS, UNSHAPED, Line
from bench.transfer.results import Figures, Kept, Taken
from bench.transfer.targets import targets
from tests.unit.bench.factory import ABOUT, TYPICAL, sample, typical


def verdicts(found: dict[tuple[str, str, str], list[Taken]]) -> list[bool | None]:
    """Of all targets."""
    return [one.reached for one in targets(Figures(found))]


def test_targets_that_are_reached() -> None:
    assert verdicts(typical()) == [True] * len(verdicts({}))
    assert set(verdicts({})) == {None}


@pytest.mark.parametrize(
    ("work", "line", "worse", "words"),
    [
        ("other", UNSHAPED, sample(101_000), ["another laptop: at most 1/1,000 of (a)", "laptop: under 100 kB"]),
        ("line", UNSHAPED, sample(101_000), ["1/1,000 of (a)", "under 100 kB"]),
        ("line", UNSHAPED, sample(151_000), ["1/1,000 of (a)", "1/100 of (b)", "under 100 kB"]),
        ("line", SLOW, sample(60_000, 2.5), ["20 Mbit/s: at most 1/5"]),
        ("python", LINES[1], sample(60_000, 6.0), ["every change, on every line: never more than (b)"]),
        ("same", LINES[1], sample(60_000, 6.0), ["the same again, on every line: never more than (b)"]),
        ("large", UNSHAPED, sample(60_000, 1.0, 201 * MB), ["200 MB on the laptop", "150 MB on the server"]),
        ("large", UNSHAPED, sample(60_000, 1.6), ["a layer that grows with it: at most 1.5 times"]),
        ("above-large", UNSHAPED, sample(60_000, 1.6), ["a layer of the same size: at most 1.5 times"]),
    ],
)
def test_targets_that_are_missed(work: str, line: Line, worse: Taken, words: list[str]) -> None:
    figures = Figures({**typical(), (work, ALLFAST, line.name): [worse]})
    missed = [one for one in targets(figures) if one.reached is False]
    assert len(missed) == len(words)
    for one, word in zip(missed, words, strict=True):
        assert word in one.what
        assert one.verdict == "MISS"


@pytest.mark.parametrize("way", [ALLFAST, REGISTRY])
def test_seconds_of_different_runs_are_said_to_be_so(way: str) -> None:
    of_another = {("line", way, SLOW.name): [sample(*TYPICAL[way], run="another")]}
    figures = Figures({**typical(), **of_another})
    told = {one.what: one for one in targets(figures) if "measured apart" in one.found}
    assert list(told) == [
        "web: one line changed, 20 Mbit/s: at most 1/5 of (b)'s seconds",
        "every change, on every line: never more than (b)'s seconds",
    ]
    row, all_rows = told.values()
    assert row.found == f"{'1.0 s of 10 s: 1/10.0' if way == ALLFAST else '1.0 s of 4.0 s: 1/3.9'} (measured apart)"
    assert all_rows.found.endswith("; 1 measured apart")
    assert row.reached is (way == ALLFAST), "it is judged all the same"


def test_pairs_whose_runs_are_of_the_same_calls_are_not_apart() -> None:
    cells = {("line", way, SLOW.name): [sample(run=run) for run in ("one", "two")] for way in (ALLFAST, REGISTRY)}
    assert Figures(cells).together("line", (ALLFAST, REGISTRY), SLOW)
    cells["line", ALLFAST, SLOW.name].pop()
    assert not Figures(cells).together("line", (ALLFAST, REGISTRY), SLOW)


def test_computed_seconds_are_of_the_run_that_they_are_computed_from() -> None:
    other = {("large", REGISTRY, UNSHAPED.name): [sample(*TYPICAL[REGISTRY], run="another")]}
    found = [one.found for one in targets(Figures({**typical(), **other}))]
    assert sum(f"; {len(LINES)} measured apart" in words for words in found) == 1


def test_the_page_says_from_when_to_when_it_was_measured(tmp_path: Path) -> None:
    def page(*runs: Taken) -> str:
        return "\n".join(
            document.page(Kept(tmp_path / "x.json", ABOUT, {("line", SAVE, UNSHAPED.name): list(runs)}), TRIPS)
        )

    first, last = (
        dataclasses.replace(sample(), measured=f"2026-01-31 {hour}:00", commit=commit, run=commit)
        for hour, commit in ((11, "aaa"), (12, "bbb"))
    )
    assert "Measured from 2026-01-31 11:00 to 2026-01-31 12:00 (UTC) at commits aaa, bbb on 2 cores" in page(
        last, first
    )
    older = dataclasses.replace(sample(), commit="old")
    assert "12:00 (UTC) at commits old, bbb, but 1 of 2 samples, which are older" in page(last, older)
    assert "Measured at commit old on 2 cores" in page(older)


def test_the_page_has_all_works_and_says_what_is_computed(tmp_path: Path) -> None:
    results = Kept(tmp_path / "x.json", ABOUT, typical())
    files = document.write(tmp_path, results, TRIPS)
    page = (tmp_path / "bench.md").read_text()
    big = 2 * 4 * 3  # both other ways of three big images on four lines
    assert page.count("≈") == big + 4 + 2 * 4 + 1, "(a) of a web, a first deploy of two ways, and the explanation"
    for trip in TRIPS:
        for work in trip.works:
            assert page.count(f"| {work.title} |") == 2 * len(work.ways) + 1, "(c) also as the whole command"
    assert "MISS" not in page
    assert "## Why targets are missed" in page
    assert "(c) is the whole command then" in page
    assert all(file.name == "bench.md" or f"({file.name})" in page for file in files)
    assert len(json.loads((tmp_path / "bench.json").read_text())["samples"]) == len(results.samples)
    for file in tmp_path.glob("*.svg"):
        ElementTree.parse(file)


def test_a_page_of_nothing_measured_can_be_made(tmp_path: Path) -> None:
    document.write(tmp_path, Kept(tmp_path / "x.json", {**ABOUT, "scale": 0.1}), TRIPS)
    page = (tmp_path / "bench.md").read_text()
    assert "not measured" in page
    assert "0.1 of their size" in page


def test_bars_grow_with_their_values() -> None:
    bars = tuple(plot.Bar(value) for value in (10.0, 100.0, 1000.0))
    text = plot.bars("t", ["a", "b", "c"], [plot.Group("g & h", bars)], lambda value: f"{value:g}")
    root = ElementTree.fromstring(text)
    widths = [float(rect.get("width", "0")) for rect in root.iter() if rect.get("x") == str(plot.LEFT)]
    assert widths == sorted(widths)
    assert len(set(widths)) == 3
