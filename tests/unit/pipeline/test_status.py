"""What `status` says where the ledger has no live release."""

from __future__ import annotations

from dataclasses import replace

from allfast.model.server import Container
from allfast.pipeline.status import Status, status_lines
from tests.unit.planning.facts_factory import running

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
