"""A line of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.remote.line import Line


@pytest.fixture
def line() -> Iterator[Line]:
    """A laptop's channel and the other end, at which a test or an agent's loop sits."""
    one = Line()
    yield one
    one.close()
