"""The only module that prints: readers of the event stream, as text for people or as JSON for programs.

Text goes to stdout, one calm line for each thing that is done; progress is shown on a terminal only. With
`--json` stdout carries documents or one event a line and nothing else. Diagnostics go to stderr.
"""

from __future__ import annotations

import dataclasses
import json
import re
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TextIO

from allfast import events
from allfast.event_text import checked, nothing_to_do, pulling, shipped, shipping, working
from allfast.events import Event
from allfast.redact import Redactor
from allfast.text import printable, seconds

if TYPE_CHECKING:
    from rich.console import Console as RichConsole
    from rich.status import Status

STAGE_WIDTH = 10
#: Seconds after which a line tells how far a shipment or a pull is, where no progress line is seen.
LOG_LINE = 15.0
#: Seconds for which the progress line shows a pull that is told of no more.
PULL_STANDS = 1.0
#: The names that BuildKit gives to steps of a Dockerfile: `[1/7] FROM x`, `[linux/amd64 build 2/5] RUN y`.
_NUMBERED = re.compile(r"\[([^\]]* )?\d+/\d+\]")


class JsonConsole:
    """One JSON object a line: the event's fields, and its name under `"event"`."""

    def __init__(self, redactor: Redactor, out: TextIO | None = None) -> None:
        self.redactor = redactor
        self._out = out or sys.stdout
        self._mutex = threading.RLock()

    def emit(self, event: Event) -> None:
        """Write the event."""
        fields = {"event": event.name, **dataclasses.asdict(event)}
        self.document(fields)

    def document(self, document: Any) -> None:
        """Write one JSON document on one line."""
        line = json.dumps(self.redactor.value(document), default=str)
        with self._mutex:
            print(line, file=self._out, flush=True)

    def text(self, text: str) -> None:
        """Text has no place in JSON output: it goes to stderr."""
        self.aside(text)

    def aside(self, text: str) -> None:
        """Say something on stderr."""
        print(printable(self.redactor.text(text)), file=sys.stderr, flush=True)

    def close(self) -> None:
        """Nothing is buffered."""


class TextConsole:
    """Lines for people; on a terminal with colour and a progress line that is overwritten."""

    def __init__(
        self,
        redactor: Redactor,
        *,
        verbose: bool = False,
        color: bool | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.redactor = redactor
        self._verbose = verbose
        self._clock = clock
        self._moving: dict[str, float] = {}  # what is on its way -> since when, or when a line told of it
        self._pull_told = 0.0
        self._color = color
        self._rich: RichConsole | None = None
        self._status: Status | None = None
        self._steps: dict[str, str] = {}
        self._under_way: dict[str, str] = {}  # stage -> what the progress line says of it
        self._mutex = threading.RLock()  # an interrupt may be told of while its thread tells something else

    @property
    def rich(self) -> RichConsole:
        """Rich's console, imported when something is printed (it costs more than the rest of a start)."""
        if self._rich is None:
            from rich.console import Console as RichConsole

            class Output(RichConsole):
                """Rich's own would end the process where nobody reads any more: what is under way goes on."""

                def on_broken_pipe(self) -> None:
                    raise BrokenPipeError

            colorless = None if self._color is None else not self._color
            self._rich = Output(highlight=False, soft_wrap=True, no_color=colorless, emoji=False, markup=False)
        return self._rich

    def text(self, text: str, style: str = "") -> None:
        """Print a line."""
        self.rich.print(printable(self.redactor.text(text)), style=style or None)

    def aside(self, text: str) -> None:
        """Say on stderr what is no part of the output that was asked for."""
        print(printable(self.redactor.text(text)), file=sys.stderr, flush=True)

    def document(self, document: Any) -> None:
        """Documents are for JSON readers; commands print their own text."""

    def emit(self, event: Event) -> None:
        """Show the event, where people want to see it."""
        event = self.redactor.value(event)
        shown = _SHOW.get(type(event))
        if shown is not None:
            with self._mutex:
                shown(self, event)

    def close(self) -> None:
        """End the progress line."""
        with self._mutex:
            if self._status is not None:
                self._status.stop()
                self._status = None

    def _line(self, stage: str, text: str, style: str = "") -> None:
        self.text(f"{stage:<{STAGE_WIDTH}}{printable(text, STAGE_WIDTH)}", style)

    def _progress(self, stage: str, words: str) -> None:
        """Say how far a stage is, beside what else is under way."""
        self._under_way[stage] = words
        self._draw()

    def _draw(self) -> None:
        """Show what is under way on the progress line."""
        if not self.rich.is_terminal:
            return
        told = (f"{stage}: {words}" if words else stage for stage, words in self._under_way.items())
        text = self.rich.render_str(printable(" | ".join(told)))  # a status would read a string as markup
        if self._status is None:
            self._status = self.rich.status(text)
            self._status.start()
        else:
            self._status.update(text)

    def _show_plan(self, event: events.PlanMade) -> None:
        from allfast.plan_text import plan_lines

        for line in plan_lines(event.plan):
            self.text(line)
        self.text("")

    def _show_stage_began(self, event: events.StageBegan) -> None:
        self._steps.clear()
        words = self._under_way.get(event.stage, event.text)  # shipping may have begun beside the build
        self._under_way.clear()
        self._progress(event.stage, words)
        if event.text and not self.rich.is_terminal:
            self._line(event.stage, event.text)

    def _show_stage_ended(self, event: events.StageEnded) -> None:
        self.close()
        self._under_way.pop(event.stage, None)
        self._line(event.stage, f"{event.text or 'done'} ({seconds(event.seconds)})")

    def _show_note(self, event: events.Note) -> None:
        prefix = f"{event.service}: " if event.service else ""
        if event.level == "warning":
            self._line("warning", prefix + event.text, "yellow")
        else:
            self._line("note", prefix + event.text)

    def _show_build_step(self, event: events.BuildStep) -> None:
        number = "" if _NUMBERED.match(event.text) else f"[{event.step}/{event.steps}] "
        self._steps[event.service] = f"{event.service} {number}{event.text}"
        self._progress("build", "  ".join(self._steps.values()))
        if self._verbose and not event.cached:
            self._line("build", self._steps[event.service])

    def _show_build_log(self, event: events.BuildLog) -> None:
        if self._verbose:
            self._line("build", f"{event.service} | {event.line}", "dim")

    def _show_built(self, event: events.Built) -> None:
        self._steps.pop(event.service, None)
        self._line("build", f"{event.service}: {event.method} build done ({seconds(event.seconds)})")

    def _show_ship_progress(self, event: events.ShipProgress) -> None:
        words = shipping(event)
        if "pull" in self._under_way and self._clock() - self._pull_told > PULL_STANDS:
            self._over("pull")  # it is waited for no more: its layers are sent
        if event.sent < event.total:
            self._moves("ship", words)
            return
        self._progress("ship", words)
        self._over("ship")  # while others are built, the line speaks of them alone from now on

    def _show_server_works(self, event: events.ServerWorks) -> None:
        stage = "read" if event.work == "reading" else "load"
        if not event.over:
            self._moves(stage, working(event))
        elif self._over(stage):
            (self._draw if self._under_way else self.close)()

    def _show_pull(self, event: events.BasePulled) -> None:
        words = pulling(event)
        if event.state == "pulling":
            self._pull_told = self._clock()
            self._moves("pull", words)
            return
        if self._over("pull"):
            self._progress("ship", self._under_way.get("ship", ""))  # what it waited for is loaded now
        if event.state == "failed":
            self._line("warning", words, "yellow")
        else:
            self._line("pull", words)

    def _moves(self, stage: str, words: str) -> None:
        """Say how far it is; to the readers of a log that something goes on, but not of what is soon done."""
        self._progress(stage, words)
        if self.rich.is_terminal:
            return
        now = self._clock()
        if now - self._moving.setdefault(stage, now) >= LOG_LINE:
            self._moving[stage] = now
            self._line(stage, words)

    def _over(self, stage: str) -> bool:
        """It is under way no more; whether it was."""
        self._moving.pop(stage, None)
        return self._under_way.pop(stage, None) is not None

    def _show_shipped(self, event: events.Shipped) -> None:
        self._line("ship", shipped(event))

    def _show_container(self, event: events.ContainerChanged) -> None:
        self._steps[event.service] = f"{event.service} {event.state}"
        self._progress("rollout", ", ".join(self._steps.values()))
        if self._verbose or not self.rich.is_terminal:
            self._line("rollout", f"{event.service}: {event.state}")

    def _show_checked(self, event: events.Checked) -> None:
        style = {"wrong": "red", "could-not-be-asked": "yellow"}.get(event.result, "")
        self._line("verify", checked(event), style)

    def _show_failed(self, event: events.Failed) -> None:
        self.close()
        print_failure(event, self._color)

    def _show_result(self, event: events.Result) -> None:
        self.close()
        if event.text:
            self.text(" ".join(filter(None, [event.text, seconds(event.seconds), event.url])))
        elif event.outcome == "done" and event.proven:
            self.text(" ".join(filter(None, ["All fast.", event.release, seconds(event.seconds), event.url])), "green")
        elif event.outcome == "nothing-to-do" and event.release:
            self.text(" ".join(filter(None, [nothing_to_do(event), event.url])), "green")


_SHOW: dict[type[Event], Any] = {
    events.PlanMade: TextConsole._show_plan,
    events.StageBegan: TextConsole._show_stage_began,
    events.StageEnded: TextConsole._show_stage_ended,
    events.Note: TextConsole._show_note,
    events.BuildStep: TextConsole._show_build_step,
    events.BuildLog: TextConsole._show_build_log,
    events.Built: TextConsole._show_built,
    events.ShipProgress: TextConsole._show_ship_progress,
    events.ServerWorks: TextConsole._show_server_works,
    events.BasePulled: TextConsole._show_pull,
    events.Shipped: TextConsole._show_shipped,
    events.ContainerChanged: TextConsole._show_container,
    events.Checked: TextConsole._show_checked,
    events.Failed: TextConsole._show_failed,
    events.Result: TextConsole._show_result,
}


def print_failure(failure: events.Failed, color: bool | None = None) -> None:
    """An error on stderr: the message, its evidence indented, and the next step."""
    from rich.console import Console as RichConsole

    colorless = None if color is None else not color
    err = RichConsole(stderr=True, highlight=False, soft_wrap=True, no_color=colorless, emoji=False, markup=False)
    err.print(f"error: {printable(failure.message, 2)}", style="red")
    for line in failure.evidence:
        err.print(f"  | {printable(line, 4)}")
    if failure.hint:
        err.print(f"next:  {printable(failure.hint, 2)}")


Console = TextConsole | JsonConsole
