"""The command line: one file a command group. Commands parse, call the pipeline, and map errors to exit codes."""

from __future__ import annotations

from typing import Annotated

import typer

from allfast import __version__
from allfast.cli import change, look, maintenance

EPILOG = (
    "Exit codes: 0 done, or nothing to do - 1 failed, the old release serves (the new one may, where the connection "
    "was lost: the message says it then) - 2 wrong usage or configuration - 3 refused (lock, preflight) - "
    "4 a person must look - 130 interrupted, the old release serves."
)

app = typer.Typer(
    name="allfast",
    help="Deploys Compose applications over SSH, and proves that the new version is what people get.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"allfast {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False,
) -> None:
    """Deploys Compose applications over SSH, and proves that the new version is what people get."""


CHANGING = (
    change.plan,
    change.deploy,
    change.build,
    change.promote,
    change.rollback,
    change.recover,
    maintenance.maintenance,
)
LOOKING = (look.status, look.history, look.logs)

for command in (*CHANGING, *LOOKING):
    app.command(epilog=EPILOG)(command)
