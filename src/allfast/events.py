"""Everything that can be shown, as frozen values: text, JSON and later readers see one stream of these.

Stages emit events and never print. Each event's JSON form is its fields plus `"event"`, its name; the names and
fields are an interface. `seconds` are wall-clock seconds, `bytes` are bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal


@dataclass(frozen=True, slots=True)
class Event:
    """The base of all events; `name` is the `"event"` key of the JSON form."""

    name: ClassVar[str] = ""


@dataclass(frozen=True, slots=True)
class PlanMade(Event):
    """The plan of this run, as data (the same document as `allfast plan --json`)."""

    name: ClassVar[str] = "plan"
    plan: dict[str, Any]


@dataclass(frozen=True, slots=True)
class StageBegan(Event):
    """A stage of the pipeline begins."""

    name: ClassVar[str] = "stage-began"
    stage: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class StageEnded(Event):
    """A stage of the pipeline ended well."""

    name: ClassVar[str] = "stage-ended"
    stage: str
    seconds: float
    text: str = ""


@dataclass(frozen=True, slots=True)
class Note(Event):
    """A sentence that a person should read; `service` where it speaks of one."""

    name: ClassVar[str] = "note"
    text: str
    level: Literal["info", "warning"] = "info"
    service: str = ""


@dataclass(frozen=True, slots=True)
class BuildStep(Event):
    """A step of a service's build began or ended; `step` of `steps` counts those known so far."""

    name: ClassVar[str] = "build-step"
    service: str
    text: str
    step: int
    steps: int
    cached: bool = False


@dataclass(frozen=True, slots=True)
class BuildLog(Event):
    """A line that a build step printed (shown with -v)."""

    name: ClassVar[str] = "build-log"
    service: str
    line: str


@dataclass(frozen=True, slots=True)
class Built(Event):
    """A service's image is built."""

    name: ClassVar[str] = "built"
    service: str
    method: str
    seconds: float


@dataclass(frozen=True, slots=True)
class ShipProgress(Event):
    """How far the missing layers of an image are on the server, in bytes of layers; `wire` bytes were sent for it.

    `all_sent` and `all_total` are of all images of this shipment that are known by then. Totals are estimates until a
    layer is read. `found` bytes of those that are there were so before: a transfer that was cut off has left them.
    """

    name: ClassVar[str] = "ship-progress"
    service: str
    sent: int
    total: int
    seconds: float
    wire: int = 0
    all_sent: int = 0
    all_total: int = 0
    found: int = 0


@dataclass(frozen=True, slots=True)
class ServerWorks(Event):
    """What the server is at with an image while nothing of it travels, once a second where it takes longer than that.

    `reading` an older version of a layer, or a layer that it has on another base, out of its engine; `loading`: the
    engine takes the image's missing layers; `unpacking` them. `done` bytes of `total` (0: that is not known) in
    `seconds`; of the unpacking not every engine tells how far it is. With `over`, nothing more is told of it.
    """

    name: ClassVar[str] = "server-works"
    service: str
    work: str
    done: int
    total: int
    seconds: float
    over: bool = False


@dataclass(frozen=True, slots=True)
class BasePulled(Event):
    """A base image that the server pulls from its registry by itself, while other layers are sent.

    `bytes` are compressed ones: of the layers that are missing when it began, and when it is done of those that were
    not sent. `cause` is why it failed or was given up; then the layers are sent. `pulling` comes several times a second
    while nothing but the pull is waited for: `bytes` are still to be fetched, `rate` of them a second, in
    `seconds_left` (None where no rate is known). With 0 of them it is being unpacked.
    """

    name: ClassVar[str] = "pull"
    image: str
    state: Literal["began", "pulling", "done", "given-up", "failed"]
    bytes: int = 0
    cause: str = ""
    rate: float = 0.0
    seconds_left: float | None = None


@dataclass(frozen=True, slots=True)
class Shipped(Event):
    """An image is on the server, checked by digest; `sent` is 0 where the server had it."""

    name: ClassVar[str] = "shipped"
    service: str
    sent: int
    layers_sent: int
    layers: int
    seconds: float


@dataclass(frozen=True, slots=True)
class ContainerChanged(Event):
    """A container's state, as the rollout sees it: starting, healthy, stopped ..."""

    name: ClassVar[str] = "container"
    service: str
    state: str


@dataclass(frozen=True, slots=True)
class Checked(Event):
    """The result of one check of the proof."""

    name: ClassVar[str] = "check"
    check: str  # identity | health | route | version | url
    service: str
    result: Literal["right", "wrong", "could-not-be-asked"]
    text: str


@dataclass(frozen=True, slots=True)
class Failed(Event):
    """An error, as a person is told of it."""

    name: ClassVar[str] = "error"
    message: str
    hint: str = ""
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Result(Event):
    """The last event of a run."""

    name: ClassVar[str] = "result"
    outcome: str  # done | nothing-to-do | failed | refused | interrupted | attention
    release: str
    seconds: float
    phases: dict[str, float] = field(default_factory=dict)
    wire_bytes: int = 0
    services: dict[str, dict[str, str]] = field(default_factory=dict)
    url: str = ""
    proven: bool = False
    to_switch: float | None = None  # seconds from the lock to where visitors got the release; None: not switched
    canary: int = 0  # percent of the visitors that the release gets, 0 where it gets all or none
    text: str = ""  # what was done, in a sentence, where the run was not about bringing a release to the visitors


#: Shows an event; from any thread.
Emit = Callable[[Event], None]
