"""What all commands share: their common options, and the one place that maps errors to exit codes and text."""

from __future__ import annotations

import contextlib
import os
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from allfast import events
from allfast.console import Console, JsonConsole, TextConsole, print_failure
from allfast.errors import AllfastError, AttentionError, RefusedError
from allfast.pipeline import interrupts
from allfast.redact import Redactor
from allfast.text import printable

if TYPE_CHECKING:
    from allfast.pipeline.context import Context

TargetOption = Annotated[str | None, typer.Option("--target", "-t", metavar="NAME", help="The target to work on.")]
ConfigOption = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Another allfast.toml.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Show build logs and all steps.")]
NoColorOption = Annotated[bool, typer.Option("--no-color", help="Plain text.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Take the plan as confirmed.")]
WaitOption = Annotated[bool, typer.Option("--wait", help="Wait for another deployer to end.")]

INTERRUPTED = 130


@dataclass(slots=True)
class Terminal:
    """How one command talks to its caller."""

    console: Console
    redactor: Redactor
    json: bool
    interactive: bool
    context: Context | None = None  # the run's, once it is connected: a failure's result tells what was done until then

    def emit(self, event: events.Event) -> None:
        """Show an event. Where nobody reads any more (a closed terminal, `| head`), the work goes on in silence."""
        try:
            self.console.emit(event)
        except OSError:
            _silence()

    def confirm(self, question: str) -> bool:
        """Ask a person; callers ask only where `interactive` says that there is one."""
        self.console.close()
        try:
            return typer.confirm(printable(question).replace("\n", " "))
        except typer.Abort:  # Ctrl-C, or the end of the input, at the question
            raise KeyboardInterrupt from None


@contextmanager
def terminal(*, json: bool, verbose: bool, no_color: bool, stream: bool = False) -> Iterator[Terminal]:
    """Run a command's body: errors become text (or events), and the process ends with their exit code.

    Args:
        json: print JSON only.
        verbose: show more, and the traceback of an error that is a defect of allfast.
        no_color: plain text.
        stream: the command prints a stream of events, whose last one is a `result` also after an error.
    """
    redactor = Redactor()
    color = False if no_color or "NO_COLOR" in os.environ else None
    console: Console = JsonConsole(redactor) if json else TextConsole(redactor, verbose=verbose, color=color)
    interactive = not json and sys.stdin.isatty() and sys.stdout.isatty()
    began = time.monotonic()
    term = Terminal(console, redactor, json, interactive)
    with interrupts.once():
        try:
            yield term
        except AllfastError as error:
            failure = events.Failed(error.message, error.hint, error.evidence)
            _report(term, failure, _outcome(error), began, stream=stream)
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt:
            failure = events.Failed("interrupted: visitors get what they got before" if stream else "interrupted")
            _report(term, failure, "interrupted", began, stream=stream)
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            # the reader of our output went away (`allfast logs | head`): there is nobody to tell
            _silence()
            raise typer.Exit(0) from None
        except (typer.Exit, typer.Abort):
            raise
        except Exception as error:
            _report(term, _unexpected(error, redactor, verbose=verbose), "failed", began, stream=stream)
            raise typer.Exit(1) from error
        finally:
            console.close()


def _outcome(error: AllfastError) -> str:
    if isinstance(error, AttentionError):
        return "attention"
    return "refused" if isinstance(error, RefusedError) else "failed"


def _unexpected(error: Exception, redactor: Redactor, *, verbose: bool) -> events.Failed:
    """What no part of allfast has foreseen: an error of this machine, of an engine, or a defect."""
    from allfast.remote.failures import from_engine

    known = from_engine(error)
    if known is not None:
        return events.Failed(known.message, known.hint)
    if isinstance(error, OSError):
        return events.Failed(f"this machine refused: {error}", "see that path, its permissions, and `df -h`")
    last = traceback.extract_tb(error.__traceback__)[-1]
    text = f"a defect of allfast: {type(error).__name__} in {Path(last.filename).name}:{last.lineno}: {error}"
    lines = traceback.format_exc().splitlines() if verbose else []
    return events.Failed(text, "run it again with -v, and report what it shows", tuple(map(redactor.text, lines)))


def _report(term: Terminal, failure: events.Failed, outcome: str, began: float, *, stream: bool) -> None:
    if term.json and not stream:
        with contextlib.suppress(OSError):
            print_failure(term.redactor.value(failure), color=False)
        return
    term.emit(failure)
    if stream:
        term.emit(_result(term, outcome, began))


def _result(term: Terminal, outcome: str, began: float) -> events.Result:
    """The last event of a failed run, with what was done until it failed."""
    if term.context is None:
        return events.Result(outcome, "", round(time.monotonic() - began, 3))
    from allfast.pipeline.run import result

    return result(term.context, outcome, None)


def _silence() -> None:
    """Nobody reads what we say any more: from here on it goes nowhere, and is no error."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
