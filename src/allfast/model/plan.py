"""The plan: what will be done and why, as data. Made by planning/plan.py from facts, used once."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from allfast.model.release import Commit, Strategy
from allfast.model.routing import Route
from allfast.model.service import Kind, Method


class Step(StrEnum):
    """What happens to a service's container."""

    KEEP = "keep"
    NEW = "new"
    RUN = "run"  # a one-shot: once, before the rollout
    REMOVE = "remove"  # in the live release, no longer in the new one


@dataclass(frozen=True, slots=True)
class ServicePlan:
    """One release service: how its image comes to be and what happens to its container, each with the reason."""

    service: str
    owner: str  # the service whose image it runs: itself, or the one that builds it
    kind: Kind
    kind_reason: str
    method: Method | None  # None: nothing is built (the image is used as it is, or the service is removed)
    reason: str
    step: Step
    step_reason: str
    image_on_server: bool = False  # reuse: nothing has to be sent
    image: str = ""  # reuse: the engine id of the image at hand
    from_live: bool = False  # not asked for: image, settings, environment and files are the live release's


@dataclass(frozen=True, slots=True)
class ToSend:
    """What has to travel of a service's image, as far as that can be told before it is built or read.

    A layer that several images have travels once: it counts for the first of them.
    """

    service: str  # or `the proxy`
    layers: int | None = None  # that the server lacks, `of` so many; None: not known before it is built
    of: int | None = None
    most: int | None = None  # bytes of these layers, unpacked: less travels
    expected: int | None = None  # bytes on the wire: what images that were built in the same way took; None: none was
    changed: int | None = None  # bytes of the files that changed, of an image that is to be built; None: not known
    pulled: str = ""  # nobody builds it: what the server is to pull; where it cannot, `most` (None: it is not here)
    shared: int = 0  # layers that the server lacks, too, and that count for an image before it
    estimated: bool = False  # `most` is an estimate: the engine here does not tell the image's layers apart


@dataclass(frozen=True, slots=True)
class SendTotal:
    """What has to travel of all images together: no more than `most` bytes, about `expected` ones besides."""

    most: int = 0
    expected: int = 0
    unknown: int = 0  # images of which nothing can be told before they are built


@dataclass(frozen=True, slots=True)
class DataPlan:
    """One data service: start, keep, or recreate (only with consent; without it `leave`).

    `start` makes a container where there is none, and starts a stopped one as it is: never in a changed form.
    """

    service: str
    action: str  # keep | start | recreate | leave
    reason: str
    gap: str = ""  # what visitors notice of it


@dataclass(frozen=True, slots=True)
class EnvironmentChange:
    """A changed key of a service's environment; values are never shown."""

    service: str
    key: str
    change: str  # added | removed | changed
    source: str = ""


@dataclass(frozen=True, slots=True)
class RoutePlan:
    """Requests of one port, host and path: what they reach in the live release, and in the new one.

    `change` is added, removed, moved (another service or port answers, or it is spoken to in another way) or kept.
    """

    url: str  # its beginning; `*` is every host
    change: str
    before: Route | None
    after: Route | None


@dataclass(frozen=True, slots=True)
class Finding:
    """A result of preflight: `refuse` stops the deploy before anything is touched, `warn` is shown."""

    rule: str  # what it is about; the key under [preflight] where there is one
    level: str  # refuse | warn
    text: str
    hint: str = ""
    forceable: bool = True  # --force makes a warning of a refusal
    forced: bool = False  # it did


@dataclass(frozen=True, slots=True)
class Plan:
    """All of it; `nothing_to_do` only when every service is kept and the live release is proven and healthy."""

    deployment: str
    target: str
    commit: Commit
    live: str  # release id, "" on a first deploy
    platform: str
    services: tuple[ServicePlan, ...]
    data: tuple[DataPlan, ...]
    environment: tuple[EnvironmentChange, ...]
    findings: tuple[Finding, ...]
    one_shots: tuple[str, ...]  # in the order they run
    to_send: tuple[ToSend, ...]
    nothing_to_do: bool
    to_send_total: SendTotal = SendTotal()
    mends: tuple[str, ...] = ()  # what is not as recorded and will be put right
    notes: tuple[str, ...] = ()
    proof_only: bool = False  # nothing starts: the live release only has to be proven
    strategy: Strategy = Strategy.RECREATE
    proxy: tuple[str, ...] = ()  # what becomes of the proxy, and who notices
    canary: int = 0  # the share of the visitors that the release gets, in percent; 0 for all of them
    waits: tuple[str, ...] = ()  # services that start with the promotion of the canary
    share_only: bool = False  # the canary runs already: nothing but its share changes
    force: str = ""  # the reason of --force, as the ledger keeps it; "" where it overruled nothing
    routes: tuple[RoutePlan, ...] = ()  # through the proxy, by address
