"""Which ends of a run leave to the next attempt what was sent."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any, cast

import pytest

from allfast.errors import BuildError, LockLostError
from allfast.model.release import Run, Who
from allfast.pipeline import converge, in_place, pulled, record, recover
from allfast.pipeline.context import Context

UNFINISHED = Run(7, "deploy", Who("ann", "laptop"), 1.0, None, "", "R1")


@pytest.fixture
def asked() -> list[dict[str, Any]]:
    """What the server was asked to prune."""
    return []


@pytest.fixture
def context(asked: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> Context:
    """As much of one as a prune needs; nothing runs on its server, and there is nothing else to put right."""
    facts = SimpleNamespace(live=None, image_refs=(), images=(), containers=())
    server = SimpleNamespace(
        prune=lambda keep, layer_cache, **more: asked.append({"keep": keep, "layer_cache": layer_cache, **more}),
        releases=list,
        facts=lambda: facts,
        resume_run=lambda run: run,
        run=lambda _: SimpleNamespace(journal=()),
        end_run=lambda *_: None,
    )
    for name in ("unrecorded", "at_hand"):
        monkeypatch.setattr(converge, name, lambda _: set[str]())
    monkeypatch.setattr(pulled, "remove_left", lambda *_: [])
    monkeypatch.setattr(in_place, "clear", lambda *_: None)
    monkeypatch.setattr(recover, "_adopted", lambda _, facts, __: facts)
    monkeypatch.setattr(recover, "_start_data", lambda *_: [])
    monkeypatch.setattr(recover, "_bring_back", lambda *_: "nothing was changed")

    @contextmanager
    def stage(_: str) -> Any:
        yield []

    one = SimpleNamespace(
        server=server,
        project=SimpleNamespace(config=SimpleNamespace(toml=SimpleNamespace(layer_cache=5, keep=1)), deployment="chat"),
        redactor=SimpleNamespace(text=str),
        step=lambda *_, **__: nullcontext(),
        stage=stage,
        warn=lambda _: None,
        run=None,
        went_live=False,
    )
    return cast("Context", one)


def fails(context: Context, error: BaseException) -> None:
    with pytest.raises(type(error)), record.pruned_if_it_fails(context, "R1"):
        raise error


@pytest.mark.parametrize(
    ("end", "resumable"),
    [
        pytest.param(record.prune, False, id="a good end"),
        pytest.param(lambda context: fails(context, BuildError("no such file")), True, id="a failure"),
        pytest.param(lambda context: fails(context, KeyboardInterrupt()), True, id="an interrupt"),
        pytest.param(lambda context: recover.settle(context, UNFINISHED), True, id="a cut, settled by the next one"),
        pytest.param(lambda context: recover._made_right(context, context.server.facts()), True, id="a recovery"),
    ],
)
def test_only_a_good_end_holds_what_was_sent_to_the_layer_cache(
    end: Callable[[Context], object], resumable: bool, context: Context, asked: list[dict[str, Any]]
) -> None:
    end(context)
    assert asked == [{"keep": [], "layer_cache": 5, "resumable": resumable}]


def test_nothing_is_pruned_where_the_lock_is_lost(context: Context, asked: list[dict[str, Any]]) -> None:
    fails(context, LockLostError("the lock is lost"))
    assert asked == []
