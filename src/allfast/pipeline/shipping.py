"""Every release service's image as it is on the server when what was to travel has arrived (outgoing.py)."""

from __future__ import annotations

from collections.abc import Mapping

from allfast.errors import ShipError
from allfast.images import server_images
from allfast.images.local_engine import platform_of
from allfast.model.plan import Plan, ServicePlan, Step
from allfast.model.release import Image
from allfast.pipeline import foreign_images
from allfast.pipeline.context import Context
from allfast.pipeline.facts import Snapshot
from allfast.pipeline.outgoing import Outgoing, owners, tag
from allfast.planning.to_send import THE_PROXY
from allfast.remote.server import ArrivedImage
from allfast.text import megabytes


def ship(context: Context, snapshot: Snapshot, plan: Plan, outgoing: Outgoing, release: str) -> dict[str, Image]:
    """Bring what is missing to the server and name it there; the image of each service that stays or comes.

    The proxy's image is among it: one that is nowhere to be had ends the deploy here, before one-shots run.

    Raises:
        ShipError: an image did not arrive as it was built, or is nowhere to be had.
        RefusedError: not enough room.
    """
    services = [s for s in plan.services if s.step is not Step.REMOVE]
    decided = owners(plan)
    with context.step("ship images", services=sorted(decided), release=release):
        images = outgoing.arrive()
        for service in services:
            images.setdefault(service.service, _image(context, snapshot, service, images))
        _name(context, images, services, release)
        _record(context, snapshot, decided, images, outgoing.sent, release)
        if snapshot.facts.proxy_image and not plan.canary:
            _bring(context, snapshot, snapshot.facts.proxy_image, THE_PROXY)
    return {service.service: images[service.service] for service in services}


def told(wire_bytes: int, early: int) -> str:
    """What travelled, in words; `early` bytes of it while images were being built."""
    if not wire_bytes:
        return "nothing to send"
    of_it = f", {megabytes(early)} of it while others were built" if early else ""
    return f"{megabytes(wire_bytes)} sent{of_it}"


def _image(context: Context, snapshot: Snapshot, service: ServicePlan, images: Mapping[str, Image]) -> Image:
    """The image of a service that needed no shipping of its own."""
    live = snapshot.facts.server.live
    recorded = live.service(service.service) if live else None
    kept = service.method is None and service.step is Step.KEEP
    if recorded is not None and (service.from_live or kept):
        return recorded.image  # also where its name means another image by now
    if service.image_on_server:
        found = next(i for i in snapshot.facts.server.images if i.engine_id == service.image)
        return Image(found.config_digest or found.engine_id, found.engine_id, found.diff_ids, found.platform)
    if service.owner in images:
        return images[service.owner]
    return _as_it_is(context, snapshot, service.service)


def _as_it_is(context: Context, snapshot: Snapshot, name: str) -> Image:
    """An image that nobody builds here: present on the server, pulled there, or shipped."""
    item = snapshot.facts.get(name)
    assert item is not None
    _bring(context, snapshot, item.service.image, name)
    found = server_images.inspect(context.server.engine, item.service.image)
    if found is None:
        raise ShipError(f"{name}: {item.service.image} is not on the server although it arrived", hint="deploy again")
    return Image(found["Id"], found["Id"], tuple(found["RootFS"]["Layers"]), platform_of(found))


def _bring(context: Context, snapshot: Snapshot, reference: str, name: str) -> None:
    foreign_images.bring(context, reference, name, snapshot.local, snapshot.facts.server.platform)


def _name(context: Context, images: Mapping[str, Image], services: list[ServicePlan], release: str) -> None:
    """An image that is gone again is found so here, before the rollout."""
    owned = [service.service for service in services if service.owner == service.service]
    context.server.cache.name({tag(context, name, release): images[name].engine_id for name in owned})


def _record(
    context: Context,
    snapshot: Snapshot,
    decided: Mapping[str, ServicePlan],
    images: Mapping[str, Image],
    sent: Mapping[str, int],
    release: str,
) -> None:
    arrived = []
    # one that arrived with a run that was cut off is on the server, but not in the ledger
    known = {image.engine_id for image in snapshot.facts.server.images if image.config_digest}
    for name in decided:
        item, image = snapshot.facts.get(name), images[name]
        method = decided[name].method
        if item is None or item.inputs is None or image.engine_id in known or method is None:
            continue
        at_hand = snapshot.facts.at_hand(decided[name].image)
        arrived.append(
            ArrivedImage(
                engine_id=image.engine_id,
                config_digest=image.config_digest,
                service=name,
                inputs=item.inputs.digest,
                method=at_hand.method if at_hand else method.value,
                commit=at_hand.commit if at_hand else snapshot.facts.commit.sha,
                tag=tag(context, name, release),
                created=context.now(),
                diff_ids=image.diff_ids,
                sent=sent.get(name),
            )
        )
    context.server.record_images(arrived)
