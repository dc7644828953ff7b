"""maintenance: close the application for visitors, and open it again."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from allfast.cli.common import (
    ConfigOption,
    JsonOption,
    NoColorOption,
    TargetOption,
    VerboseOption,
    WaitOption,
    terminal,
)


class Wanted(StrEnum):
    """What to do."""

    ON = "on"
    OFF = "off"


def maintenance(
    wanted: Annotated[Wanted, typer.Argument(metavar="on|off", help="Close, or open again.")],
    wait: WaitOption = False,
    target: TargetOption = None,
    config: ConfigOption = None,
    verbose: VerboseOption = False,
    no_color: NoColorOption = False,
    json: JsonOption = False,
) -> None:
    """Give visitors a page that says so, at once; who sends the header that is told passes."""
    with terminal(json=json, verbose=verbose, no_color=no_color, stream=True) as term:
        from allfast.cli.connection import connected

        with connected(term, config, target) as context:
            term.context = context
            from allfast.pipeline.maintenance import maintenance as run

            term.emit(run(context, on=wanted is Wanted.ON, wait=wait))
