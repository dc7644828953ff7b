"""What is said of a shipment."""

from __future__ import annotations

import pytest

from allfast.pipeline.shipping import told


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
