"""The same app and target under another deployment name: their names in allfast.toml were changed while it runs."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Optional, Tuple

from allfast.agent.database import FILE, uri
from allfast.agent.protocol import AgentError, Kind


def check(base: Path, deployment: str, app: str, target: str) -> None:
    """Refuse a deployment without a live release where its app and target are live under another name.

    To go on would be a first deploy, with empty volumes, beside what visitors get. Raises `AgentError`
    foreign-deployment.
    """
    if _live(base / deployment / FILE) is not None:
        return
    for file in sorted(base.glob(f"*/{FILE}")):
        if file.parent.name != deployment and _live(file) == (app, target):
            raise AgentError(
                Kind.FOREIGN_DEPLOYMENT,
                f'app "{app}", target "{target}" is live here as deployment "{file.parent.name}",'
                f' and would now be "{deployment}": a new one, with data of its own',
                "set default_target in allfast.toml (or the list of targets) back as it was: the default target is"
                f' deployment "{app}", another one {app}-<target>; or give this target another name',
            )


def _live(file: Path) -> Optional[Tuple[str, str]]:
    """App and target of a ledger that has a live release; None for any other, and for one that cannot be read."""
    if not file.exists():
        return None
    try:
        with closing(sqlite3.connect(uri(file), uri=True, timeout=2)) as database:
            if database.execute("SELECT 1 FROM releases WHERE state = 'live'").fetchone() is None:
                return None
            owner = dict(database.execute("SELECT key, value FROM meta").fetchall())
    except sqlite3.Error:  # somebody else's trouble
        return None
    return owner.get("app", ""), owner.get("target", "")
