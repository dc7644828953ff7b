"""The process that removes a warm release when its time is over is killed: while it waits, and within its step."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from chaos import agree
from chaos.bed import KEEP_WARM, Bed
from chaos.cases import Result, last, ready, told
from testbed.common import wait_until

#: Seconds for which a release is warm here: longer than the end of the deploy that leaves it.
SOON = "8s"
#: Kills it when its run is in the ledger, or at once; no command is connected, so no other agent runs.
KILL = """
import os, signal, sqlite3, sys, time
db = sqlite3.connect("file:%s?mode=ro" % sys.argv[1], uri=True)
while sys.argv[2] == "in" and not db.execute("SELECT 1 FROM runs WHERE kind = 'retire' AND ended IS NULL").fetchone():
    time.sleep(0.002)
killed = 0
for name in os.listdir("/proc"):
    try:
        words = open("/proc/%s/cmdline" % name).read().split("\\0") if name.isdigit() else []
    except OSError:
        continue
    if len(words) > 4 and words[1:4] == ["-I", "-S", "-B"] and int(name) != os.getpid():
        os.kill(int(name), signal.SIGKILL)
        killed += 1
print(killed)
"""
PLACES = {"before": "while it waits", "in": "in remove release"}


def name_of(place: str) -> str:
    """As the table has it."""
    return f"retire, {PLACES[place]}: its process is killed"


def run(bed: Bed, place: str) -> Result:
    """Kill it under load, then deploy again."""
    result, began = Result(name_of(place)), time.monotonic()
    if complaints := ready(bed):
        result.wrong = [f"before it began: {one}" for one in complaints]
        return result
    with bed.visitors() as visitors, _soon(bed):
        text = bed.change()
        with visitors.switching(text):
            bed.cli.deploy()
        killed = bed.server.exec(["python3", "-c", KILL, f"{bed.folder}/ledger.sqlite3", place]).stdout
        if killed.strip() == "0":
            result.wrong.append("no such process")
        wait_until(bed.free, "the lock of a dead process to be free", 20)
        ended = bed.ledger().runs[-1][4] is not None
        result.left = f"{'new' if bed.glimpse() == text else 'no'} release; its run {_words(place, ended)}"
        text = bed.change()
        with visitors.switching(text):
            after = bed.cli.deploy("--wait", code=None)
        if after.code != 0:
            result.wrong.append(f"the next command: exit {after.code}: {last(after)}")
        wait_until(lambda: _alone(bed), "all other releases to be removed", 60)
        result.recovery = f"{told(after)}; what was warm is gone"
        visitors.wait_for(20)
        report = visitors.report()
    result.answers = report.total
    result.wrong += [f"failed: {one.reason}" for one in report.failures[:5]]
    result.wrong += [f"mixed: {one}" for one in report.mixed[:5]]
    result.wrong += agree.complaints(bed, text)
    result.seconds = time.monotonic() - began
    return result


def _words(place: str, ended: bool) -> str:
    return "had not begun" if place == "before" else "ended" if ended else "never ended"


@contextmanager
def _soon(bed: Bed) -> Iterator[None]:
    """Have releases be warm for a moment only; not committed at the end, the next change does."""
    file = bed.app.path / "allfast.toml"
    text = file.read_text()
    file.write_text(text.replace(f'keep_warm = "{KEEP_WARM}"', f'keep_warm = "{SOON}"'))
    yield
    file.write_text(text)


def _alone(bed: Bed) -> bool:
    """Whether the live release has the only containers, and nobody works on them."""
    labels = bed.server.docker(
        "ps", "-a", "--filter", f"label=allfast.deployment={bed.name}", "--format", '{{.Label "allfast.release"}}'
    ).stdout.split()
    return set(labels) == {bed.ledger().live} and bed.free()
