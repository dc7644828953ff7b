"""Images of data services (and others that are used as they are): present, else pulled by the server, else shipped."""

from __future__ import annotations

from collections.abc import Callable

from allfast.agent.engine import EngineUnreachable
from allfast.errors import ShipError
from allfast.events import Emit, Note
from allfast.images import server_images
from allfast.images.cargo import Cargo, Destination, engine_errors
from allfast.images.local_engine import LocalEngine, platform_of
from allfast.images.ship import CACHE_LIMIT, Shipment, Shipper
from allfast.model.server import ServerFacts
from allfast.transfer.documents import normal_platform

#: Seconds of silence after which the server's attempt to pull an image counts as failed.
SILENCE = 20.0


def ensure_data_image(
    reference: str,
    service: str,
    server: Destination,
    local: LocalEngine,
    emit: Emit,
    *,
    platform: str,
    facts: Callable[[], ServerFacts] | None = None,
    cache_limit: int = CACHE_LIMIT,
) -> Shipment:
    """See to it that the server's engine has the image of that name, for its platform.

    Returns the shipment, empty where nothing was shipped. It never replaces an image that is there.

    Args:
        facts: asks the server for its room, which is done when the image is to be sent: what came before it has taken
            some. None: there is enough.

    Raises:
        RefusedError: not enough room on the server; nothing was sent.
        ShipError: the image is in neither place and no registry gave it to the server.
    """
    engine = server.engine
    with engine_errors(service):
        found = server_images.inspect(engine, reference)
    if found is not None and platform_of(found) == normal_platform(platform):
        return Shipment({}, 0)
    emit(Note(f"the server pulls {reference}", service=service))
    try:
        refused = server_images.pull(engine, reference, platform, SILENCE)
    except EngineUnreachable:
        refused = f"nothing was heard of the registry for {SILENCE:.0f} s"
    if not refused:
        return Shipment({}, 0)
    image = local.image(reference)
    if image is None or image.platform != normal_platform(platform) or "@" in reference:
        raise _nowhere(reference, service, refused, platform)
    emit(Note(f"the server could not pull {reference}: this machine's image is sent", service=service))
    now = facts() if facts is not None else None
    shipper = Shipper(
        server,
        local,
        emit,
        platform=platform,
        tag=lambda _: reference,
        free_bytes=now.free_bytes if now is not None else None,
        state_free_bytes=now.state_free_bytes if now is not None else None,
        cache_limit=cache_limit,
    )
    return shipper.ship([Cargo(service, image.engine_id)])


def _nowhere(reference: str, service: str, refused: str, platform: str) -> ShipError:
    command = f"docker pull --platform {platform} {reference}"
    hint = f"run `{command}` on this machine, and deploy again; or let the server reach its registry"
    if "@" in reference:
        hint = f"an image named by its digest cannot be sent: run `{command}` on the server, or name it by a tag"
    return ShipError(
        f"the image {reference} of {service} is not on the server, and the server could not pull it",
        hint=hint,
        evidence=(refused,),
    )
