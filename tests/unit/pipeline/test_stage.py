"""A stage of the pipeline: what is told of one that fails."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from allfast.errors import AllfastError, AttentionError, RemoteError, VerifyError
from allfast.pipeline.context import Context, Project
from allfast.redact import Redactor
from allfast.remote.server import Server


def context_whose_ledger_says(error: AllfastError | None, seen: list[Any]) -> Context:
    def add_phase(_run: int, name: str, _seconds: float, failed: bool) -> None:
        seen.append((name, failed))
        if error:
            raise error

    server = cast(Server, SimpleNamespace(add_phase=add_phase))
    return Context(cast(Project, None), server, lambda _: None, Redactor(), run=1)


@pytest.mark.parametrize("ledger", [RemoteError("it is cut"), AttentionError("the ledger is damaged")])
def test_the_failure_of_a_stage_is_told_and_not_that_of_recording_it(ledger: AllfastError) -> None:
    seen: list[Any] = []
    with pytest.raises(VerifyError, match="another version"), context_whose_ledger_says(ledger, seen).stage("verify"):
        raise VerifyError("another version")
    assert seen == [("verify", True)]


def test_what_cannot_be_recorded_of_a_stage_that_went_well_is_an_error() -> None:
    seen: list[Any] = []
    context = context_whose_ledger_says(RemoteError("it is cut"), seen)
    with pytest.raises(RemoteError, match="it is cut"), context.stage("build"):
        pass
    assert seen == [("build", False)]
