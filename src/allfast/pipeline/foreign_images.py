"""Images that nobody builds here: of data services, of release services that are used as they are, of the proxy."""

from __future__ import annotations

from allfast.images.data_images import ensure_data_image
from allfast.images.local_engine import LocalEngine
from allfast.model.server import ServerFacts
from allfast.pipeline.context import Context


def bring(context: Context, reference: str, name: str, local: LocalEngine, server: ServerFacts) -> None:
    """Have the image `reference` on the server: present, pulled there, or shipped; `name` is whom it is for.

    Raises:
        ShipError: it is nowhere to be had.
    """
    shipment = ensure_data_image(
        reference,
        name,
        context.server,
        local,
        context.emit,
        platform=server.platform,
        free_bytes=server.free_bytes,
        state_free_bytes=server.state_free_bytes,
        cache_limit=context.project.config.toml.layer_cache,
    )
    context.wire_bytes += shipment.wire_bytes
