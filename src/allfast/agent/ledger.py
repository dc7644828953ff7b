"""The ledger: what was deployed, what is at hand, and what was begun; one SQLite file per deployment.

Releases and data services are kept as the laptop wrote them (JSON of model.release), so their form is the laptop's
matter. Nothing secret is ever in it: the rendered Compose file is a file of its own (files.py). Times are seconds
since the epoch by this machine's clock; order is that of the rows, never that of the times. Each write is on the disk
when it returns.
"""

from __future__ import annotations

import json
import time
import zlib
from typing import Any, Dict, List, Optional, Tuple

from allfast.agent.protocol import AgentError, Kind
from allfast.agent.runs import Runs

Json = Dict[str, Any]


class Ledger(Runs):
    """One open ledger: releases, what is at hand, the runs. Writing is for who has the lock (requests.py)."""

    # releases

    def mint(self, suffix: str) -> str:
        """A new release id, `YYYYMMDD-HHMMSS-<suffix>` (UTC), that was never given out before."""
        with self._transaction():
            second = int(time.time())
            while True:
                stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(second))
                # the whole second is taken: two releases must differ in what people read first
                if not self._row("SELECT 1 FROM releases WHERE id LIKE ? || '-%'", stamp):
                    break
                second += 1
            self._db.execute("INSERT INTO releases (id, state) VALUES (?, 'minted')", (f"{stamp}-{suffix}",))
        return f"{stamp}-{suffix}"

    def put_release(self, release: Json) -> None:
        """Record a release under its id, as prepared; one that is there keeps its state."""
        with self._transaction():
            self._db.execute(
                "INSERT INTO releases (id, state, data) VALUES (?, 'prepared', ?) ON CONFLICT (id) DO UPDATE SET"
                " data = excluded.data, state = CASE state WHEN 'minted' THEN 'prepared' ELSE state END",
                (release["id"], json.dumps(release)),
            )

    def set_state(self, release: str, state: str) -> None:
        """Set a release's state; what was live before retires when another goes live."""
        with self._transaction():
            if state == "live":
                for row in self._rows("SELECT id, data FROM releases WHERE state = 'live' AND id != ?", release):
                    data = json.dumps({**json.loads(row[1]), "retired": time.time()})
                    self._db.execute("UPDATE releases SET state = 'retired', data = ? WHERE id = ?", (data, row[0]))
            changed = self._db.execute("UPDATE releases SET state = ? WHERE id = ? AND data NOT NULL", (state, release))
            if changed.rowcount != 1:
                raise _no_release(release)

    def release(self, release: str) -> Tuple[Json, str]:
        """A release and its state. Raises `AgentError` not-found."""
        row = self._row("SELECT data, state FROM releases WHERE id = ? AND data NOT NULL", release)
        if row is None:
            raise _no_release(release)
        return json.loads(row[0]), row[1]

    def releases(self) -> List[Tuple[Json, str]]:
        """All releases with their states, the newest first."""
        rows = self._rows("SELECT data, state FROM releases WHERE data NOT NULL ORDER BY n DESC")
        return [(json.loads(data), state) for data, state in rows]

    def live(self) -> Optional[Json]:
        """The live release, None without one."""
        row = self._row("SELECT data FROM releases WHERE state = 'live'")
        return None if row is None else json.loads(row[0])

    def canary(self) -> Optional[Json]:
        """The release that gets a share of the visitors beside the live one, None without one."""
        row = self._row("SELECT data FROM releases WHERE state = 'canary'")
        return None if row is None else json.loads(row[0])

    def forget(self, keep: List[str]) -> None:
        """Remove all releases but those."""
        marks = ",".join("?" * len(keep))
        with self._transaction():
            self._db.execute(f"DELETE FROM releases WHERE id NOT IN ({marks})", keep)  # noqa: S608 - only question marks

    # inputs, images, data services

    def put_inputs(self, digest: str, data: Any) -> None:
        """Keep what an image was built from, under its digest."""
        blob = zlib.compress(json.dumps(data, separators=(",", ":")).encode(), 6)
        with self._transaction():
            self._db.execute("INSERT OR IGNORE INTO inputs VALUES (?, ?)", (digest, blob))

    def inputs(self, digest: str) -> Any:
        """What an image was built from, None where that is not known."""
        row = self._row("SELECT data FROM inputs WHERE digest = ?", digest)
        return None if row is None else json.loads(zlib.decompress(row[0]))

    def forget_inputs(self, keep: List[str]) -> None:
        """Remove all inputs but those."""
        known = {row[0] for row in self._rows("SELECT digest FROM inputs")}
        with self._transaction():
            self._db.executemany("DELETE FROM inputs WHERE digest = ?", [(digest,) for digest in known - set(keep)])

    def put_images(self, images: List[Json]) -> None:
        """Record images that arrived; an image that is known stays stale if it was."""
        columns = ("engine_id", "config_digest", "service", "inputs", "method", "commit", "tag", "created", "sent")
        rows = [(*(image[column] for column in columns), json.dumps(image["diff_ids"])) for image in images]
        with self._transaction():
            self._db.executemany(
                "INSERT INTO images"
                " (engine_id, config_digest, service, inputs, method, commit_sha, tag, created, sent, diff_ids, stale)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0) ON CONFLICT (engine_id) DO UPDATE SET"
                " config_digest = excluded.config_digest,"
                " service = excluded.service, inputs = excluded.inputs, method = excluded.method,"
                " commit_sha = excluded.commit_sha, tag = excluded.tag,"
                " sent = excluded.sent, diff_ids = excluded.diff_ids",
                rows,
            )

    def mark_stale(self, engine_ids: List[str]) -> None:
        """Mark images as caught stale."""
        with self._transaction():
            self._db.executemany("UPDATE images SET stale = 1 WHERE engine_id = ?", [(one,) for one in engine_ids])

    def images(self) -> Dict[str, Json]:
        """By engine id: what is recorded of each image."""
        chosen = f"SELECT engine_id, config_digest, inputs, stale, {self._since(3, 'sent', 'NULL')} FROM images"  # noqa: S608 - our words
        keys = ("config_digest", "inputs", "stale", "sent")
        return {row[0]: {**dict(zip(keys, row[1:])), "stale": bool(row[3])} for row in self._rows(chosen)}  # noqa: B905 - Python 3.9

    def stale(self) -> List[Json]:
        """All builds that were caught stale, also those whose image is no more; the newest first."""
        layers = self._since(2, "diff_ids", "'[]'")
        chosen = f"SELECT service, inputs, {layers} FROM images WHERE stale = 1 ORDER BY rowid DESC"  # noqa: S608 - our words
        rows = self._rows(chosen)
        return [{"service": row[0], "inputs": row[1], "diff_ids": json.loads(row[2])} for row in rows]

    def forget_images(self, keep: List[str], keep_stale: int) -> None:
        """Remove all records of images but those and the newest of stale builds: a copy may come from elsewhere."""
        newest = self._rows("SELECT engine_id FROM images WHERE stale = 1 ORDER BY rowid DESC LIMIT ?", keep_stale)
        gone = set(self.images()) - set(keep) - {row[0] for row in newest}
        with self._transaction():
            self._db.executemany("DELETE FROM images WHERE engine_id = ?", [(one,) for one in gone])

    def put_data(self, services: List[Json]) -> None:
        """Record data services as they were applied."""
        with self._transaction():
            rows = [(service["name"], json.dumps(service)) for service in services]
            self._db.executemany("INSERT OR REPLACE INTO data_services VALUES (?, ?)", rows)

    def data(self) -> List[Json]:
        """The data services as last applied, by name."""
        return [json.loads(row[0]) for row in self._rows("SELECT data FROM data_services ORDER BY name")]

    def _since(self, version: int, column: str, otherwise: str) -> str:
        """A column that came with a schema version: who only looks may find an older ledger, and leaves it as it is."""
        return column if self._row("PRAGMA user_version")[0] >= version else otherwise


def _no_release(release: str) -> AgentError:
    return AgentError(Kind.NOT_FOUND, f"no release {release} in the ledger", "look at: allfast history")
