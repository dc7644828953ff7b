"""status, history, logs: the commands that only look."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from allfast.cli.common import ConfigOption, JsonOption, NoColorOption, TargetOption, VerboseOption, terminal

Limit = Annotated[int, typer.Option("--limit", "-n", min=1, help="How many runs.")]


def status(
    target: TargetOption = None,
    config: ConfigOption = None,
    verbose: VerboseOption = False,
    no_color: NoColorOption = False,
    json: JsonOption = False,
) -> None:
    """Show what runs: the live release, its containers, the served versions, and how they differ from the record."""
    with terminal(json=json, verbose=verbose, no_color=no_color) as term:
        from allfast.cli.connection import connected

        with connected(term, config, target) as context:
            from allfast.pipeline.status import document, look, status_lines

            found = look(context)
        term.console.document(document(found))
        if not json:
            for line in status_lines(found):
                term.console.text(line)


def history(
    limit: Limit = 20,
    target: TargetOption = None,
    config: ConfigOption = None,
    verbose: VerboseOption = False,
    no_color: NoColorOption = False,
    json: JsonOption = False,
) -> None:
    """Show the last runs of all kinds, failed ones too: who, when, what, how long, and how they ended."""
    with terminal(json=json, verbose=verbose, no_color=no_color) as term:
        from allfast.cli.connection import connected

        with connected(term, config, target) as context:
            from allfast.pipeline.history import history_lines, past

            runs = past(context, limit)
        term.console.document([dataclasses.asdict(run) for run in runs])
        if not json:
            for line in history_lines(runs, verbose=verbose):
                term.console.text(line)


def logs(
    service: Annotated[str | None, typer.Argument(metavar="[SERVICE]", help="Default: all.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines come.")] = False,
    since: Annotated[str, typer.Option("--since", metavar="TIME", help="As 10m, 2h, or a time stamp.")] = "",
    grep: Annotated[str, typer.Option("--grep", metavar="PATTERN", help="Only lines that match.")] = "",
    tail: Annotated[int, typer.Option("--tail", min=0, help="At most so many earlier lines of each container.")] = 100,
    target: TargetOption = None,
    config: ConfigOption = None,
    verbose: VerboseOption = False,
    no_color: NoColorOption = False,
    json: JsonOption = False,
) -> None:
    """Show what the containers wrote; secrets are masked."""
    with terminal(json=json, verbose=verbose, no_color=no_color) as term:
        from allfast.cli.connection import connected

        with connected(term, config, target) as context:
            from allfast.pipeline.logs import Wanted, read, sources

            try:
                wanted = Wanted(service, follow, since, grep, tail)
                there = sources(context, wanted)
                if not there:
                    term.console.aside(f"nothing runs there: {context.project.deployment} has no container")
                for line in read(context, wanted, there):
                    if json:
                        term.console.document(dataclasses.asdict(line))
                    else:
                        term.console.text(f"{line.container} | {line.text}")
            except KeyboardInterrupt:
                if not follow:  # Ctrl-C is how following ends
                    raise
