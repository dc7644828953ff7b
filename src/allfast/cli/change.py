"""plan, deploy, build, promote, rollback, recover: the commands that change something, or say what they would."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated

import typer

from allfast.cli.common import (
    ConfigOption,
    JsonOption,
    NoColorOption,
    TargetOption,
    VerboseOption,
    WaitOption,
    YesOption,
    terminal,
)

if TYPE_CHECKING:
    from allfast.model.facts import Wishes

Services = Annotated[list[str] | None, typer.Argument(metavar="[SERVICE...]", help="Only these; others stay as live.")]
Quick = Annotated[bool, typer.Option("--quick", help="Build with the cache, whatever the plan says.")]
Clean = Annotated[bool, typer.Option("--clean", help="Build without any cache.")]
Reuse = Annotated[bool, typer.Option("--reuse", help="Build nothing; refused where an image is missing.")]
CommitOption = Annotated[str, typer.Option("--commit", metavar="REV", help="The commit to deploy.")]
Data = Annotated[bool, typer.Option("--data", help="Recreate changed data services (their volumes stay).")]
Canary = Annotated[
    int | None, typer.Option("--canary", metavar="N", min=1, max=99, help="Give it N % of the visitors (1 to 99).")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the plan and stop.")]
Force = Annotated[str, typer.Option("--force", metavar="REASON", help="Go on where preflight refuses; it is recorded.")]
ForceBuild = Annotated[str, typer.Option("--force", metavar="REASON", help="Go on where preflight refuses the build.")]


def plan(
    services: Services = None,
    quick: Quick = False,
    clean: Clean = False,
    reuse: Reuse = False,
    commit: CommitOption = "HEAD",
    data: Data = False,
    target: TargetOption = None,
    config: ConfigOption = None,
    verbose: VerboseOption = False,
    no_color: NoColorOption = False,
    json: JsonOption = False,
) -> None:
    """Show what a deploy would do, and why. Changes nothing."""
    with terminal(json=json, verbose=verbose, no_color=no_color) as term:
        from allfast.cli.connection import connected
        from allfast.plan_text import plan_lines

        wishes = _wishes(services, quick, clean, reuse, data)
        with connected(term, config, target) as context:
            from allfast.pipeline.deploy import Options, plan_only

            document = dataclasses.asdict(plan_only(context, Options(wishes, revision=commit)))
        term.console.document(document)
        if not json:
            for line in plan_lines(document):
                term.console.text(line)


def deploy(
    services: Services = None,
    quick: Quick = False,
    clean: Clean = False,
    reuse: Reuse = False,
    commit: CommitOption = "HEAD",
    data: Data = False,
    canary: Canary = None,
    dry_run: DryRun = False,
    yes: YesOption = False,
    wait: WaitOption = False,
    force: Force = "",
    target: TargetOption = None,
    config: ConfigOption = None,
    verbose: VerboseOption = False,
    no_color: NoColorOption = False,
    json: JsonOption = False,
) -> None:
    """Bring a commit to the server, prove it, and put the old release back if it is not what people get."""
    with terminal(json=json, verbose=verbose, no_color=no_color, stream=True) as term:
        from allfast.cli.connection import connected

        wishes = _wishes(services, quick, clean, reuse, data, force, canary=canary or 0)
        with connected(term, config, target, may_ask=True) as context:
            term.context = context
            from allfast.pipeline.deploy import Options
            from allfast.pipeline.deploy import deploy as run

            options = Options(wishes, revision=commit, yes=yes, wait=wait, dry_run=dry_run)
            term.emit(run(context, options))


def build(
    services: Services = None,
    quick: Quick = False,
    clean: Clean = False,
    commit: CommitOption = "HEAD",
    force: ForceBuild = "",
    target: TargetOption = None,
    config: ConfigOption = None,
    verbose: VerboseOption = False,
    no_color: NoColorOption = False,
    json: JsonOption = False,
) -> None:
    """Build the images that a deploy would build, and stop; a deploy of the same commit then reuses them."""
    with terminal(json=json, verbose=verbose, no_color=no_color, stream=True) as term:
        from allfast.cli.connection import connected

        wishes = _wishes(services, quick, clean, force=force, build_only=True)
        with connected(term, config, target) as context:
            term.context = context
            from allfast.pipeline.deploy import Options, build_only

            term.emit(build_only(context, Options(wishes, revision=commit)))


def rollback(
    release: Annotated[str | None, typer.Argument(metavar="[RELEASE]", help="Default: the one before.")] = None,
    yes: YesOption = False,
    wait: WaitOption = False,
    target: TargetOption = None,
    config: ConfigOption = None,
    verbose: VerboseOption = False,
    no_color: NoColorOption = False,
    json: JsonOption = False,
) -> None:
    """Put an earlier release back: images, environment, files and settings. Data and migrations stay as they are."""
    with terminal(json=json, verbose=verbose, no_color=no_color, stream=True) as term:
        from allfast.cli.connection import connected

        with connected(term, config, target, may_ask=True) as context:
            term.context = context
            from allfast.pipeline.rollback import rollback as run

            term.emit(run(context, release, yes=yes, wait=wait))


def promote(
    yes: YesOption = False,
    wait: WaitOption = False,
    target: TargetOption = None,
    config: ConfigOption = None,
    verbose: VerboseOption = False,
    no_color: NoColorOption = False,
    json: JsonOption = False,
) -> None:
    """Make the canary the live release for everybody. `allfast rollback` ends it instead."""
    with terminal(json=json, verbose=verbose, no_color=no_color, stream=True) as term:
        from allfast.cli.connection import connected

        with connected(term, config, target, may_ask=True) as context:
            term.context = context
            from allfast.pipeline.promote import promote as run

            term.emit(run(context, yes=yes, wait=wait))


def recover(
    wait: WaitOption = False,
    target: TargetOption = None,
    config: ConfigOption = None,
    verbose: VerboseOption = False,
    no_color: NoColorOption = False,
    json: JsonOption = False,
) -> None:
    """Finish or undo what a run that died has left, and make the server agree with the live release."""
    with terminal(json=json, verbose=verbose, no_color=no_color, stream=True) as term:
        from allfast.cli.connection import connected

        with connected(term, config, target) as context:
            term.context = context
            from allfast.pipeline.recover import recover as run

            term.emit(run(context, wait=wait))


def _wishes(
    services: list[str] | None,
    quick: bool,
    clean: bool,
    reuse: bool = False,
    data: bool = False,
    force: str = "",
    *,
    build_only: bool = False,
    canary: int = 0,
) -> Wishes:
    from allfast.errors import UsageError
    from allfast.model.facts import Wishes
    from allfast.model.service import Method

    asked = [m for m, wanted in ((Method.QUICK, quick), (Method.CLEAN, clean), (Method.REUSE, reuse)) if wanted]
    if len(asked) > 1:
        names = " and ".join(f"--{method}" for method in asked)
        raise UsageError(f"{names} contradict each other", hint="give one of them, or none: the plan decides")
    method = asked[0] if asked else None
    return Wishes(method, tuple(services or ()), data, force, build_only, canary)
