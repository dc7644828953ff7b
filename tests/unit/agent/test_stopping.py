"""A container is stopped also where the engine refuses that for a moment."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest

from allfast.agent import stopping
from allfast.agent.answer import Answer
from allfast.agent.engine import Engine, EngineError

#: What Docker 26 said of a container in a crash loop.
BETWEEN = EngineError(500, "cannot stop container: 928f71: container 928f71 is not running")
BUSY = EngineError(500, "cannot stop container: 928f71: tried to kill container, but did not receive an exit event")


class Refusing:
    """An engine that answers with these errors, one after the other, and then as it is asked; `asked` are the paths."""

    def __init__(self, *errors: EngineError) -> None:
        self.errors = list(errors)
        self.asked: list[tuple[str, dict[str, Any]]] = []

    @contextmanager
    def stream(self, method: str, path: str, **query: Any) -> Iterator[Answer]:
        """As `Engine.stream`."""
        self.asked.append((f"{method} {path}", query))
        if self.errors:
            raise self.errors.pop(0)
        yield cast(Answer, io.BytesIO())


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for."""
    monkeypatch.setattr(stopping, "PAUSE", 0.0)


@pytest.mark.parametrize(
    ("errors", "times"),
    [
        ([], 1),
        ([EngineError(304, "")], 1),
        ([EngineError(404, "no such container")], 1),
        ([BETWEEN], 2),
        ([BETWEEN] * 3 + [EngineError(304, "")], 4),
    ],
    ids=["stops", "has stopped", "is gone", "between two runs", "ends by itself"],
)
def test_it_has_stopped_in_the_end(errors: list[EngineError], times: int) -> None:
    engine = Refusing(*errors)
    stopping.stop(cast(Engine, engine), "928f71", t=3)
    assert engine.asked == [("POST /containers/928f71/stop", {"t": 3})] * times


@pytest.mark.parametrize(("error", "times"), [(BUSY, 1), (BETWEEN, stopping.TIMES)], ids=["other", "for ever"])
def test_what_the_engine_goes_on_to_refuse_is_its_error(error: EngineError, times: int) -> None:
    engine = Refusing(*[error] * 99)
    with pytest.raises(EngineError, match="cannot stop"):
        stopping.stop(cast(Engine, engine), "928f71")
    assert len(engine.asked) == times
