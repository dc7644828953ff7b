"""What the server lacks of images that are here, for the plan to tell. Asks both engines, and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator

from allfast.images.local_engine import LocalEngine, LocalImage, shares
from allfast.images.sending import to_warm
from allfast.model.facts import Facts, Missing
from allfast.pipeline.context import Context
from allfast.planning import methods
from allfast.planning.to_send import lacking
from allfast.transfer.documents import normal_platform


def missing(context: Context, facts: Facts, local: LocalEngine) -> tuple[Missing, ...]:
    """Of the images here that may be reused, and of those that nobody builds and the server may not be able to pull."""
    found = (*_built(facts, local), *_used_as_they_are(facts, local))
    return tuple(_lacks(context, name, image, local) for name, image in found)


def _built(facts: Facts, local: LocalEngine) -> Iterator[tuple[str, LocalImage]]:
    built = [one for one in facts.services if one.inputs is not None]
    for engine_id in sorted({engine_id for one in built for engine_id in methods.from_here(facts, one)}):
        image = local.image(engine_id)
        if image is not None:
            yield engine_id, image


def _used_as_they_are(facts: Facts, local: LocalEngine) -> Iterator[tuple[str, LocalImage]]:
    for reference in lacking(facts):
        image = local.image(reference)
        if image is not None and image.platform == normal_platform(facts.server.platform):
            yield reference, image


def _lacks(context: Context, name: str, image: LocalImage, local: LocalEngine) -> Missing:
    absent = image.diff_ids[context.server.layers(image.diff_ids) :]
    stock = context.server.cache.stock(absent)
    counted = local.counted_sizes(image)
    sizes = dict(zip(image.diff_ids, counted or shares(image), strict=True))
    travelling = set(absent) - stock.whole
    travelling -= set(to_warm({layer: sizes[layer] for layer in travelling}, stock))
    layers = tuple((layer, sizes[layer]) for layer in dict.fromkeys(absent) if layer in travelling)
    return Missing(name, layers, len(image.diff_ids), shares=not counted)
