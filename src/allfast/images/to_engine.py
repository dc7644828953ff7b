"""Load: give an image whose missing layers are in the server's layer cache to the engine, and check it by digest."""

from __future__ import annotations

from allfast.agent import archive
from allfast.agent.protocol import Kind
from allfast.errors import ShipError
from allfast.images.cargo import Destination, Freight
from allfast.images.to_cache import Sent
from allfast.model.release import Image
from allfast.remote.failures import AgentRefusal
from allfast.remote.hearing import Works
from allfast.remote.layers import Found
from allfast.transfer.documents import normal_platform


def find(freight: Freight, server: Destination) -> Image | None:
    """The image, if the server's engine has it as it is to be; None also where its digest is not known yet."""
    if not freight.config_digest or not freight.complete:
        return None
    # On a graph driver the local id is the configuration's digest, under which another graph driver would know it
    ids = sorted({freight.local.engine_id, freight.config_digest})
    return _image(server.cache.find(ids, freight.local.diff_ids), freight, freight.config_digest)


def load(freight: Freight, sent: Sent, server: Destination, cache_limit: int, works: Works) -> tuple[str, Image | None]:
    """One attempt: why the engine refused ("" if it did not say), and the image as it is on the server then.

    `works` hears how far it is.

    Raises:
        ShipError: the server's disk is full.
        AgentRefusal: a layer is not in the server's cache any more, or is not what it was.
    """
    numbers = {layer: number for number, layer in enumerate(freight.local.diff_ids)}
    layers = sorted(numbers[layer] for layer in freight.missing)
    try:
        loaded = server.cache.load(sent.config, sent.sizes, layers, cache_limit, works)
    except AgentRefusal as error:
        if error.kind != Kind.DISK_FULL:
            raise
        text = f"the image of {freight.service} did not arrive: the server's disk is full"
        raise ShipError(text, hint=error.hint, evidence=(error.message,)) from error
    return loaded.refused, _image(loaded.image, freight, archive.digest(sent.config))


def not_arrived(freight: Freight, sent: Sent, refused: str, partial: str) -> ShipError:
    """That the engine does not have the image; `partial` is what it said of the partial archive before."""
    evidence = tuple(line for line in (partial and f"first attempt: {partial}", refused) if line)
    words = "the server's engine refused it" if refused else "the server's engine took it and does not have it"
    looked = archive.digest(sent.config)
    return ShipError(
        f"the image of {freight.service} did not arrive: {words} (looked for {looked})",
        hint="look at the server: docker info; df -h; journalctl -u docker",
        evidence=evidence,
    )


def _image(found: Found | None, freight: Freight, config_digest: str) -> Image | None:
    """The image as it is on the server, if it is for the platform that it was built for."""
    if found is None or normal_platform(found.platform) != freight.local.platform:
        return None
    return Image(config_digest, found.engine_id, freight.local.diff_ids, freight.local.platform)
