"""The cases: one journal step, one place of it, one way on; and what must be true whatever was killed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from chaos import agree
from chaos.bed import Bed, Nobody
from chaos.laptop import END
from tests.e2e.harness import Outcome

PLACES = ("before", "in", "after")
SIGKILLED = -9


@dataclass(frozen=True)
class Case:
    """`scene` is what was under way, a key of `SCENES` or `IN_PLACE`."""

    scene: str
    step: str
    place: str

    @property
    def name(self) -> str:
        """As the table has it."""
        return f"{self.scene}: {self.place} {self.step}"


@dataclass
class Result:
    """What came of a case; it is well where nothing is wrong."""

    name: str
    left: str = ""  # what visitors got, and what status said, after the kill
    recovery: str = ""  # what the next command told
    answers: int = 0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)
    commit: str = ""  # of allfast; an older one where the row was gathered earlier


@dataclass(frozen=True)
class Scene:
    """How to begin, what is killed, and which command comes next.

    Args:
        begin: the text that will be served, and the command that leads to it.
        visited: whether there are visitors, of whom none may notice anything.
        agrees: what must be true at the end.
    """

    begin: Callable[[Bed], tuple[str, list[str]]]
    visited: bool = True
    agrees: Callable[[Bed, str], list[str]] = agree.complaints

    def steps(self, bed: Bed) -> list[str]:
        """The steps of the whole of it, and the end of the run."""
        _, argv = self.begin(bed)
        bed.cli(*argv, "--json", "--yes")
        return [*bed.ledger().steps(), END]

    def run(self, bed: Bed, case: Case) -> Result:
        """Carry out a case: kill, look, go on, and see that all agrees."""
        result, began = Result(case.name), time.monotonic()
        if complaints := ready(bed):
            result.wrong = [f"before it began: {one}" for one in complaints]
            return result
        text, argv = self.begin(bed)
        with bed.visitors() if self.visited else Nobody() as visitors:
            with visitors.switching(text):
                killed = bed.killed(case.step, case.place, *argv)
                if killed.code != SIGKILLED:
                    result.wrong.append(f"not killed: exit {killed.code}: {last(killed)}")
                result.left, wrong = _left(bed, text, case)
                result.wrong += wrong
                after = bed.cli(*argv, "--wait", "--json", "--yes", code=None)
                result.recovery = told(after)
                if after.code != 0:
                    result.wrong.append(f"the next command: exit {after.code}: {last(after)}")
            visitors.wait_for(20)
            report = visitors.report()
        result.answers = report.total
        result.wrong += [f"failed: {one.reason}" for one in report.failures[:5]]
        result.wrong += [f"mixed: {one}" for one in report.mixed[:5]]
        result.wrong += self.agrees(bed, text)
        result.seconds = time.monotonic() - began
        return result


def ready(bed: Bed) -> list[str]:
    """An earlier case that went wrong must not be counted twice: what it left is put right by a deploy."""
    ledger = bed.ledger()
    if ledger.live and ledger.releases[ledger.live][1]["proven"] and all(run[4] for run in ledger.runs):
        return []
    done = bed.cli.deploy("--wait", code=None)
    return [] if done.code == 0 else [last(done)]


def _left(bed: Bed, text: str, case: Case) -> tuple[str, list[str]]:
    """What visitors get after the kill, and whether status says so."""
    ledger, status, served = bed.ledger(), bed.status(), bed.glimpse()
    began = ledger.runs[-1][4] is None
    wrong = []
    if began and not status["unfinished"]:
        wrong.append("status does not say that the run never ended")
    recorded = ledger.live and status["serving"] in (ledger.live, "")  # without the proxy nothing is led
    proven = bool(recorded) and status["live"]["proven"] and served == bed.text_of(ledger.live)
    if served == text and case.step == "switch" and proven:
        wrong.append("status does not say that what visitors get is unproven")
    state = "never ended" if began else "ended"
    if not served:
        return f"nothing; the run {state}", wrong
    return f"{'new' if served == text else 'old'} release, {'proven' if proven else 'unproven'}; the run {state}", wrong


def told(ended: Outcome) -> str:
    """The words of the stage of recovery, or the outcome."""
    stages = [e for e in ended.events if e["event"] == "stage-ended" and e["stage"] == "recover"]
    return "; ".join([*(one["text"] for one in stages), ended.events[-1].get("outcome", "") if ended.events else ""])


def last(ended: Outcome) -> str:
    """How it failed, in its own words."""
    errors = [f"{e['message']} ({e['hint']})" for e in ended.events if e["event"] == "error"] if ended.out else []
    return "; ".join(errors) or (ended.out + ended.err)[-300:]


def _deploy(bed: Bed) -> tuple[str, list[str]]:
    return bed.change(), ["deploy"]


def _back(bed: Bed) -> tuple[str, list[str]]:
    """To the release that is not live; one is made where there is none."""
    ledger = bed.ledger()
    others = [id_ for id_, (state, _) in ledger.releases.items() if state == "retired"]
    if not others:
        bed.change()
        bed.cli.deploy("--wait")
        return _back(bed)
    return bed.text_of(others[-1]), ["rollback", others[-1]]


def _back_cold(bed: Bed) -> tuple[str, list[str]]:
    text, argv = _back(bed)
    bed.cool(argv[-1])
    return text, argv


def _first(bed: Bed) -> tuple[str, list[str]]:
    bed.clear()
    return _deploy(bed)


SCENES = {
    "deploy": Scene(_deploy),
    "rollback, warm": Scene(_back),
    "rollback, cold": Scene(_back_cold),
    "first deploy": Scene(_first, visited=False),
}
#: On a server of their own, with strategy "recreate": its gap is no failure.
IN_PLACE = {
    "recreate, deploy": Scene(_deploy, visited=False, agrees=agree.complaints_in_place),
    "recreate, rollback": Scene(_back, visited=False, agrees=agree.complaints_in_place),
}

#: What `make test` runs of it.
FAST = (
    Case("deploy", "start release", "in"),
    Case("deploy", "switch", "after"),
    Case("deploy", "go live", "in"),
    Case("rollback, warm", "switch", "after"),
)


def all_of(scene: str, steps: list[str]) -> Iterator[Case]:
    """Each place of each step."""
    for step in steps:
        yield from (Case(scene, step, place) for place in PLACES)
