"""The file of a ledger: opening it, whose it is, its transactions."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator, List

from allfast.agent import schema
from allfast.agent.protocol import AgentError, Kind

FILE = "ledger.sqlite3"


class Database:
    """One open file. Safe to use from several threads."""

    def __init__(self, folder: Path, app: str, target: str, create: bool) -> None:
        """Open it; with `create` make or migrate it first.

        Raises `AgentError`: no-state without a ledger, older-allfast, foreign-deployment, broken-ledger.
        """
        self._path = folder / FILE
        if create and not self._path.exists():
            # Made by hand: SQLite would make it unwritable for the group, and gives its other files the same mode.
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o660)
            os.fchmod(fd, 0o660)
            os.close(fd)
        if not self._path.exists():
            raise _no_state(self._path)
        self._mutex = threading.RLock()
        self._db = sqlite3.connect(uri(self._path), uri=True, check_same_thread=False, isolation_level=None)
        try:
            self._prepare(app, target, create)
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        """Close the file."""
        with self._mutex:
            self._db.close()

    def _prepare(self, app: str, target: str, create: bool) -> None:
        with self._translated():
            self._db.execute("PRAGMA busy_timeout = 10000")
            self._db.execute("PRAGMA foreign_keys = ON")
            self._db.execute("PRAGMA synchronous = EXTRA")  # FULL, and the folder's entry of the journal too
            found = schema.version(self._db)
            if found > schema.VERSION:
                raise AgentError(
                    Kind.OLDER_ALLFAST,
                    f"{self._path} was written by a newer allfast (schema {found}; this one knows {schema.VERSION})",
                    "update allfast on this machine",
                )
            if found == 0 and not create:
                raise _no_state(self._path)
            if found < schema.VERSION and create:
                schema.migrate(self._db)
            self._check_owner(app, target, create)

    def _check_owner(self, app: str, target: str, create: bool) -> None:
        owner = dict(self._db.execute("SELECT key, value FROM meta WHERE key IN ('app', 'target')").fetchall())
        if not owner and create:
            with self._transaction():
                self._db.executemany("INSERT INTO meta VALUES (?, ?)", [("app", app), ("target", target)])
        elif owner and owner != {"app": app, "target": target}:
            theirs, where = owner.get("app"), owner.get("target")
            raise AgentError(
                Kind.FOREIGN_DEPLOYMENT,
                f'{self._path.parent} belongs to app "{theirs}", target "{where}";'
                f' this is app "{app}", target "{target}"',
                "give the app or the target another name in allfast.toml, or set default_target back",
            )

    def _row(self, statement: str, *values: Any) -> Any:
        rows = self._rows(statement, *values)
        return rows[0] if rows else None

    def _rows(self, statement: str, *values: Any) -> List[Any]:
        with self._mutex, self._translated():
            return self._db.execute(statement, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._mutex, self._translated():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            full = "is full" in str(error)  # Python 3.9 has no error code to ask
            raise AgentError(
                Kind.DISK_FULL if full else Kind.BROKEN_LEDGER,
                f"the ledger {self._path}: {error}",
                "free space on the server" if full else "look at the file and at the rights of its folder",
            ) from error


def uri(path: Path) -> str:
    """What SQLite opens: a reader must not make a file, but must be able to roll back what a crashed writer left."""
    quoted = str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    return f"file:{quoted}?mode=rw"


def _no_state(path: Path) -> AgentError:
    return AgentError(Kind.NO_STATE, f"no deployment here yet: there is no {path}", "deploy first: allfast deploy")
