"""Bring the database up to date: `python -m chat.migrate`.

Applies the numbered files of `migrations/` that this database has not seen, in order, all in one transaction, and sets
the demo user's password to DEMO_PASSWORD. Safe to run again, and to run twice at once: the second waits for the first.
"""

import hashlib
import os
import sys
from pathlib import Path

import psycopg

from chat.auth import hash_password, password_matches

MIGRATIONS = Path(__file__).parent / "migrations"
LOCK = 7240124  # any number, the same for every run on this database


def main() -> int:
    with psycopg.connect(connect_timeout=10) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        applied = migrate(connection)
        seed_demo_user(connection, os.environ.get("DEMO_PASSWORD", ""))
    print("applied " + ", ".join(applied) if applied else "nothing to apply", flush=True)
    return 0


def migrate(connection: psycopg.Connection) -> list[str]:
    connection.execute(
        "CREATE TABLE IF NOT EXISTS migrations"
        " (name text PRIMARY KEY, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
    )
    known: dict[str, str] = dict(connection.execute("SELECT name, sha256 FROM migrations").fetchall())
    applied = []
    for file in sorted(MIGRATIONS.glob("*.sql")):
        script = file.read_bytes()
        digest = hashlib.sha256(script).hexdigest()
        if file.name not in known:
            connection.execute(script)
            connection.execute("INSERT INTO migrations (name, sha256) VALUES (%s, %s)", [file.name, digest])
            applied.append(file.name)
        elif known[file.name] != digest:
            sys.exit(f"{file.name} was changed after it had been applied: put it back and write a new migration")
    return applied


def seed_demo_user(connection: psycopg.Connection, password: str) -> None:
    if not password:
        sys.exit("DEMO_PASSWORD is not set")
    row = connection.execute("SELECT password_hash FROM users WHERE name = 'demo'").fetchone()
    if row and password_matches(password, row[0]):
        return
    connection.execute(
        "INSERT INTO users (name, password_hash) VALUES ('demo', %s)"
        " ON CONFLICT (name) DO UPDATE SET password_hash = excluded.password_hash",
        [hash_password(password)],
    )


if __name__ == "__main__":
    sys.exit(main())
