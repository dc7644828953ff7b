"""What of the images has to travel: told with the plan, before anything is built or sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median_low

from allfast.model.facts import Facts
from allfast.model.plan import DataPlan, ServicePlan, Step, ToSend
from allfast.model.reference import short
from allfast.model.service import Method
from allfast.planning.databases import makes_container


def to_send(facts: Facts, services: Sequence[ServicePlan], data: Sequence[DataPlan]) -> tuple[ToSend, ...]:
    """Of each image that the server lacks, by the service that builds it; then of those that nobody builds."""
    owners = {s.owner: s for s in services if s.method is not None and not s.from_live and not s.image_on_server}
    ours = (_of(facts, name, plan) for name, plan in sorted(owners.items()))
    return (*ours, *_pulled(facts, services, data))


def _of(facts: Facts, name: str, plan: ServicePlan) -> ToSend:
    if plan.method is not Method.REUSE:
        item = facts.get(name)
        changed = item.changes.size if item is not None and item.changes is not None else None
        return ToSend(name, expected=_took(facts, name, plan.method), changed=changed)
    missing = next((one for one in facts.missing if one.image == plan.image), None)
    if missing is None:
        return ToSend(name)
    built = facts.at_hand(plan.image)
    took = _took(facts, name, built.method if built is not None else None)
    expected = took if took is not None and took < missing.size else None
    return ToSend(name, missing.layers, missing.of, missing.size, expected)


def _took(facts: Facts, name: str, method: str | None) -> int | None:
    """Bytes that the last images that were built like this one took; None where none was."""
    # the engine's own file times make even equal builds differ: what the last ones took is the best that is known
    took = [one.sent for one in facts.server.images if (one.service, one.method) == (name, method) and one.sent]
    return median_low(took) if took else None


def _pulled(facts: Facts, services: Sequence[ServicePlan], data: Sequence[DataPlan]) -> Iterator[ToSend]:
    """The images that are used as they are, where a container is made of one that the server lacks.

    Of one that is named by its digest it is not known whether the server has it.
    """
    there = {short(reference) for reference, _ in facts.server.image_refs}
    anew = [s.service for s in services if s.method is None and not s.from_live and s.step in (Step.NEW, Step.RUN)]
    anew += [line.service for line in data if makes_container(facts, line)]
    for name in sorted(anew):
        item = facts.get(name)
        image = item.service.image if item is not None else ""
        if image and "@" not in image and short(image) not in there:
            yield ToSend(name, pulled=image)
