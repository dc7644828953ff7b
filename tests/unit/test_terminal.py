"""How a command's error is told: on stderr for people, also where stdout is JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import typer

from allfast import events
from allfast.cli.common import terminal
from allfast.errors import RemoteError

ERROR = RemoteError(
    "the engine did not give its logs", hint="look at docker", evidence=("no such host", "pass hunter22")
)


def fail(*, as_json: bool, stream: bool) -> None:
    with (
        pytest.raises(typer.Exit) as ended,
        terminal(json=as_json, verbose=False, no_color=True, stream=stream) as term,
    ):
        term.redactor.add(["hunter22"])
        raise ERROR
    assert ended.value.exit_code == 1


def test_a_command_that_looks_shows_the_evidence_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    told = []
    for as_json in (True, False):
        fail(as_json=as_json, stream=False)
        said = capsys.readouterr()
        assert not said.out
        told.append(said.err)
    lines = ["error: the engine did not give its logs", "  | no such host", "  | pass ***", "next:  look at docker"]
    assert told == ["\n".join([*lines, ""])] * 2


def test_a_stream_of_events_ends_with_the_error_and_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    fail(as_json=True, stream=True)
    said = capsys.readouterr()
    error, result = map(json.loads, said.out.splitlines())
    assert (error["event"], error["evidence"]) == ("error", ["no such host", "pass ***"])
    assert (result["event"], result["outcome"], result["release"]) == ("result", "failed", "")
    assert not said.err


UNREAD = """
import os, sys
from allfast import events
from allfast.cli.common import terminal
with terminal(json={as_json}, verbose=False, no_color=True, stream=True) as term:
    for _ in range(20):
        term.emit(events.Note("what nobody reads"))
    os.write({done}, b"went on")
"""


@pytest.mark.parametrize("as_json", [True, False])
def test_what_is_under_way_goes_on_where_nobody_reads_any_more(as_json: bool) -> None:
    unread, output = os.pipe()
    os.close(unread)
    done, said = os.pipe()
    program = UNREAD.format(as_json=as_json, done=said)
    with open(output, "wb", closefd=True) as stdout:  # noqa: PTH123 - a descriptor
        ended = subprocess.run([sys.executable, "-c", program], stdout=stdout, stderr=subprocess.PIPE, pass_fds=[said])
    os.close(said)
    with open(done, "rb") as told:  # noqa: PTH123 - a descriptor
        assert told.read() == b"went on"
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_the_results_of_checks_in_words_and_what_is_said_aside(capsys: pytest.CaptureFixture[str]) -> None:
    with terminal(json=False, verbose=False, no_color=True) as term:
        term.redactor.add(["hunter22"])
        for result in ("right", "wrong", "could-not-be-asked"):
            term.emit(events.Checked("version", "web", result, "reports 1a2b3c4"))
        term.console.aside("nothing of hunter22 runs there")
    said = capsys.readouterr()
    ends = [line.rpartition(": ")[2] for line in said.out.splitlines()]
    assert ends == ["ok", "WRONG", "could not be asked"]
    assert said.err == "nothing of *** runs there\n"
