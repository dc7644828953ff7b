"""The pure parts of the transfer's bench: what is measured, what is computed, what is kept."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.transfer import document, processes
from bench.transfer.meter import Meter, between
from bench.transfer.model import (
    ALLFAST,
    LINES,
    LONGEST,
    MB,
    NEW,
    REGISTRY,
    SAVE,
    SLOW,
    TRIPS,
    UNSHAPED,
    WAYS,
    Line,
    Sample,
    Trip,
    computed,
    legs,
    scale_for,
    scaled,
)
from bench.transfer.processes import Process, engine_part, read_stat, tree
from bench.transfer.results import Figures, Taken, kept
from bench.transfer.targets import targets
from testbed.common import wait_until
from testbed.link import Link
from tests.unit.bench.factory import ABOUT, sample

WEB, USUAL, PYTHON, MIXED, LARGE = (
    next(trip for trip in TRIPS if trip.name == name) for name in ("web", "usual", "python", "mixed", "large")
)
#: As the ways of the bench give one.
SAMPLE: dict[str, Any] = dict.fromkeys((one.name for one in dataclasses.fields(Sample)), 1)


# What is measured


def test_the_ways_of_a_pair_follow_each_other_and_what_is_there_is_not_taken_again() -> None:
    taken: dict[tuple[str, str, str], list[Taken]] = {}
    begun = []
    for leg in legs([WEB], taken):
        begun.append((leg.line.name, leg.run, leg.way))
        for work in leg.trip.works:
            taken.setdefault((work.name, leg.way, leg.line.name), []).append(sample())
    assert [way for _, _, way in begun[:3]] == list(WAYS)
    assert len(begun) == 3 * (WEB.runs + len(LINES) - 1) == len(set(begun))
    assert not list(legs([WEB], taken))
    del taken["line", REGISTRY, SLOW.name]
    assert [(leg.line, leg.way) for leg in legs([WEB], taken)] == [(SLOW, REGISTRY)]


def unshaped(trip: Trip, wire: int) -> dict[tuple[str, str, str], list[Taken]]:
    """All runs of it that are taken on a line without a limit."""
    return {
        (work.name, way, UNSHAPED.name): [sample(wire)] * len(work.versions) * trip.runs
        for work in trip.works
        for way in work.ways
    }


def test_big_images_by_other_ways_are_computed_and_so_is_allfast_where_it_would_take_too_long() -> None:
    assert {(leg.way, leg.line) for leg in legs([LARGE], unshaped(LARGE, MB))} == {
        (ALLFAST, line) for line in LINES[1:]
    }
    wire = int(LONGEST * 50e6 / 8)  # too long on 20 Mbit/s only
    assert {leg.line.rate for leg in legs([LARGE], unshaped(LARGE, wire))} == {100e6}


def test_one_pair_of_a_big_image_is_measured_to_check_the_rule() -> None:
    others = {(leg.way, leg.line.name) for leg in legs([PYTHON], unshaped(PYTHON, MB)) if leg.way != ALLFAST}
    assert others == {(SAVE, "100 Mbit/s"), (REGISTRY, "100 Mbit/s")}


def test_a_leg_has_the_works_that_its_way_does_and_chosen_ways_alone_are_taken() -> None:
    assert {leg.way for leg in legs([MIXED], {})} == {ALLFAST}
    works = {leg.way: [work.name for work in leg.works] for leg in legs([LARGE], {})}
    assert works == {SAVE: ["large"], REGISTRY: ["large"], ALLFAST: ["above-large", "large"]}
    assert {leg.way for leg in legs(TRIPS, {}, [SAVE])} == {SAVE}


def test_a_leg_whose_work_brings_several_versions_is_taken_when_all_are() -> None:
    taken = unshaped(LARGE, MB)
    taken["above-large", ALLFAST, UNSHAPED.name].pop()
    assert [leg.way for leg in legs([LARGE], taken) if leg.line == UNSHAPED] == [ALLFAST]


def test_after_the_early_legs_all_targets_and_cells_have_a_figure() -> None:
    taken: dict[tuple[str, str, str], list[Taken]] = {}
    early = [leg for leg in legs(TRIPS, {}) if leg.is_early]
    for leg in early:
        for work in leg.works:
            taken[work.name, leg.way, leg.line.name] = [sample()] * len(work.versions)
    taken["large-first", ALLFAST, UNSHAPED.name] = [sample()]
    assert all(one.found for one in targets(Figures(taken)))
    assert all(
        Figures(taken).seconds(work.name, way, line)
        for trip in TRIPS
        for work in trip.works
        for way in work.ways
        for line in LINES
    )
    assert len(early) < len(list(legs(TRIPS, {}))) / 2


def test_a_leg_begins_with_a_new_server_or_with_the_version_before() -> None:
    assert {leg.begins for leg in legs([WEB], {})} == {NEW}
    assert {(leg.way, leg.begins) for leg in legs([USUAL], {})} == {
        (SAVE, REGISTRY),
        (REGISTRY, REGISTRY),
        (ALLFAST, ALLFAST),
    }


@pytest.mark.parametrize(
    ("wire", "seconds", "expected"), [(25 * MB, 1.0, 10.04), (25 * MB, 30.0, 30.0), (0, 0.0, 0.04)]
)
def test_computed_seconds_are_those_of_the_line_or_of_the_work(wire: int, seconds: float, expected: float) -> None:
    assert computed(sample(wire, seconds), Line("long", 20e6, 0.04)) == pytest.approx(expected)


def test_images_are_made_smaller_for_a_small_disk_and_real_builds_are_not() -> None:
    assert scale_for(10**12) == 1.0
    assert 0 < scale_for(20 * 10**9) < 1.0
    assert scale_for(0) == 0.01
    assert scaled(LARGE, 0.1).size == LARGE.size // 10
    assert scaled(WEB, 0.1) == WEB


# Processes


def test_a_process_with_any_name_is_read() -> None:
    fields = "S 7 1 1 0 -1 4194560 0 0 0 0 100 50 25 25 20 0 1 0 1 1000 3 0"
    assert read_stat(f"12 (a) (b c) {fields}") == Process(12, 7, "a) (b c", 200 / processes.TICK, 3 * processes.PAGE)


def test_a_tree_and_the_part_of_it_that_is_an_engine() -> None:
    names = {
        1: (0, "init"),
        2: (1, "dockerd"),
        3: (2, "containerd"),
        4: (1, "sshd"),
        5: (4, "python3"),
        9: (0, "other"),
    }
    found = {pid: Process(pid, parent, name, 0.0, 0) for pid, (parent, name) in names.items()}
    assert tree(found, [1, 77]) == {1, 2, 3, 4, 5}
    assert engine_part(found, tree(found, [1])) == {2, 3}


def test_this_process_is_there_and_what_its_children_used_counts_in_it() -> None:
    before = processes.all_processes()[os.getpid()]
    subprocess.run([sys.executable, "-c", "sum(range(10**7))"], check=True)
    after = processes.all_processes()[os.getpid()]
    assert after.cpu > before.cpu
    assert processes.peak_of(os.getpid()) > 1 * MB


def test_a_meter_counts_what_is_started_below_its_roots(tmp_path: Path) -> None:
    file = tmp_path / "written"
    program = f"x = bytearray({60 * MB}); sum(range(10**7)); open({str(file)!r}, 'wb').write(bytes({MB})); input()"
    with Link(1) as link, Meter(link, {os.getpid()}, set()) as meter:
        first = meter.mark()
        with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE) as process:
            wait_until(lambda: meter.mark().memory[0] > 60 * MB, "the meter to see the memory", 60)
            process.communicate(b"\n", timeout=60)
        last = meter.mark()
    sample = between(first, last)
    assert sample.cpu_laptop > 0.1
    assert (sample.written_laptop or 0) >= (MB if os.geteuid() == 0 else 0)
    assert (sample.cpu_server, sample.memory_server, sample.wire) == (0, 0, 0)
    assert sample.seconds > sample.cpu_laptop / 2


def test_a_program_that_ran_before_counts_where_it_is_added() -> None:
    program = f"x = bytearray({60 * MB}); print(flush=True); input()"
    argv, pipe = [sys.executable, "-c", program], subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe) as process, Link(1) as link:
        assert process.stdout is not None
        process.stdout.readline()
        with Meter(link, set(), set()) as meter:
            assert meter.mark().memory[0] == 0
            meter.add(process.pid)
            meter.mark()
            assert meter.mark().memory[0] > 60 * MB
        process.communicate(b"\n", timeout=60)


# What is kept


def test_a_bench_goes_on_where_it_was_with_the_same_allfast_only(tmp_path: Path) -> None:
    first = kept(ABOUT, tmp_path)
    first.add("line", SAVE, UNSHAPED.name, Sample(**SAMPLE))
    first.add("line", ALLFAST, UNSHAPED.name, Sample(**SAMPLE))
    assert kept(ABOUT, tmp_path).samples == first.samples
    assert not kept(ABOUT, tmp_path, fresh=True).samples

    other = kept({**ABOUT, "allfast": "two"}, tmp_path)
    assert list(other.samples) == [("line", SAVE, UNSHAPED.name)]
    other.add("line", ALLFAST, UNSHAPED.name, Sample(**{**SAMPLE, "up": 3}))
    assert kept(ABOUT, tmp_path).samples == first.samples, "what another allfast took is not lost"
    assert not kept({**ABOUT, "scale": 0.1}, tmp_path).samples


def test_a_sample_says_when_it_was_taken_and_in_which_run(tmp_path: Path) -> None:
    for run in range(2):
        kept({**ABOUT, "commit": f"abcdef{run}"}, tmp_path).add("line", SAVE, UNSHAPED.name, Sample(**SAMPLE))
    one, two = kept(ABOUT, tmp_path).samples["line", SAVE, UNSHAPED.name]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d", one.measured)
    assert (one.commit, two.commit) == ("abcdef0", "abcdef1")
    assert one.run != two.run
    assert "" not in (one.run, two.run)


def test_samples_of_before_that_was_noted_are_of_one_run_and_the_file_s_commit(tmp_path: Path) -> None:
    records = [{"work": "line", "way": way, "line": SLOW.name, "allfast": "", **SAMPLE} for way in (ALLFAST, REGISTRY)]
    kept(ABOUT, tmp_path).file.write_text(json.dumps({"about": ABOUT, "samples": records}))
    samples = kept({**ABOUT, "commit": "later"}, tmp_path).samples
    assert samples["line", REGISTRY, SLOW.name][0].commit == ABOUT["commit"]
    assert Figures(samples).together("line", (ALLFAST, REGISTRY), SLOW)


def test_a_figure_that_the_machine_does_not_tell_is_none() -> None:
    figures = Figures({("line", SAVE, UNSHAPED.name): [sample(1), sample(5), sample(3)]})
    assert figures.median("line", SAVE, "wire") == 3
    assert figures.median("line", SAVE, "written_server") is None
    assert figures.seconds("line", SAVE, SLOW) == (1.0, True)
    assert figures.seconds("line", ALLFAST, SLOW) is None


# The files that images are made of


def test_made_files_are_the_same_each_time_and_a_change_changes_so_many(tmp_path: Path) -> None:
    script = Path(document.__file__).parent / "recipes" / "make_files.py"

    def made(name: str, *more: str) -> dict[str, tuple[bytes, int]]:
        folder = tmp_path / name
        subprocess.run([sys.executable, script, "small", "300000", folder], check=True)
        if more:
            subprocess.run([sys.executable, script, "change", more[0], folder, more[1]], check=True)
        files = [file for file in folder.rglob("*") if file.is_file()]
        return {str(file.relative_to(folder)): (file.read_bytes(), file.stat().st_mtime_ns) for file in files}

    one, two, changed = made("one"), made("two"), made("changed", "10", "something else")
    assert len(one) > 150
    assert one == two
    assert one.keys() == changed.keys()
    assert sum(one[name][0] != changed[name][0] for name in one) == 10
    assert all(one[name][1] != changed[name][1] for name in one), "all have the times of the rebuild"
