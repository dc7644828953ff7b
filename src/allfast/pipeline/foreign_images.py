"""Images that nobody builds here: of data services, of release services that are used as they are, of the proxy."""

from __future__ import annotations

from allfast.images.data_images import ensure_data_image
from allfast.images.local_engine import LocalEngine
from allfast.pipeline.context import Context


def bring(context: Context, reference: str, name: str, local: LocalEngine, platform: str) -> None:
    """Have the image `reference` on the server: present, pulled there, or shipped; `name` is whom it is for.

    `platform` is the server's.

    Raises:
        ShipError: it is nowhere to be had.
        RefusedError: it would have to be sent, and there is not enough room for it on the server.
    """
    shipment = ensure_data_image(
        reference,
        name,
        context.server,
        local,
        context.emit,
        platform=platform,
        facts=context.server.facts,
        cache_limit=context.project.config.toml.layer_cache,
    )
    context.wire_bytes += shipment.wire_bytes
