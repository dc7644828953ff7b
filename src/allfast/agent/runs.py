"""The runs in the ledger: what was begun, by whom, step by step, and how it ended."""

from __future__ import annotations

import json
import time
from typing import Any, Dict, List, Optional, Sequence

from allfast.agent.database import Database
from allfast.agent.protocol import AgentError, Kind

Json = Dict[str, Any]


class Runs(Database):
    """Runs, their phases and their journals."""

    def begin_run(self, kind: str, who: Json, release: str, plan: Any) -> int:
        """Begin a run; its number."""
        with self._transaction():
            cursor = self._db.execute(
                "INSERT INTO runs (kind, user, host, began, outcome, release, message, plan, wire_bytes, services)"
                " VALUES (?, ?, ?, ?, '', ?, '', ?, 0, '[]')",
                (kind, who["user"], who["host"], time.time(), release, json.dumps(plan)),
            )
        return int(cursor.lastrowid or 0)

    def update_run(self, run: int, values: Json) -> None:
        """Set some of a run's message, wire_bytes, services and, which ends it, outcome."""
        fields = {key: json.dumps(value) if key == "services" else value for key, value in values.items()}
        unknown = set(fields) - {"message", "wire_bytes", "services", "outcome"}
        if unknown:
            raise AgentError(Kind.BAD_REQUEST, f"a run has no {', '.join(sorted(unknown))}")
        if "outcome" in fields:
            fields["ended"] = time.time()
        setting = ", ".join(f"{key} = ?" for key in fields)
        with self._transaction():
            self._db.execute(f"UPDATE runs SET {setting} WHERE id = ?", (*fields.values(), run))  # noqa: S608 - keys checked

    def add_phase(self, run: int, name: str, seconds: float) -> None:
        """Record how long a phase of a run took."""
        with self._transaction():
            self._db.execute("INSERT INTO phases (run, name, seconds) VALUES (?, ?, ?)", (run, name, seconds))

    def begin_step(self, run: int, step: str, detail: Any) -> int:
        """Journal that a change is about to be made; its number."""
        with self._transaction():
            cursor = self._db.execute(
                "INSERT INTO journal (run, step, detail, began, outcome) VALUES (?, ?, ?, ?, '')",
                (run, step, json.dumps(detail), time.time()),
            )
        return int(cursor.lastrowid or 0)

    def end_step(self, step: int, outcome: str) -> None:
        """Journal how it ended."""
        with self._transaction():
            self._db.execute("UPDATE journal SET ended = ?, outcome = ? WHERE id = ?", (time.time(), outcome, step))

    def unfinished(self) -> Optional[Json]:
        """The newest run that began and never ended, None without one."""
        rows = self._runs("WHERE ended IS NULL ORDER BY id DESC LIMIT 1")
        return rows[0] if rows else None

    def history(self, limit: int) -> List[Json]:
        """The newest runs, the newest first."""
        return self._runs("ORDER BY id DESC LIMIT ?", limit)

    def run(self, run: int) -> Json:
        """One run with its plan and journal. Raises `AgentError` not-found."""
        found = self._runs("WHERE id = ?", run)
        if not found:
            raise AgentError(Kind.NOT_FOUND, f"no run {run} in {self._path}", "look at: allfast history")
        plan = self._rows("SELECT plan FROM runs WHERE id = ?", run)[0][0]
        steps = self._rows("SELECT id, step, detail, began, ended, outcome FROM journal WHERE run = ? ORDER BY id", run)
        keys = ("id", "step", "detail", "began", "ended", "outcome")
        journal = [{**_named(keys, row), "detail": json.loads(row[2])} for row in steps]
        return {"run": found[0], "plan": json.loads(plan), "journal": journal}

    def forget_runs(self, keep: int) -> None:
        """Remove all but the newest runs, with their phases and journals."""
        with self._transaction():
            self._db.execute("DELETE FROM runs WHERE id NOT IN (SELECT id FROM runs ORDER BY id DESC LIMIT ?)", (keep,))

    def _runs(self, condition: str, *values: Any) -> List[Json]:
        keys = (
            "id",
            "kind",
            "user",
            "host",
            "began",
            "ended",
            "outcome",
            "release",
            "message",
            "wire_bytes",
            "services",
        )
        rows = self._rows(f"SELECT {', '.join(keys)}, plan FROM runs {condition}", *values)  # noqa: S608 - our own words
        found = []
        for row in rows:
            run = _named(keys, row)
            plan = json.loads(row[len(keys)])
            run["force"] = plan.get("force", "") if isinstance(plan, dict) else ""
            run["who"] = {"user": run.pop("user"), "host": run.pop("host")}
            run["services"] = json.loads(run["services"])
            run["phases"] = [
                list(p) for p in self._rows("SELECT name, seconds FROM phases WHERE run = ? ORDER BY n", run["id"])
            ]
            found.append(run)
        return found


def _named(keys: Sequence[str], row: Sequence[Any]) -> Json:
    return {key: row[number] for number, key in enumerate(keys)}
