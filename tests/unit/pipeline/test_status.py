"""What `status` says where the ledger and the proxy do not agree, or the ledger has no live release."""

from __future__ import annotations

from dataclasses import replace

from allfast.model.server import Container
from allfast.pipeline.status import Status, status_lines
from tests.unit.planning.facts_factory import release, running

EMPTY = Status("chat", "production", "srv", "", 0.0, None, None, (), "", "", (), {}, (), None, "", False, ())


def lost(serving: str, *there: Container) -> Status:
    """What is found of `R1` after its ledger was lost."""
    return replace(EMPTY, serving=serving, containers=there, unrecorded=tuple(one.service for one in there))


def test_nothing_is_there_before_the_first_deploy() -> None:
    assert status_lines(EMPTY)[1:] == ["  nothing is deployed here yet"]


def test_what_serves_without_a_ledger_is_not_called_left_over() -> None:
    text = "\n".join(status_lines(lost("R1", running("web", release="R1"))))
    assert "the ledger knows no release, but the proxy leads to R1" in text
    assert "its state folder was lost" in text
    assert "unrecorded" in text
    assert not [word for word in ("nothing is deployed", "left over", "NOT PROVEN") if word in text]


def test_what_runs_in_place_without_a_ledger() -> None:
    assert "the ledger knows no release, but web run" in "\n".join(status_lines(lost("", running("web"))))


def test_what_visitors_get_already_is_called_so_and_stands_beside_what_is_live() -> None:
    """Killed between switch and proof: a person who takes its containers for rubbish takes the site away."""
    there = (running("web", release="R1"), running("web", release="R2", id="new"), running("web", release="R0"))
    lines = status_lines(replace(EMPTY, live=release(), serving="R2", containers=there, unfinished="deploy R2"))
    assert lines[1].startswith("  live     R1")
    assert lines[2].startswith("  serving  R2  NOT PROVEN: visitors get it")
    assert sum("R2  NOT PROVEN" in line for line in lines) == 1
    rows = [line for line in lines if "chat-web-1" in line]
    assert ["gets the visitors" in row for row in rows] == [False, True, False]
    assert ["left over" in row for row in rows] == [False, False, True]


def test_a_first_release_that_visitors_get_already() -> None:
    lines = status_lines(replace(EMPTY, serving="R1", containers=(running("web", release="R1"),)))
    assert lines[1].startswith("  serving  R1  NOT PROVEN")
    assert "gets the visitors" in "\n".join(lines)
    assert "nothing is deployed" not in "\n".join(lines)


def test_what_went_back_to_a_retired_release_gets_the_visitors_too() -> None:
    there = (running("web", release="R1"), running("web", release="R0"))
    text = "\n".join(status_lines(replace(EMPTY, live=release(), serving="R0", retired=("R0",), containers=there)))
    assert "gets the visitors" in text
    assert "warm" not in text
