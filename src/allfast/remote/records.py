"""What a server's ledger holds, where model/ has no value for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from allfast.model.release import Release, Run


@dataclass(frozen=True, slots=True)
class StoredRelease:
    """A release with its rendered Compose file (which holds secrets), and its Compose secrets' contents."""

    release: Release
    compose: str = field(repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class ArrivedImage:
    """An image that was shipped, as the ledger records it."""

    engine_id: str
    config_digest: str
    service: str
    inputs: str
    method: str
    commit: str
    tag: str
    created: float
    diff_ids: tuple[str, ...] = ()
    sent: int | None = None  # bytes


@dataclass(frozen=True, slots=True)
class JournalStep:
    """A step of a run's journal; `outcome` is "" where it began and never ended."""

    id: int
    step: str
    detail: dict[str, Any]
    began: float
    ended: float | None
    outcome: str


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run with its plan and its journal."""

    run: Run
    plan: Any
    journal: tuple[JournalStep, ...]


@dataclass(frozen=True, slots=True)
class Held:
    """The lock is held; `unfinished` is a run that somebody began and never ended."""

    unfinished: Run | None
