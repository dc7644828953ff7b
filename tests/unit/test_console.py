"""What a person at a terminal sees while stages overlap, and what a program reads when several threads tell."""

from __future__ import annotations

import io
import json
import re
import threading
import unicodedata
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allfast.console import JsonConsole, TextConsole, print_failure
from allfast.events import (
    BasePulled,
    BuildStep,
    Event,
    Failed,
    Note,
    Result,
    ServerWorks,
    ShipProgress,
    StageBegan,
    StageEnded,
)
from allfast.redact import Redactor
from allfast.text import printable

STEP = BuildStep("web", "RUN make", 2, 3)
BASE = "python@sha256:" + "1" * 64
SOME = ShipProgress("api", 10_000_000, 30_000_000, 2.0, 1_000, 10_000_000, 90_000_000)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Iterator[TextConsole]:
    """A console whose output counts as a terminal."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "240")
    console = TextConsole(Redactor(), color=False)
    yield console
    console.close()


def line(console: TextConsole) -> str:
    """The progress line."""
    assert console._status is not None
    return str(console._status.status)


def rendered(console: TextConsole) -> str:
    """The progress line as a terminal gets it, with its spinner before it."""
    assert console._status is not None
    with console.rich.capture() as captured:
        console.rich.print(console._status.renderable)
    return re.sub(r"\x1b\[[0-9;]*m", "", captured.get()).rstrip()


def test_what_a_step_says_is_no_markup(shown: TextConsole) -> None:
    """A closing tag that nothing has opened would be an error."""
    shown.emit(BuildStep("web", "RUN sed 's#[/]#_#' [bold]", 1, 9))
    assert rendered(shown).endswith("build: web [1/9] RUN sed 's#[/]#_#' [bold]")


def test_the_progress_line_shows_builds_and_what_is_sent_beside_them(shown: TextConsole) -> None:
    shown.emit(StageBegan("build"))
    assert line(shown) == "build"
    shown.emit(STEP)
    shown.emit(SOME)
    assert line(shown) == (
        "build: web [2/3] RUN make | ship: api: 10.0 MB of 30.0 MB, 5.0 MB/s, 4.0 s left, 1.0 kB on the wire; "
        "all images: 10.0 MB of 90.0 MB, 16 s left"
    )
    shown.emit(ShipProgress("api", 30_000_000, 30_000_000, 6.0))
    shown.emit(STEP)
    assert line(shown) == "build: web [2/3] RUN make", "what is sent is under way no more"


@pytest.mark.parametrize("name", ["[1/7] FROM x", "[build 2/5] RUN y", "[linux/amd64 build 2/5] COPY . ."])
def test_a_step_that_bears_its_number_gets_no_other(shown: TextConsole, name: str) -> None:
    shown.emit(BuildStep("web", name, 3, 9))
    assert line(shown) == f"build: web {name}"
    assert rendered(shown).endswith(f"build: web {name}")
    shown.emit(BuildStep("web", "[auth] library/x:pull token", 3, 9))
    assert line(shown) == "build: web [3/9] [auth] library/x:pull token"


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[[float, Event], list[str]]:
    """Without a terminal: gives the lines that an event of that second brings."""
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    now = 100.0
    console = TextConsole(Redactor(), color=False, clock=lambda: now)

    def told(second: float, event: Event) -> list[str]:
        nonlocal now
        now = 100.0 + second
        console.emit(event)
        return capsys.readouterr().out.splitlines()

    return told


def test_a_log_hears_of_a_long_shipment(logged: Callable[[float, Event], list[str]]) -> None:
    def told(second: float, sent: int) -> list[str]:
        return logged(second, ShipProgress("web", sent, 40_000_000, second))

    assert told(0, 0) == told(14.9, 14_000_000) == []
    assert told(15, 15_000_000) == ["ship      web: 15.0 MB of 40.0 MB, 1.0 MB/s, 25 s left"]
    assert told(29, 29_000_000) == []
    assert told(30, 30_000_000) == ["ship      web: 30.0 MB of 40.0 MB, 1.0 MB/s, 10 s left"]
    assert told(60, 40_000_000) == [], "it is told that it was shipped"
    assert told(70, 1) == told(84, 2) == [], "another image, which may be soon done"


def test_a_terminal_gets_no_lines_beside_the_progress_line(shown: TextConsole, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(shown, "_clock", iter((0.0, 60.0)).__next__)
    monkeypatch.setattr(shown, "text", lambda text, _style="": told.append(text))
    for sent in (1, 2):
        shown.emit(ShipProgress("web", sent, 40_000_000, 1.0))
    assert told == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", "All fast. R1 1.5 s http://x\n"), ("Open for visitors.", "Open for visitors. 1.5 s http://x\n")],
)
def test_only_a_release_is_all_fast(capsys: pytest.CaptureFixture[str], text: str, expected: str) -> None:
    TextConsole(Redactor(), color=False).emit(Result("done", "R1", 1.5, url="http://x", proven=True, text=text))
    assert capsys.readouterr().out == expected


def test_rate_and_time_left_are_of_what_was_sent_now(shown: TextConsole) -> None:
    shown.emit(StageBegan("ship"))
    shown.emit(ShipProgress("web", 4_010_000_000, 5_000_000_000, 2.0, found=4_000_000_000))
    assert line(shown) == "ship: web: 4.01 GB of 5.00 GB, 5.0 MB/s, 3 min 18 s left"


@pytest.mark.parametrize(
    ("work", "words"),
    [
        (("reading", 1, 5, 2.0), "read: web: the server reads a layer from its engine: 1.00 GB of 5.00 GB, 500.0 MB/s"),
        (("reading", 1, 0, 2.0), "read: web: the server reads a layer from its engine: 1.00 GB"),
        (("reading", 0, 0, 2.0), "read: web: the server reads a layer from its engine"),
        (("loading", 2, 5, 4.0), "load: web: the server's engine takes it: 2.00 GB of 5.00 GB, 500.0 MB/s, 6.0 s left"),
        (("unpacking", 0, 5, 0.0), "load: web: the server's engine unpacks it (5.00 GB)"),
        (("unpacking", 5, 5, 9.0), "load: web: the server's engine unpacks it: 5.00 GB of 5.00 GB, 555.6 MB/s"),
    ],
)
def test_what_the_server_is_at_is_told(shown: TextConsole, work: tuple[str, int, int, float], words: str) -> None:
    name, done, total, seconds = work
    shown.emit(StageBegan("ship"))
    shown.emit(ServerWorks("web", name, done * 10**9, total * 10**9, seconds))
    assert words in line(shown)
    shown.emit(BuildStep("api", "RUN make", 1, 2))
    assert words in line(shown)
    shown.emit(ServerWorks("web", name, done * 10**9, total * 10**9, seconds, over=True))
    assert line(shown) == "ship | build: api [1/2] RUN make"


def test_a_log_hears_of_a_server_that_works_for_long(logged: Callable[[float, Event], list[str]]) -> None:
    def told(second: float) -> list[str]:
        return logged(second, ServerWorks("web", "loading", int(second * 1e8), 5_000_000_000, second))

    assert told(1) == told(15.9) == []
    assert told(16) == ["load      web: the server's engine takes it: 1.60 GB of 5.00 GB, 100.0 MB/s, 34 s left"]
    logged(17, ServerWorks("web", "loading", 1, 5, 17.0, over=True))
    assert told(18) == told(32) == [], "another image"


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (
            ("began", 51_000_000, ""),
            "pull      the server pulls python@sha256:111111111111 (51.0 MB) while other layers",
        ),
        (("done", 18_000_000, ""), "pull      the server has pulled python@sha256:111111111111: 18.0 MB not sent"),
        (("given-up", 0, "sending is sooner done"), "is given up (sending is sooner done): its layers are sent"),
        (("failed", 0, "manifest unknown"), "warning   the server could not pull python@sha256:111111111111 (manifest"),
    ],
)
def test_what_the_server_pulls_is_told(
    shown: TextConsole, capsys: pytest.CaptureFixture[str], event: tuple[Any, int, str], expected: str
) -> None:
    shown.emit(BasePulled(BASE, *event))
    assert expected in capsys.readouterr().out


WAITED = BasePulled(BASE, "pulling", 40_000_000, rate=2_000_000.0, seconds_left=20.0)


def test_the_progress_line_shows_a_pull_that_is_waited_for(shown: TextConsole, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(shown, "_clock", lambda: now)
    shown.emit(StageBegan("ship"))
    shown.emit(WAITED)
    pull = "pull: python@sha256:111111111111: 40.0 MB to go, 2.0 MB/s, 20 s left"
    assert line(shown) == f"ship | {pull}"
    now += 1
    shown.emit(SOME)
    assert line(shown).startswith("ship: api: 10.0 MB of 30.0 MB")
    assert line(shown).endswith(pull), "another image may be sent meanwhile"
    shown.emit(BasePulled(BASE, "pulling"))
    assert line(shown).endswith("pull: python@sha256:111111111111: fetched; the server unpacks it")
    shown.emit(BasePulled(BASE, "done", 40_000_000))
    assert line(shown).startswith("ship: api: 10.0 MB of 30.0 MB")
    assert "pull" not in line(shown)


def test_a_pull_that_is_waited_for_no_more_is_not_shown_beside_what_is_sent(
    shown: TextConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That it was given up is told when its layers are there."""
    now = 100.0
    monkeypatch.setattr(shown, "_clock", lambda: now)
    shown.emit(StageBegan("ship"))
    shown.emit(WAITED)
    now += 5
    shown.emit(SOME)
    assert "pull" not in line(shown)


def test_a_log_hears_of_a_long_pull(logged: Callable[[float, Event], list[str]]) -> None:
    assert logged(0, WAITED) == logged(14.9, WAITED) == []
    assert logged(15, WAITED) == ["pull      python@sha256:111111111111: 40.0 MB to go, 2.0 MB/s, 20 s left"]
    assert logged(29, WAITED) == []
    assert logged(30, BasePulled(BASE, "done", 40_000_000)) == [
        "pull      the server has pulled python@sha256:111111111111: 40.0 MB not sent"
    ]
    assert logged(40, WAITED) == logged(54, WAITED) == [], "another pull, which may be soon done"


def test_what_is_sent_stays_shown_when_the_builds_are_done(shown: TextConsole) -> None:
    shown.emit(StageBegan("build"))
    shown.emit(SOME)
    shown.emit(StageEnded("build", 3.0))
    shown.emit(StageBegan("ship"))
    assert line(shown).startswith("ship: api: 10.0 MB of 30.0 MB")


def test_a_stage_that_failed_is_shown_no_more(shown: TextConsole) -> None:
    shown.emit(StageBegan("build"))
    shown.emit(SOME)
    shown.emit(StageBegan("rollback", "r1"))
    assert line(shown) == "rollback: r1"


class Between(io.StringIO):
    """A file that gives another thread the time to write before a line has its end."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.others = threading.Event(), threading.Event()

    def write(self, text: str) -> int:
        if text == "\n" and not self.begun.is_set():
            self.begun.set()
            self.others.wait(0.5)  # in vain where lines are whole
        elif self.begun.is_set():
            self.others.set()
        return super().write(text)


def test_lines_of_several_threads_do_not_mix() -> None:
    out = Between()
    console = JsonConsole(Redactor(), out)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(console.emit, Note("one"))
        assert out.begun.wait(10)
        pool.submit(console.emit, Note("two")).result(10)
        first.result(10)
    assert [json.loads(each)["text"] for each in out.getvalue().splitlines()] == ["one", "two"]


def test_what_an_interrupt_tells_in_the_middle_of_a_line_does_not_wait_for_it() -> None:
    """A signal comes in the thread that is telling something: to wait for that would be for ever."""

    class Interrupted(io.StringIO):
        def write(self, text: str) -> int:
            if "first" in text:
                console.emit(Note("second"))
            return super().write(text)

    out = Interrupted()
    console = JsonConsole(Redactor(), out)
    telling = threading.Thread(target=console.emit, args=(Note("first"),), daemon=True)
    telling.start()
    telling.join(10)
    assert not telling.is_alive()
    assert out.getvalue().count("second") == 1


FORGED = "Mozilla\x1b]52;c;Y3VybA==\x07\x1b[2K\rAll fast.\x9b31m \u202eevil\x1b[31mred\x1b[0m\r"


def test_what_others_wrote_is_shown_and_not_carried_out(capsys: pytest.CaptureFixture[str]) -> None:
    """Log lines, evidence, hints, questions: a terminal would act on what a visitor put into a User-Agent."""
    shown = "Mozilla\\x1b]52;c;Y3VybA==\\x07\\x1b[2K\\rAll fast.\\x9b31m \\u202eevilred"
    console = TextConsole(Redactor(), color=False)
    console.text(FORGED)
    console.emit(Note(f"one\n{FORGED}"))
    console.aside(FORGED)
    print_failure(Failed(f"one\n{FORGED}", f"two\n{FORGED}", (FORGED,)), color=False)
    read = capsys.readouterr()
    assert read.out.splitlines() == [shown, "note      one", f"          {shown}"]
    expected = [shown, "error: one", f"  {shown}", f"  | {shown}", "next:  two", f"  {shown}"]
    assert read.err.splitlines() == expected


@pytest.mark.parametrize("text", ["", "\tplain", "two\nlines", "Grüße, 世界 ✓", "a\\b"])
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


@given(st.text())
def test_nothing_that_a_terminal_acts_on_is_left(text: str) -> None:
    shown = printable(text)
    assert not any(unicodedata.category(one) == "Cc" for one in shown if one not in "\n\t")
    assert printable(shown) == shown
