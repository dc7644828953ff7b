"""All that the plan is decided from: one snapshot of the commit, the configuration, the engines and the server."""

from __future__ import annotations

from dataclasses import dataclass

from allfast.model.plan import Finding
from allfast.model.release import Assets, Commit, Strategy, Where
from allfast.model.routing import NO_ROUTES, RouteSet
from allfast.model.server import ImageAtHand, Resource, ServerFacts
from allfast.model.service import BuildInputs, Kind, Method, Service


@dataclass(frozen=True, slots=True)
class Changes:
    """What differs between two builds' inputs; file counts are of the build context.

    `share` is the share of the old context's files that were added, removed or changed (0 to 1).
    """

    dependencies: tuple[str, ...] = ()  # paths of dependency manifests and lock files
    dockerfile: bool = False
    dockerignore: bool = False
    args: tuple[str, ...] = ()  # names
    target: bool = False
    platform: bool = False
    bases: tuple[str, ...] = ()  # references whose digest differs
    files: tuple[str, ...] = ()  # all context files that differ, sorted (also the dependencies)
    share: float = 0.0
    secrets: tuple[str, ...] = ()  # ids of build secrets that came or went
    size: int = 0  # bytes of the files that were added or changed, as they are now


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    """One service of the commit, with what is known of its image's inputs."""

    service: Service
    inputs: BuildInputs | None = None  # None: not built
    changes: Changes | None = None  # against the live release; None where that has no such image
    before: tuple[str, ...] = ()  # the `before` command
    fresh_after: float | None = None  # seconds
    assets: Assets | None = None
    shared: bool = True  # `shared` of allfast.toml: it may run beside its predecessor
    version: Where | None = None  # where its version is asked
    asked_on: int | None = None  # the port on which it, or whether it answers, is asked
    sources: tuple[tuple[str, str], ...] = ()  # environment key -> the file it comes from


@dataclass(frozen=True, slots=True)
class Missing:
    """What the server lacks of an image that is at hand here."""

    image: str  # engine id here; of one that nobody builds, its reference
    layers: tuple[tuple[str, int], ...]  # diff id -> bytes when unpacked, as the engine here counts them
    of: int  # how many layers it has
    shares: bool = False  # the engine here does not tell its layers apart: each counts with its share of the image


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From which size on a change counts as a large refactor."""

    refactor_files: int = 200
    refactor_share: float = 0.4


@dataclass(frozen=True, slots=True)
class Facts:
    """The whole snapshot."""

    deployment: str
    target: str
    commit: Commit
    services: tuple[ServiceFacts, ...]
    server: ServerFacts
    local_images: tuple[ImageAtHand, ...] = ()
    missing: tuple[Missing, ...] = ()  # of those of them that may be reused, and of images here that nobody builds
    strategy: Strategy = Strategy.RECREATE
    routes: RouteSet = NO_ROUTES
    resources: tuple[Resource, ...] = ()  # as the Compose files want them
    proxy: tuple[str, ...] = ()  # what must become of the proxy, in words
    proxy_refusals: tuple[Finding, ...] = ()  # routes and ports that another application has
    proxy_image: str = ""  # what a container of it is to be made of, "" where none is made
    proxy_trouble: str = ""  # how the proxy differs from what the live release needs
    thresholds: Thresholds = Thresholds()
    findings: tuple[Finding, ...] = ()  # of preflight
    asked: frozenset[str] = frozenset()  # services whose version is asked on the server
    notes: tuple[str, ...] = ()

    def of_kind(self, *kinds: Kind) -> tuple[ServiceFacts, ...]:
        """The services of these kinds, by name."""
        return tuple(s for s in self.services if s.service.kind in kinds)

    def get(self, name: str) -> ServiceFacts | None:
        """The service of that name, or None."""
        return next((s for s in self.services if s.service.name == name), None)

    def at_hand(self, engine_id: str) -> ImageAtHand | None:
        """The image with that id, on the server or here, or None."""
        return next((i for i in (*self.server.images, *self.local_images) if i.engine_id == engine_id), None)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the command line asks of a plan."""

    method: Method | None = None  # --clean, --quick, --reuse
    services: tuple[str, ...] = ()  # empty: all
    data: bool = False  # --data: changed data services may be recreated
    force: str = ""  # --force REASON
    build_only: bool = False  # `allfast build`: no server will be touched
    canary: int = 0  # --canary: percent of the visitors, 0 for all of them
