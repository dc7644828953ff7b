"""Logs: what the deployment's containers wrote, read by Compose from the server's engine; secrets masked."""

from __future__ import annotations

import os
import queue
import re
import subprocess
import tempfile
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from allfast.config.compose_cli import require_compose
from allfast.config.project import project_name
from allfast.errors import RemoteError, UsageError
from allfast.model.release import Release
from allfast.model.server import Container
from allfast.pipeline import edge, masking
from allfast.pipeline.context import Context
from allfast.planning.recorded import of_release

#: What Compose (2.26) writes before each line, whatever --ansi says. It is a write of its own, and the readers of the
#: containers write side by side: a line can have it several times, or not at all.
_ERASE_LINE = "\x1b[2K"
#: A duration as Go writes it, or seconds since the epoch; and a time stamp.
_DURATION = re.compile(r"([0-9]+(\.[0-9]+)?(h|m|s|ms|us|ns))+|[0-9]+(\.[0-9]{1,9})?")
_STAMP = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?"
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines."""

    service: str | None = None
    follow: bool = False
    since: str = ""
    grep: str = ""
    tail: int = 100


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a container."""

    container: str
    text: str


def sources(context: Context, wanted: Wanted) -> tuple[Container, ...]:
    """The containers whose lines are wanted; none where nothing was deployed yet. What is secret in them is masked.

    Raises:
        UsageError: no such service, a pattern or a time that is none, or no Compose on this machine.
    """
    _pattern(wanted.grep)
    _check_since(wanted.since)
    require_compose()
    facts = context.server.facts()
    canary = {facts.canary.id} if facts.canary is not None else set()
    there = of_visitors(facts.containers, facts.live, edge.given(context) | canary)
    known = sorted({c.service for c in there})
    if wanted.service is not None and wanted.service not in known:
        hint = "there are: " + ", ".join(known) if known else "nothing runs there"
        raise UsageError(f'no container of a service "{wanted.service}" is on the server', hint=hint)
    masking.learn(context, facts.containers, [release for release, _ in context.releases()])
    return tuple(c for c in there if wanted.service in (None, c.service))


def of_visitors(
    containers: Iterable[Container], live: Release | None, others: Collection[str]
) -> tuple[Container, ...]:
    """The containers of the live release and the data services, and of the `others` (ids) that visitors get, too.

    Those are a canary, and a release that a dead run has given to visitors before the ledger knew of it.
    """
    there = tuple(containers)
    mine = of_release(there, live)
    return (*mine, *(c for c in there if c.release and c.release in others and c not in mine))


def read(context: Context, wanted: Wanted, there: Sequence[Container]) -> Iterator[Line]:
    """The wanted lines of these containers (`sources`), as they come.

    Raises:
        RemoteError: the engine did not give its logs.
    """
    pattern = _pattern(wanted.grep)
    names = {c.name for c in there}
    for project, line in _lines(context, wanted, sorted({_project(context, c) for c in there})):
        shown, text = parse(line)
        if pattern is None or pattern.search(text):
            yield Line(full_name(shown, project, names), context.redactor.text(text))


def full_name(shown: str, project: str, names: Collection[str]) -> str:
    """The name of a container that Compose shows without its project: two releases have a web-1 each."""
    return shown if shown in names else f"{project}-{shown}"


def parse(line: str) -> tuple[str, str]:
    """The container's name and its words, indented as it wrote them, in a line of `docker compose logs`."""
    while line.startswith(_ERASE_LINE):
        line = line.removeprefix(_ERASE_LINE)
    container, _, text = line.partition("|")
    return container.strip(), text.removeprefix(" ").rstrip()


def _pattern(text: str) -> re.Pattern[str] | None:
    if not text:
        return None
    try:
        return re.compile(text)
    except re.error as error:
        raise UsageError(
            f'--grep "{text}" is no regular expression: {error}', hint="escape it, or correct it"
        ) from error


def _check_since(text: str) -> None:
    """Only what the engine takes as a time."""
    try:
        if _STAMP.fullmatch(text):
            datetime.fromisoformat(text)
        elif text and not _DURATION.fullmatch(text):
            raise ValueError("neither a duration nor a time stamp")
    except ValueError as error:
        hint = "as 10m, 1h30m, 2026-11-22 or 2026-11-22T18:30:00"
        raise UsageError(f'--since "{text}" is no time: {error}', hint=hint) from error


def _project(context: Context, container: Container) -> str:
    """The Compose project of a container: its release's own, or the base project."""
    deployment = context.project.deployment
    return project_name(deployment, container.release) if container.release else deployment


def _lines(context: Context, wanted: Wanted, projects: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The lines of all these projects, as they come, each with its project."""
    lines: _Queue = queue.SimpleQueue()
    readers = [_Reader(context, wanted, project, lines) for project in projects]
    try:
        for _ in readers:
            while (line := lines.get()) is not None:
                yield line
    finally:
        for reader in readers:
            reader.end()
    for reader in readers:
        reader.judge()


#: Projects with a line of them; None when a project has ended.
_Queue = queue.SimpleQueue[tuple[str, str] | None]


class _Reader:
    """Reads the logs of one project in a thread of its own."""

    def __init__(self, context: Context, wanted: Wanted, project: str, lines: _Queue) -> None:
        self._project = project
        argv = ["docker", "compose", "--ansi", "never", "--env-file", os.devnull, "-p", project, "logs", "--no-color"]
        argv += ["--tail", str(wanted.tail)] if not wanted.since else []
        argv += ["--follow"] if wanted.follow else []
        argv += ["--since", wanted.since] if wanted.since else []
        argv += ["--", wanted.service] if wanted.service else []
        self._errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 - closed in `judge`
        self._process = subprocess.Popen(
            argv,
            env=context.server.docker_env(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            errors="replace",
        )
        self._thread = threading.Thread(target=self._read, args=(lines,), daemon=True)
        self._thread.start()

    def _read(self, lines: _Queue) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            lines.put((self._project, line))
        lines.put(None)

    def end(self) -> None:
        """End it, when the reader has enough or was interrupted, and wait for that."""
        if self._process.poll() is None and self._thread.is_alive():
            self._process.terminate()
        self._process.wait()
        self._thread.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def judge(self) -> None:
        """Raise `RemoteError` where the engine did not give the logs."""
        with self._errors:
            self._errors.seek(0)
            told = self._errors.read().splitlines()[-5:]
        if self._process.returncode != 0:
            hint = "run the command again; then look at `docker info` on the server"
            raise RemoteError("the engine did not give its logs", hint=hint, evidence=tuple(told))
