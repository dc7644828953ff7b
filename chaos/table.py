"""The outcomes as text."""

from __future__ import annotations

from collections.abc import Sequence

from allfast.text import table
from chaos.cases import Result

HEAD = ("case", "after the kill, visitors get", "the next command", "answers", "outcome", "commit")
INTRODUCTION = """\
# Chaos

Written by `make chaos`. The laptop's process is killed (SIGKILL) before, in and after each journal step of a deploy
and of a rollback, on a real test server, under about 20 requests a second from clients that do not retry (a first
deploy has no visitors yet, and the strategy "recreate" has a gap by itself: there the end alone is judged). *In*: the
step's first change was asked for, and nobody waits for the answer; *after*: its changes are made, and the journal
does not know. Then the same command runs again. A case is well when no request failed, no answer mixed two releases,
one release serves and is proven, containers, networks, images, volumes, switch, routes and ledger agree, nothing is
left over, and the lock is free. *Warm* and *cold*: the release to go back to still runs, or has to be started.

In rows with a comma something else happens in the step, then `allfast deploy` runs again (of a frozen laptop: while
it is frozen; then it is woken). Where that takes the proxy along, answers count from the moment on at which it
answers again. An engine that is killed leaves containers with `restart: unless-stopped` stopped: whoever runs the
next command gets them back. *Retire*: the process on the server that removes a warm release when its time is over. On
the full disk lies all that the engine and allfast write. *Earlier*, and a commit that the repository does not have:
from before its history begins.
"""


def rows(results: Sequence[Result]) -> list[tuple[str, ...]]:
    """A row for each case."""
    return [
        (one.name, one.left, one.recovery, str(one.answers), "; ".join(one.wrong) or "well", one.commit or "earlier")
        for one in results
    ]


def lines(results: Sequence[Result]) -> list[str]:
    """For a terminal."""
    return table([HEAD, *rows(results)], indent=0)


def document(results: Sequence[Result]) -> str:
    """docs/chaos.md."""
    bad = sum(bool(one.wrong) for one in results)
    told = f"{len(results)} cases, {sum(one.answers for one in results)} answers; {bad or 'none'} went wrong.\n"
    body = ["| " + " | ".join(row) + " |" for row in (HEAD, ("---",) * len(HEAD), *rows(results))]
    return "\n".join([INTRODUCTION, told, *body]) + "\n"
