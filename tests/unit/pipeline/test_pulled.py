"""Which images may be pulled for a service, and what a dead run left of those it pulled."""

from __future__ import annotations

from typing import Any

import pytest

from allfast.model.service import BuildInputs
from allfast.pipeline.facts import Sources
from allfast.pipeline.pulled import PULL, REMOVE, left, registered
from allfast.remote.records import JournalStep
from allfast.source.bases import Bases

ONE, TWO = "sha256:" + "1" * 64, "sha256:" + "2" * 64


def inputs(*bases: tuple[str, str]) -> BuildInputs:
    return BuildInputs("", "linux/amd64", "", (), "", "", bases, ())


def test_a_registry_must_have_answered_for_them() -> None:
    sources = Sources(
        {
            "web": inputs(("node:20", ONE), (f"host:5000/team/nginx:1@{TWO}", TWO), ("here-only", "sha256:3")),
            "admin": inputs(("tiny-web", "inputs:4")),
            "api": inputs(),
        },
        Bases({}, frozenset({"here-only"})),
        {"web": (), "admin": (("tiny-web", "web"),), "api": ()},
    )
    assert registered(sources, "web") == (f"host:5000/team/nginx@{TWO}", f"node@{ONE}")
    assert registered(sources, "admin") == registered(sources, "web"), "by way of the service it is built from"
    assert registered(sources, "api") == ()


def step(name: str, outcome: str = "done", **detail: Any) -> JournalStep:
    return JournalStep(1, name, detail, 0.0, None, outcome)


@pytest.mark.parametrize(
    ("journal", "expected"),
    [
        ([], []),
        ([step(PULL, "", image="a")], ["a"]),
        ([step(PULL, image="b"), step(PULL, "failed", image="a"), step("ship images", "")], ["a", "b"]),
        ([step(PULL, image="a"), step(REMOVE, "", images=["a"])], ["a"]),
        ([step(PULL, image="a"), step(REMOVE, "failed", images=["a"])], ["a"]),
        ([step(PULL, image="a"), step(REMOVE, images=["a"])], []),
    ],
)
def test_what_a_dead_run_left(journal: list[JournalStep], expected: list[str]) -> None:
    assert left(journal) == expected
