"""Killed at a step: the fast subset of `make chaos`, and what it has not: a proof that turns out wrong afterwards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chaos import agree
from chaos.bed import Bed, bed
from chaos.cases import FAST, SCENES, Case
from tests.e2e.conftest import file_of
from tests.e2e.looks import replace

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def machine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """A server with a release of its own."""
    with bed(f"e2e-{file_of(request)}", tmp_path_factory.mktemp("bed")) as made:
        yield made


@pytest.mark.parametrize("case", FAST, ids=lambda case: case.name)
def test_killed(machine: Bed, case: Case) -> None:
    result = SCENES[case.scene].run(machine, case)
    assert result.wrong == []


def test_a_wrong_proof_brings_the_release_before_back(machine: Bed) -> None:
    """Killed between the switch and the proof, and what visitors get turns out to be wrong."""
    before = machine.text()
    text = machine.change()
    machine.killed("switch", "after", "deploy")
    assert machine.text() == text
    told = machine.cli("status").out
    assert "NOT PROVEN" in told
    assert "never ended: deploy" in told
    tamper(machine)
    recovered = machine.cli("recover", "--json")
    notes = [event["text"] for event in recovered.events if event["event"] == "note"]
    assert any("is wrong" in note and "serves again" in note for note in notes), notes
    assert recovered.result["proven"]
    assert left_over(machine, before) == []
    runs = machine.ledger().runs
    assert [(run[1], run[3]) for run in runs[-2:]] == [("deploy", "undone"), ("recover", "done")]
    assert machine.cli("recover", "--json").result["outcome"] == "nothing-to-do"

    machine.cli.deploy()
    assert agree.complaints(machine, text) == []


def test_a_late_proof_that_is_wrong_brings_the_release_before_back(machine: Bed) -> None:
    """Live, but nobody could ask through the URL; when somebody can, the answer is wrong."""
    before, url = machine.text(), machine.server.url()
    replace(machine.app, "allfast.toml", url, "http://127.0.0.1:9")
    text = machine.change()
    assert "could not be proven" in machine.cli.deploy(code=4).out
    assert machine.text() == text
    replace(machine.app, "allfast.toml", "http://127.0.0.1:9", url)
    machine.app.commit("The right URL")
    tamper(machine)
    failed = machine.cli.deploy(code=1)
    assert "not what it should be" in failed.out
    assert left_over(machine, before) == []
    assert machine.ledger().runs[-1][3] == "failed"


def tamper(machine: Bed) -> None:
    """Have the web of what visitors get report another version than its own."""
    release = machine.server.exec(["cat", f"/var/lib/allfast/_proxy/apps/{machine.name}/live"]).stdout.partition(".")[0]
    web = f"{machine.name}-{release}-web-1"
    machine.server.docker("exec", "--user", "0", web, "sh", "-c", "echo 'COMMIT = \"0123456789\"' > commit.py")
    machine.server.docker("restart", web)


def left_over(machine: Bed, text: str) -> list[str]:
    """What does not agree; the release that failed is kept as prepared until the next deploy."""
    return [one for one in agree.complaints(machine, text) if not one.endswith("stays prepared")]
