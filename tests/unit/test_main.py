"""The command as a process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SHOW = """
import sys
sys.argv = ["allfast", "--version"]
from allfast.__main__ import run
run()
from allfast.console import TextConsole
from allfast.redact import Redactor
TextConsole(Redactor()).text("a commit \u2713")
"""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_sign_that_the_terminal_cannot_show_is_escaped(encoding: str) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", SHOW], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["a commit \\u2713"]), done.stderr
