"""The ledger's tables and their history: one migration for each schema version, run in one transaction."""

from __future__ import annotations

import sqlite3

#: Statements that lead from version N-1 to version N. Never change one that was published: add the next.
MIGRATIONS = (
    (
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
        # data is the release as the laptop made it (model.release.Release), NULL while only the id is given out
        "CREATE TABLE releases (n INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, state TEXT NOT NULL,"
        " data TEXT)",
        "CREATE TABLE inputs (digest TEXT PRIMARY KEY, data BLOB NOT NULL)",
        "CREATE TABLE images (engine_id TEXT PRIMARY KEY, config_digest TEXT NOT NULL, service TEXT NOT NULL,"
        " inputs TEXT NOT NULL, method TEXT NOT NULL, commit_sha TEXT NOT NULL, tag TEXT NOT NULL,"
        " stale INTEGER NOT NULL, created REAL NOT NULL)",
        "CREATE TABLE data_services (name TEXT PRIMARY KEY, data TEXT NOT NULL)",
        "CREATE TABLE runs (id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, user TEXT NOT NULL,"
        " host TEXT NOT NULL, began REAL NOT NULL, ended REAL, outcome TEXT NOT NULL, release TEXT NOT NULL,"
        " message TEXT NOT NULL, plan TEXT NOT NULL, wire_bytes INTEGER NOT NULL, services TEXT NOT NULL)",
        "CREATE TABLE phases (n INTEGER PRIMARY KEY AUTOINCREMENT,"
        " run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE, name TEXT NOT NULL, seconds REAL NOT NULL)",
        "CREATE TABLE journal (id INTEGER PRIMARY KEY AUTOINCREMENT,"
        " run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE, step TEXT NOT NULL, detail TEXT NOT NULL,"
        " began REAL NOT NULL, ended REAL, outcome TEXT NOT NULL)",
    ),
    # the layers by which a stale build is known where the server has its image no more; [] for those of version 1
    ("ALTER TABLE images ADD COLUMN diff_ids TEXT NOT NULL DEFAULT '[]'",),
    # bytes that were sent for it, from which the next plan tells what is to be expected; NULL where nobody counted
    ("ALTER TABLE images ADD COLUMN sent INTEGER",),
)
VERSION = len(MIGRATIONS)


def version(database: sqlite3.Connection) -> int:
    """The schema version of a ledger, 0 for an empty file."""
    return int(database.execute("PRAGMA user_version").fetchone()[0])


def migrate(database: sqlite3.Connection) -> None:
    """Bring the tables to this version; a crash in between leaves the old ones. Needs a connection in autocommit."""
    database.execute("BEGIN IMMEDIATE")
    try:
        for number in range(version(database), VERSION):
            for statement in MIGRATIONS[number]:
                database.execute(statement)
        database.execute(f"PRAGMA user_version = {VERSION:d}")
        database.execute("COMMIT")
    except BaseException:
        database.execute("ROLLBACK")
        raise
