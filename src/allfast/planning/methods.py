"""Which method makes a service's image: the first table of section "The plan" in docs/design.md, row by row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from allfast.model.facts import Changes, Facts, ServiceFacts, Thresholds, Wishes
from allfast.model.release import ReleaseService
from allfast.model.server import ImageAtHand, ServerFacts, StaleBuild
from allfast.model.service import Method
from allfast.text import DAY

NAMES_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Choice:
    """A method with its reason; `image` is the image at hand that `reuse` takes, None where there is none."""

    method: Method
    reason: str
    image: ImageAtHand | None = None
    on_server: bool = False


def choose(facts: Facts, service: ServiceFacts, wishes: Wishes) -> Choice:
    """The method for a service that has a `build:` section (first match wins)."""
    if wishes.method is not None:
        return _forced(facts, service, wishes.method)
    required = _required(facts, service)
    at_hand = _image_at_hand(facts, service, required.method)
    if at_hand is not None:
        image, on_server = at_hand
        place = "on the server" if on_server else "here"
        return Choice(Method.REUSE, f"an image with the same inputs is {place}", image, on_server)
    return _not_reused(facts, service, required)


def from_here(facts: Facts, service: ServiceFacts) -> frozenset[str]:
    """The engine ids of the images on this machine that `choose` may take, whatever is wished."""
    found = (_image_at_hand(facts, service, _required(facts, service).method), _not_stale(facts, service))
    return frozenset(one[0].engine_id for one in found if one is not None and not one[1])


def _forced(facts: Facts, service: ServiceFacts, method: Method) -> Choice:
    """Row 1: a flag decides; `--reuse` takes any image with these inputs, or none (the plan then refuses)."""
    reason = f"asked for by --{method}"
    if method is not Method.REUSE:
        return Choice(method, reason)
    return Choice(method, reason, *(_not_stale(facts, service) or (None, False)))


def _required(facts: Facts, service: ServiceFacts) -> Choice:
    """Rows 3 to 6: what to build, had no image been at hand."""
    owner = service.service.name
    live = facts.server.live
    if live is None:
        return Choice(Method.CLEAN, "first deploy: there is no live release to build upon")
    recorded = live.service(owner)
    if recorded is None:
        return Choice(Method.CLEAN, f"the live release {live.id} has no image of {owner}")
    if any(i.stale and i.engine_id == recorded.image.engine_id for i in facts.server.images):
        return Choice(Method.CLEAN, "its live image was caught stale")
    if any(_built_as(service, s) for s in _stale(facts.server)) and not _built_as(service, recorded):
        # the cache that made that build stale is still there: a quick build would bring the same image again
        return Choice(Method.CLEAN, "a build of these inputs was caught stale")
    if service.changes is None:
        return Choice(Method.CLEAN, f"it is not known what {owner}'s image in {live.id} was built from")
    return _against_live(service.changes, facts.thresholds)


def _against_live(changes: Changes, thresholds: Thresholds) -> Choice:
    """Rows 4 to 6: how far the inputs are from the live release's."""
    structural = [
        ("dependencies changed: " + names(changes.dependencies), bool(changes.dependencies)),
        ("the Dockerfile changed", changes.dockerfile),
        ("the .dockerignore changed", changes.dockerignore),
        ("build arguments changed: " + names(changes.args), bool(changes.args)),
        ("build secrets changed: " + names(changes.secrets), bool(changes.secrets)),
        ("the build target changed", changes.target),
        ("the platform changed", changes.platform),
        ("the base image changed: " + names(changes.bases), bool(changes.bases)),
    ]
    for reason, differs in structural:
        if differs:
            return Choice(Method.CLEAN, reason)
    count = len(changes.files)
    if count > thresholds.refactor_files:
        limit = thresholds.refactor_files
        return Choice(Method.CLEAN, f"a large refactor: {count} files changed (more than {limit})")
    if changes.share > thresholds.refactor_share:
        limit_share = f"{thresholds.refactor_share:.0%}"
        return Choice(Method.CLEAN, f"a large refactor: {changes.share:.0%} of its files changed (over {limit_share})")
    if not count:
        return Choice(Method.QUICK, "no file changed, but no image with these inputs is at hand")
    return Choice(Method.QUICK, f"{count} file{'s' * (count > 1)} changed: {names(changes.files)}")


def _image_at_hand(facts: Facts, service: ServiceFacts, required: Method) -> tuple[ImageAtHand, bool] | None:
    """Row 2: an image with these inputs, not stale, not too old, built by at least the required method."""
    assert service.inputs is not None
    if service.inputs.unhashable and service.fresh_after is None:
        return None
    good_enough = {Method.CLEAN} if required is Method.CLEAN else {Method.CLEAN, Method.QUICK}

    def fits(image: ImageAtHand) -> bool:
        fresh = image.created >= _oldest(facts, service)
        return fresh and image.method in good_enough and not caught_stale(facts.server, image)

    return _newest(facts, service, fits)


def _not_reused(facts: Facts, service: ServiceFacts, required: Choice) -> Choice:
    """What to build although an image with these inputs is at hand, but may not be taken; else as required."""
    assert service.inputs is not None
    found = _not_stale(facts, service)
    if found is None or required.method is Method.CLEAN:
        return required
    if service.fresh_after is not None and found[0].created < _oldest(facts, service):
        # a cached build would give the very image that is too old
        days = service.fresh_after / DAY
        return Choice(Method.CLEAN, f"its image is older than fresh_after allows ({days:.3g} days)")
    if service.inputs.unhashable and service.changes is not None and not service.changes.files:
        return Choice(Method.QUICK, "nothing changed that can be compared, but: " + names(service.inputs.unhashable))
    return required


def _not_stale(facts: Facts, service: ServiceFacts) -> tuple[ImageAtHand, bool] | None:
    """Any image with these inputs that was not caught stale."""
    return _newest(facts, service, lambda image: not caught_stale(facts.server, image))


def _oldest(facts: Facts, service: ServiceFacts) -> float:
    return float("-inf") if service.fresh_after is None else facts.server.clock - service.fresh_after


def _built_as(service: ServiceFacts, image: ImageAtHand | StaleBuild | ReleaseService) -> bool:
    """The image was built for this service from the very inputs that it has now."""
    owner = image.built_by if isinstance(image, ReleaseService) else image.service
    return service.inputs is not None and (owner, image.inputs) == (service.service.name, service.inputs.digest)


def caught_stale(server: ServerFacts, image: ImageAtHand) -> bool:
    """The image was caught stale. Only the server's ledger knows; its twin on this machine is known by its layers."""
    return image.stale or StaleBuild(image.service, image.inputs, image.diff_ids) in _stale(server)


def _stale(server: ServerFacts) -> list[StaleBuild]:
    """All builds that were caught stale: those that the ledger knows the layers of, and the server's images."""
    there = [StaleBuild(i.service, i.inputs, i.diff_ids) for i in server.images if i.stale]
    return [*server.stale, *there]


def _newest(
    facts: Facts, service: ServiceFacts, fits: Callable[[ImageAtHand], bool]
) -> tuple[ImageAtHand, bool] | None:
    """The best image with the service's inputs: the live one, else the newest on the server, else the newest here.

    Services that share an image may run two builds of it (`deploy worker --clean`): the newer one is taken for all.
    """
    assert service.inputs is not None
    platform = service.inputs.platform
    live = facts.server.live.services if facts.server.live else ()
    live_ids = {s.image.engine_id for s in live if s.built_by == service.service.name}

    def same(image: ImageAtHand) -> bool:
        return image.platform == platform and _built_as(service, image) and fits(image)

    there = sorted(filter(same, facts.server.images), key=lambda i: (i.engine_id not in live_ids, -i.created))
    here = sorted(filter(same, facts.local_images), key=lambda i: -i.created)
    if there:
        return there[0], True
    return (here[0], False) if here else None


def names(items: tuple[str, ...]) -> str:
    """The first few of `items`, and how many more there are."""
    shown = ", ".join(items[:NAMES_SHOWN])
    more = len(items) - NAMES_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
