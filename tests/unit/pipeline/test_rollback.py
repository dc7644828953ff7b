"""Which release `allfast rollback` means."""

from __future__ import annotations

import pytest

from allfast.errors import RefusedError, UsageError
from allfast.model.release import Commit, Release, ReleaseState, Run, Who
from allfast.pipeline.rollback import before_the_live_one, ran_since, require_data
from tests.unit.planning.facts_factory import containers, release, running, server


def runs(*told: str) -> list[Run]:
    """Runs, the newest first, from words such as "deploy A", "rollback A" and "failed B", the oldest first."""
    made = []
    for number, text in enumerate(told):
        kind, release = text.split()
        outcome = "failed" if kind == "failed" else "done"
        made.append(Run(number, kind.replace("failed", "deploy"), Who("me", "here"), 0.0, 1.0, outcome, release))
    return made[::-1]


def ledger(live: str, retired: str) -> tuple[tuple[Release, ReleaseState], ...]:
    """The ledger's releases; names are single letters."""
    states = {**dict.fromkeys(retired, ReleaseState.RETIRED), live: ReleaseState.LIVE}
    return tuple((Release(name, Commit("0" * 40, "", 0), (), ()), state) for name, state in states.items())


@pytest.mark.parametrize(
    ("live", "retired", "told", "wanted"),
    [
        ("B", "A", ["deploy A", "deploy B"], "A"),
        ("C", "AB", ["deploy A", "deploy B", "rollback A", "deploy C"], "A"),
        ("C", "AB", ["deploy A", "deploy B", "deploy C"], "B"),
        ("B", "A", ["deploy A", "failed X", "deploy B"], "A"),
        ("A", "BC", ["deploy A", "deploy B", "deploy C", "rollback B", "rollback A"], None),
        ("A", "C", ["deploy A", "deploy C", "rollback A"], None),
        ("A", "", ["deploy A"], None),
    ],
)
def test_the_release_before(live: str, retired: str, told: list[str], wanted: str | None) -> None:
    if wanted is None:
        with pytest.raises(UsageError, match="no earlier release"):
            before_the_live_one(ledger(live, retired), runs(*told))
    else:
        assert before_the_live_one(ledger(live, retired), runs(*told)).id == wanted


def test_what_ran_since_is_what_really_ran() -> None:
    """All of a release that was live; of one that was not, what had begun when it failed."""
    commit = Commit("0" * 40, "", 0)
    made = {name: Release(name, commit, (), (), one_shots=("migrate", "seed")) for name in "ABCD"}
    states = {"D": ReleaseState.LIVE, "C": ReleaseState.PREPARED, "B": ReleaseState.PREPARED, "A": ReleaseState.RETIRED}
    begun = {"B": 0, "C": 1}
    found = ran_since(tuple((made[n], s) for n, s in states.items()), made["A"], lambda one: begun[one.id])
    assert found == ("migrate (for C)", "migrate (for D)", "seed (for D)")


def test_a_data_service_without_a_container_refuses() -> None:
    """A rollback would not start it; one that is only stopped is said by status."""
    require_data(release(), server())
    require_data(release(), server(containers=containers(running("db", state="exited"))))
    with pytest.raises(RefusedError, match="db of R1 has no container") as caught:
        require_data(release(), server(containers=containers(without=("db",))))
    assert "allfast recover" in caught.value.hint
