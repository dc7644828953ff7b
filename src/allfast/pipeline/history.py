"""History: the runs of the ledger, the newest first."""

from __future__ import annotations

from allfast.agent.protocol import Kind
from allfast.model.release import Run
from allfast.pipeline.context import Context
from allfast.remote.failures import AgentRefusal
from allfast.text import megabytes, moment, seconds, table


def past(context: Context, limit: int) -> tuple[Run, ...]:
    """The last runs; none where nothing was ever deployed."""
    try:
        return context.server.history(limit)
    except AgentRefusal as error:
        if error.kind == Kind.NO_STATE:
            return ()
        raise


def history_lines(runs: tuple[Run, ...], *, verbose: bool) -> list[str]:
    """The runs as text; with `verbose` each with its services, reasons and phases."""
    if not runs:
        return ["nothing was deployed here yet"]
    if not verbose:
        rows = [("when", "what", "release", "outcome", "took", "sent", "who")]
        return table(rows + [_row(run) for run in runs], indent=0) + _messages(runs)
    lines: list[str] = []
    for run in runs:
        lines += table([_row(run)], indent=0)
        lines += [f"    forced: {run.force}"] if run.force else []
        lines += [f"    {run.message}"] if run.message else []
        lines += [f"    {name}: {method}: {reason}" for name, method, reason in run.services]
        phases = ", ".join(f"{name} {seconds(took)}" for name, took in run.phases)
        lines += [f"    {phases}"] if phases else []
    return lines


def _row(run: Run) -> tuple[str, ...]:
    took = seconds(run.ended - run.began) if run.ended is not None else "-"
    sent = megabytes(run.wire_bytes) if run.wire_bytes else "-"
    who = f"{run.who.user}@{run.who.host}"
    return (moment(run.began), run.kind, run.release or "-", run.outcome or "never ended", took, sent, who)


def _messages(runs: tuple[Run, ...]) -> list[str]:
    """What a person should know of some runs: why preflight was overruled, and why they failed."""
    told = []
    for run in runs:
        name = run.release or run.kind
        told += [f"{name}: forced: {run.force}"] if run.force else []
        told += (
            [f"{name}: {run.message.splitlines()[0]}"]
            if run.message and (run.outcome != "done" or run.kind == "canary")
            else []
        )
    return ["", *told] if told else []
