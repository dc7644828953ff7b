"""Numbers in words."""

import pytest

from allfast.text import seconds


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.0, "0.0 s"),
        (0.44, "0.4 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (99.4, "99 s"),
        (99.6, "1 min 40 s"),
        (119.7, "2 min 00 s"),
        (185.2, "3 min 05 s"),
        (3_599.6, "60 min 00 s"),
    ],
)
def test_a_duration_never_has_sixty_seconds_beside_its_minutes(value: float, words: str) -> None:
    assert seconds(value) == words
