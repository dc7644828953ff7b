"""What of the images has to travel: told with the plan, before anything is built or sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from statistics import median_low

from allfast.model.facts import Facts, Missing
from allfast.model.plan import DataPlan, SendTotal, ServicePlan, Step, ToSend
from allfast.model.reference import short
from allfast.model.service import Method
from allfast.planning.databases import makes_container

#: How the plan names whose image that is.
THE_PROXY = "the proxy"


def to_send(
    facts: Facts, services: Sequence[ServicePlan], data: Sequence[DataPlan], *, proxy: str = ""
) -> tuple[ToSend, ...]:
    """Of each image that the server lacks, by the service that builds it; then of those that nobody builds.

    `proxy` is the reference of the image that the proxy's container is to be made of, "" where none is made.
    """
    owners = {s.owner: s for s in services if s.method is not None and not s.from_live and not s.image_on_server}
    ours = (_of(facts, name, plan) for name, plan in sorted(owners.items()))
    others = (_pulled(facts, name, image) for name, image in _used_as_they_are(facts, services, data, proxy))
    return tuple(_each_layer_once([*ours, *others]))


def total(items: Sequence[ToSend]) -> SendTotal:
    """Of all of them together."""
    sure = [one.most for one in items if one.most is not None and not one.estimated]
    guessed = [one.most if one.estimated else one.expected for one in items if one.most is None or one.estimated]
    unknown = [one for one in items if one.most is None and one.expected is None and not one.pulled]
    return SendTotal(sum(sure), sum(size for size in guessed if size is not None), len(unknown))


def lacking(facts: Facts) -> tuple[str, ...]:
    """The references of all images that nobody builds and that the server lacks, the proxy's among them.

    Of one that is named by its digest it is not known whether the server has it.
    """
    used = {item.service.image for item in facts.services if item.service.built_by is None} | {facts.proxy_image}
    there = {short(reference) for reference, _ in facts.server.image_refs}
    return tuple(sorted(image for image in used if image and "@" not in image and short(image) not in there))


def _of(facts: Facts, name: str, plan: ServicePlan) -> tuple[ToSend, Missing | None]:
    """An image that is built, or was: what is known of it, and which layers are missing where it is here."""
    if plan.method is not Method.REUSE:
        item = facts.get(name)
        changed = item.changes.size if item is not None and item.changes is not None else None
        return ToSend(name, expected=_took(facts, name, plan.method), changed=changed), None
    built = facts.at_hand(plan.image)
    took = _took(facts, name, built.method if built is not None else None)
    return ToSend(name, expected=took), _missing(facts, plan.image)


def _took(facts: Facts, name: str, method: str | None) -> int | None:
    """Bytes that the last images that were built like this one took; None where none was."""
    # the engine's own file times make even equal builds differ: what the last ones took is the best that is known
    took = [one.sent for one in facts.server.images if (one.service, one.method) == (name, method) and one.sent]
    return median_low(took) if took else None


def _pulled(facts: Facts, name: str, image: str) -> tuple[ToSend, Missing | None]:
    """An image that the server pulls, or that is sent where it cannot."""
    return ToSend(name, pulled=image), _missing(facts, image)


def _used_as_they_are(
    facts: Facts, services: Sequence[ServicePlan], data: Sequence[DataPlan], proxy: str
) -> Iterator[tuple[str, str]]:
    """Who has a container made of an image that nobody builds and the server lacks; and that image."""
    absent = lacking(facts)
    anew = [s.service for s in services if s.method is None and not s.from_live and s.step in (Step.NEW, Step.RUN)]
    anew += [line.service for line in data if makes_container(facts, line)]
    for name in sorted(anew):
        item = facts.get(name)
        if item is not None and item.service.image in absent:
            yield name, item.service.image
    if proxy in absent:
        yield THE_PROXY, proxy


def _missing(facts: Facts, image: str) -> Missing | None:
    return next((one for one in facts.missing if one.image == image), None)


def _each_layer_once(found: Iterable[tuple[ToSend, Missing | None]]) -> Iterator[ToSend]:
    """The missing layers of each image, but for those that an image before it brings."""
    counted: set[str] = set()
    for item, missing in found:
        if missing is None:
            yield item
            continue
        own = {layer: size for layer, size in missing.layers if layer not in counted}
        counted |= own.keys()
        most, shared = sum(own.values()), len(missing.layers) - len(own)
        expected = item.expected if item.expected is not None and item.expected < most else None
        yield replace(
            item,
            layers=len(own),
            of=missing.of,
            most=most,
            expected=expected,
            shared=shared,
            estimated=missing.shares and bool(own),
        )
