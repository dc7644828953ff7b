"""What travels: images of the local engine, and which of their layers the server's engine lacks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from allfast.agent.engine import LOOK_AT_ENGINE, Engine, EngineError, EngineUnreachable
from allfast.agent.protocol import Kind
from allfast.errors import RefusedError, ShipError
from allfast.images.local_engine import LocalEngine, LocalImage
from allfast.images.sending import Cache
from allfast.remote.failures import AgentRefusal
from allfast.transfer.documents import normal_platform

MISSING_HINT = (
    "see what removes files from the server's layer cache, or images from its engine, then run the same command again"
)
#: For an image whose own stream is not what it should be.
UNREADABLE_HINT = (
    "run the same command again; if it says the same, build the image anew (allfast build --clean), or remove it here "
    "(docker image rm)"
)
DAMAGED_HINT = "look at the memory and the disks of both machines: what is sent is not what arrives"
#: What the server's agent says of layers that are not there, or not what they were, and the next step.
LOST = {Kind.NOT_FOUND: MISSING_HINT, Kind.BAD_DIGEST: DAMAGED_HINT}


class Destination(Protocol):
    """What shipping needs of a server."""

    @property
    def engine(self) -> Engine:
        """The server's engine, over the forwarded socket."""

    @property
    def cache(self) -> Cache:
        """The server's layer cache."""

    def layers(self, diff_ids: Sequence[str]) -> int:
        """How many leading layers of this chain the server's engine can take from what it has."""


@dataclass(frozen=True, slots=True)
class Cargo:
    """A service's image in the local engine; `config_digest` is empty where the build did not report it."""

    service: str
    engine_id: str
    config_digest: str = ""


@dataclass(frozen=True, slots=True)
class Freight:
    """An image that is to go: what it is here, and what of it the server's engine has.

    `have` is the number of leading layers that are there: whoever brings more of them there hands on a freight with
    more. `sizes` are the bytes of each layer, about.
    """

    service: str
    local: LocalImage
    config_digest: str
    sizes: tuple[int, ...]
    have: int

    @property
    def missing(self) -> dict[str, int]:
        """The layers that the engine lacks, and about how many bytes they have: diff id -> bytes."""
        return dict(zip(self.local.diff_ids[self.have :], self.sizes[self.have :], strict=True))

    @property
    def complete(self) -> bool:
        """Whether the engine has all its layers."""
        return self.have == len(self.local.diff_ids)


def look(cargo: Cargo, server: Destination, local: LocalEngine, platform: str) -> Freight:
    """Look what of an image has to go.

    Raises:
        RefusedError: it is for another platform than the server's.
        ShipError: it is not in the local engine any more.
    """
    image = local.image(cargo.engine_id)
    if image is None:
        raise ShipError(
            f"the image of {cargo.service} is gone from the local engine ({cargo.engine_id})", hint="build it again"
        )
    if image.platform != normal_platform(platform):
        raise RefusedError(
            f"the image of {cargo.service} is for {image.platform}, the server is {platform}",
            hint=f"build it for {platform} (remove `platform` of the service, or choose the server's)",
        )
    have = server.layers(image.diff_ids)
    return Freight(cargo.service, image, cargo.config_digest, local.layer_sizes(image), have)


@contextmanager
def engine_errors(service: str) -> Iterator[None]:
    """Turns errors of the server's engine into `ShipError`s that name the service."""
    try:
        yield
    except EngineUnreachable as error:
        raise ShipError(
            f"the connection to the server's engine was lost at the image of {service}",
            hint="run the same command again: images that have arrived are not sent again",
            evidence=(str(error),),
        ) from error
    except EngineError as error:
        raise ShipError(
            f"the server's engine refused at the image of {service}: {error.message}",
            hint=LOOK_AT_ENGINE,
        ) from error


@contextmanager
def layer_errors(service: str) -> Iterator[None]:
    """Turns what the server's agent says of layers that are `LOST` into `ShipError`s that name the service."""
    try:
        yield
    except AgentRefusal as error:
        if error.kind not in LOST:
            raise
        raise ShipError(f"the image of {service} did not arrive: {error.message}", hint=LOST[error.kind]) from error
