"""What a server is and has, as the agent reports it in one request."""

from __future__ import annotations

from dataclasses import dataclass, field

from allfast.model.release import DataService, Release, Run, Who


@dataclass(frozen=True, slots=True)
class ImageAtHand:
    """An image of this deployment that an engine has, found by its labels (model/labels.py)."""

    engine_id: str
    service: str
    commit: str
    inputs: str
    method: str
    platform: str
    diff_ids: tuple[str, ...]
    tags: tuple[str, ...] = ()
    created: float = 0.0  # epoch seconds
    stale: bool = False
    config_digest: str = ""  # known where allfast shipped it
    sent: int | None = None  # bytes that were sent for it when it came to the server


@dataclass(frozen=True, slots=True)
class StaleBuild:
    """A build that was caught stale. Its copies are known by these three, also where the server has the image no more.

    The layers alone would not do: a stale image often has those of the honest image of older inputs.
    """

    service: str
    inputs: str
    diff_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """A container's own check as the engine runs it, from the Compose file or the Dockerfile; times in seconds."""

    interval: float
    timeout: float
    retries: int
    start_period: float  # for which a failure does not count


@dataclass(frozen=True, slots=True)
class Container:
    """A container of this deployment, as the engine reports it; times are epoch seconds."""

    id: str
    name: str
    service: str
    image: str  # the engine's image id
    state: str  # created | running | restarting | exited | dead | paused | removing
    health: str  # "" without a check, else starting | healthy | unhealthy
    settings: str  # the label that allfast put on, "" on a container it did not make
    exit_code: int = 0
    restarts: int = 0
    oom_killed: bool = False
    started: float = 0.0
    one_off: bool = False
    addresses: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()  # published, as "0.0.0.0:80->3000/tcp"
    exposed: tuple[int, ...] = ()  # TCP ports that the image or the Compose file declares
    health_output: str = ""  # what the last health check printed, shortened
    release: str = ""  # whose own project it is in (strategy "side-by-side"); "" in the base project
    restart: str = "no"  # its restart policy now, as Compose writes it: "no", "unless-stopped", "on-failure:3" ...
    networks: tuple[str, ...] = ()  # names of the networks it is joined to
    check: HealthCheck | None = None


@dataclass(frozen=True, slots=True)
class PortHolder:
    """A host port and the container that holds it; `container` is "" where a process outside of all containers does."""

    host_ip: str
    port: int
    protocol: str
    container: str
    project: str
    deployment: str = ""  # of allfast, "" for a container that it did not make


@dataclass(frozen=True, slots=True)
class NamedContainer:
    """Any container of the server, by the name that no other one can have."""

    name: str
    project: str  # of Compose, "" where it is in none


@dataclass(frozen=True, slots=True)
class Resource:
    """A network or a named volume: as the engine made it, or as a Compose file wants it."""

    kind: str  # network | volume
    name: str
    driver: str  # "" where a Compose file leaves it to the engine
    options: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # of the driver, sorted; they can hold secrets
    internal: bool = False
    subnets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LockHolder:
    """Who holds the lock: shown in every refusal."""

    who: Who
    since: float
    doing: str


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """Everything that a plan needs to know of a server, at one moment."""

    hostname: str
    platform: str  # linux/amd64
    engine: str  # version
    store: str  # overlay2 | containerd | another graph driver's name
    clock: float  # epoch seconds
    free_bytes: int  # where the engine keeps its images
    live: Release | None
    containers: tuple[Container, ...]
    images: tuple[ImageAtHand, ...]
    ports: tuple[PortHolder, ...] = ()
    names: tuple[NamedContainer, ...] = ()  # of all containers
    resources: tuple[Resource, ...] = ()  # all networks and named volumes
    image_refs: tuple[tuple[str, str], ...] = field(default=())  # reference -> engine id, of all tagged images
    data: tuple[DataService, ...] = ()  # data services as allfast last applied them
    unfinished: Run | None = None  # a run that began and never ended
    lock: LockHolder | None = None
    free_memory: int = 0  # bytes that programs could have now; 0 where it is not known
    memory: int = 0  # bytes that the running containers of releases use
    stale: tuple[StaleBuild, ...] = ()
    canary: Release | None = None
    state_free_bytes: int | None = None  # where allfast's state is; None: on the same file system as the images
