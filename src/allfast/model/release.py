"""A release: one immutable copy of the release services, made from one commit."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from allfast.model.routing import NO_ROUTES, RouteSet
from allfast.model.service import Kind, Method

#: The form of a release's id.
RELEASE_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{7}(-dirty)?")
#: The path of a URL, from its slash on.
URL_PATH = re.compile(r"/[^\s\x00-\x1f\x7f]*")


@dataclass(frozen=True, slots=True)
class Commit:
    """A Git commit and the state of the tree it was taken from; `time` in seconds since the epoch."""

    sha: str
    subject: str
    time: int
    branch: str = ""  # empty when detached
    dirty: tuple[str, ...] = ()  # paths with uncommitted changes
    pushed: bool | None = None  # None: no remote to ask
    remote: str = ""  # the remote branch that was compared, as `origin/main`

    @property
    def short(self) -> str:
        """The first seven digits, as release ids have them."""
        return self.sha[:7]


@dataclass(frozen=True, slots=True)
class Image:
    """A built image, named by what never differs between engines and image stores.

    `config_digest` is the SHA-256 of the image's configuration (`sha256:...`): the same on both ends, whatever
    the store. `engine_id` is the id under which the *server's* engine knows it (the configuration's digest on
    overlay2, the manifest's on the containerd store), used for pinning.
    """

    config_digest: str
    engine_id: str
    diff_ids: tuple[str, ...]
    platform: str


@dataclass(frozen=True, slots=True)
class Where:
    """Where a service tells its version: a path, and there a JSON key (dots go into objects) or a header."""

    path: str
    json_key: str | None = None
    header: str | None = None

    def __post_init__(self) -> None:
        """It is put behind an address to be asked. Raises ValueError where it could change that (`.evil.net/x`)."""
        if not URL_PATH.fullmatch(self.path):
            raise ValueError(f"{self.path!r} is no path of a URL: somebody has changed it")


@dataclass(frozen=True, slots=True)
class Assets:
    """Files that pages load by name: their folder in the container, and the path of the URL below which they are."""

    path: str
    url: str


@dataclass(frozen=True, slots=True)
class ReleaseService:
    """A release service as it was deployed, and how it is asked: an old release does not know what moved since."""

    name: str
    kind: Kind
    settings: str
    image: Image
    built_by: str
    method: Method
    reason: str
    commit: str  # full hash of the commit its image was built from: the version it must report
    inputs: str  # the inputs digest, "" for an image that is not built
    environment: tuple[tuple[str, str], ...] = ()  # key -> SHA-256 of the value
    replicas: int = 1  # how many containers it should have
    port: int | None = None  # where it answers HTTP; None where that is not known
    version: Where | None = None  # None: its version is not asked
    published: tuple[int, ...] = ()  # the container's TCP ports that visitors come to: one of them must be listened on
    assets: Assets | None = None  # what stays reachable when the release is not live any more
    shared: bool = True  # False: it must not run beside its predecessor
    worker: bool = False  # nothing dials it: it may stop as soon as its successor is live


class Strategy(StrEnum):
    """How a release takes the place of the one before it."""

    RECREATE = "recreate"  # in the base project: the changed services' containers are replaced
    SIDE_BY_SIDE = "side-by-side"  # in a project of its own: it starts beside, and the proxy switches


@dataclass(frozen=True, slots=True)
class DataService:
    """A data service as it was last applied."""

    name: str
    settings: str
    image: str  # reference of the Compose file


class ReleaseState(StrEnum):
    """Where a release stands in the ledger."""

    PREPARED = "prepared"  # recorded, not yet live
    LIVE = "live"
    CANARY = "canary"  # gets a share of the visitors, beside the live one
    RETIRED = "retired"  # was live, or a canary; can be rolled back to


@dataclass(frozen=True, slots=True)
class Release:
    """What the ledger keeps of a release. Holds no secret."""

    id: str  # YYYYMMDD-HHMMSS-<commit7>[-dirty], by the server's clock
    commit: Commit
    services: tuple[ReleaseService, ...]
    data: tuple[DataService, ...]
    files: tuple[str, ...] = ()  # digests of the file sets it mounts (see agent/files.py)
    one_shots: tuple[str, ...] = ()  # what ran once for it: one-shot services and `before` commands
    proven: bool = False
    strategy: Strategy = Strategy.RECREATE
    routes: RouteSet = NO_ROUTES
    retired: float = 0.0  # when its successor went live, or it ended as a canary, epoch seconds; 0 while none has
    canary: int = 0  # percent of the visitors that it gets, or got last; 0 for one that is no canary and ended as none
    since: float = 0.0  # when it was given that share, epoch seconds

    @property
    def names(self) -> tuple[str, ...]:
        """Of all its services, data services too."""
        return (*(one.name for one in self.services), *(one.name for one in self.data))

    def service(self, name: str) -> ReleaseService | None:
        """The service of that name, or None."""
        return next((s for s in self.services if s.name == name), None)


@dataclass(frozen=True, slots=True)
class Who:
    """Who runs a command, as shown in the lock and the ledger."""

    user: str
    host: str


#: The commands that change a server; a process that a deploy left there begins runs of kind "retire". "canary" begins
#: one, changes its share or ends it.
RunKind = Literal["deploy", "canary", "promote", "rollback", "recover", "maintenance"]


@dataclass(frozen=True, slots=True)
class Run:
    """One command that changed (or tried to change) the server, as `history` shows it; times are epoch seconds."""

    id: int
    kind: str  # RunKind, or retire
    who: Who
    began: float
    ended: float | None
    outcome: str  # "" while it runs, then done | failed | interrupted | undone
    release: str
    message: str = ""
    phases: tuple[tuple[str, float], ...] = ()
    wire_bytes: int = 0
    services: tuple[tuple[str, str, str], ...] = field(default=())  # name, method, reason
    force: str = ""  # the reason that was given with --force
