"""A person is asked before something is touched; and what is said of a failure of any kind."""

from __future__ import annotations

from typing import cast

import pytest

from allfast.errors import RefusedError, RolloutError, said
from allfast.pipeline.context import Context, Project
from allfast.redact import Redactor
from allfast.remote.server import Server


def context(answer: bool | None, asked: list[str]) -> Context:
    """One in which a person answers so; None: nobody can be asked."""

    def confirm(question: str) -> bool:
        asked.append(question)
        return bool(answer)

    none = None if answer is None else confirm
    return Context(cast(Project, None), cast(Server, None), lambda _: None, Redactor(), confirm=none)


@pytest.mark.parametrize(("answer", "yes", "asked"), [(True, False, ["Go?"]), (False, True, []), (None, False, [])])
def test_a_go_is_asked_for_once_where_somebody_is_there(answer: bool | None, yes: bool, asked: list[str]) -> None:
    found: list[str] = []
    context(answer, found).consent("Go?", yes)
    assert found == asked


def test_a_no_is_a_refusal_that_says_what_is_next() -> None:
    with pytest.raises(RefusedError, match="not confirmed; nothing was touched") as refused:
        context(False, []).consent("Go?", yes=False)
    assert refused.value.hint == "run it again, or give --yes"


def test_only_ctrl_c_is_said_to_be_an_interruption() -> None:
    causes = [RolloutError("web is unhealthy"), KeyboardInterrupt(), KeyError("image")]
    assert [said(cause) for cause in causes] == ["web is unhealthy", "interrupted", "KeyError: 'image'"]
