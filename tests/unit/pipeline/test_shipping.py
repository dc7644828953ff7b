"""What is brought to the server before one-shots run, and what is said of it."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from allfast.errors import ShipError
from allfast.pipeline import foreign_images, shipping
from allfast.pipeline.context import Context
from allfast.pipeline.shipping import told
from tests.unit.planning.facts_factory import NOW, live_facts, plan_of


@pytest.mark.parametrize(
    ("wire_bytes", "early", "words"),
    [
        (0, 0, "nothing to send"),
        (12_300_000, 0, "12.3 MB sent"),
        (12_300_000, 10_100_000, "12.3 MB sent, 10.1 MB of it while others were built"),
        (512, 512, "512 B sent, 512 B of it while others were built"),
    ],
)
def test_how_much_was_sent_and_how_much_of_it_beside_builds(wire_bytes: int, early: int, words: str) -> None:
    assert told(wire_bytes, early) == words


@pytest.fixture
def brought(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The images that nobody builds, each with whom it was brought for; the proxy's is nowhere to be had."""
    found: list[tuple[str, str]] = []

    def bring(_context: Context, reference: str, name: str, _local: object, _platform: str) -> None:
        found.append((reference, name))
        if reference == "caddy:2":
            raise ShipError("the image caddy:2 of the proxy is not on the server")

    monkeypatch.setattr(foreign_images, "bring", bring)
    return found


def ship(proxy_image: str, canary: int = 0) -> None:
    """Ship a release whose images are all there."""
    facts = live_facts(proxy_image=proxy_image)
    context = SimpleNamespace(
        step=lambda *_, **__: nullcontext(),
        server=SimpleNamespace(cache=SimpleNamespace(name=lambda _: None), record_images=lambda _: None),
        project=SimpleNamespace(deployment="chat"),
        now=lambda: NOW,
    )
    snapshot = cast("Any", SimpleNamespace(facts=facts, local=None))
    outgoing = cast("Any", SimpleNamespace(arrive=dict, sent={}))
    shipping.ship(cast("Context", context), snapshot, replace(plan_of(facts), canary=canary), outgoing, "R2")


def test_the_proxys_image_is_brought_with_those_of_the_release(brought: list[tuple[str, str]]) -> None:
    """One that is nowhere to be had ends the deploy before its one-shots have run."""
    with pytest.raises(ShipError):
        ship("caddy:2")
    assert brought == [("caddy:2", "the proxy")]


@pytest.mark.parametrize(("proxy_image", "canary"), [("", 0), ("caddy:2", 10)])
def test_no_image_is_brought_for_a_proxy_that_stays(
    brought: list[tuple[str, str]], proxy_image: str, canary: int
) -> None:
    """A canary leaves the container as it is."""
    ship(proxy_image, canary)
    assert brought == []
