"""Record: the release goes live in the ledger, and what the kept releases do not need any more goes away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import quote

from allfast.agent.engine import EngineError, EngineUnreachable
from allfast.errors import LockLostError, RemoteError
from allfast.images.build import image_name
from allfast.model.release import RELEASE_ID, Release, ReleaseState
from allfast.pipeline import converge
from allfast.pipeline.context import Context
from allfast.pipeline.interrupts import uninterrupted


def go_live(context: Context, release: Release, *, proven: bool) -> None:
    """Mark `release` as the live one, with or without proof; the one before retires."""
    with context.step("go live", release=release.id):
        context.server.put_release(replace(release, proven=proven, retired=0.0, canary=0, since=0.0))
        context.server.set_state(release.id, ReleaseState.LIVE)
        context.went_live = True


@contextmanager
def pruned_if_it_fails(context: Context, release: str) -> Iterator[None]:
    """Prune when the block fails: failed deploys must not fill the disk, nor keep what others left on it.

    What `release` brought stays until the next deploy, so that another attempt need not send it again: what arrived as
    a whole, and the layers of what did not.
    """
    try:
        yield
    except LockLostError:
        raise  # nothing may be removed any more
    except BaseException:
        with uninterrupted(context.warn, "what failed deploys left is being removed: a moment"):
            prune(context, release, resumable=True)
        raise


def prune(context: Context, attempted: str = "", *, resumable: bool = False) -> None:
    """Keep the live release and the newest of those that were live, `keep` in all; remove the others and their images.

    A canary stays besides, also one that has ended and is still warm; and what a ledger that was lost does not know.

    A failure here leaves more on the disk than needed, and no release worse: it is told and does not fail the run.

    Args:
        attempted: a release that did not go live, and is kept besides.
        resumable: another attempt may follow: what was sent for it is not held to `layer_cache` yet.
    """
    try:
        with context.step("prune"):
            kept = _kept(context, attempted)
            stay = {release.id for release in kept} | converge.unrecorded(context)
            _remove_containers(context, stay)
            context.server.prune(sorted(stay), context.project.config.toml.layer_cache, resumable=resumable)
            if any(service.assets for release in kept for service in release.services):
                context.server.proxy.prune_assets(sorted(stay))
            _prune_images(context, kept, stay | {attempted})
    except LockLostError:
        raise
    except (RemoteError, EngineError, EngineUnreachable) as error:
        context.warn(f"old releases could not be removed: {error}")


def _kept(context: Context, attempted: str) -> list[Release]:
    wanted, releases = context.project.config.toml.keep, context.server.releases()
    served = [(r, s) for r, s in releases if s in (ReleaseState.LIVE, ReleaseState.RETIRED)]
    served.sort(key=lambda pair: pair[1] is not ReleaseState.LIVE)  # stable: the live one, then from the newest
    line = [release for release, _ in served if not release.canary]
    warm = [release for release, _ in served if release.canary and converge.is_warm(context, release)]
    return [*line[:wanted], *warm] + [
        release
        for release, state in releases
        if state is ReleaseState.CANARY or (release.id == attempted and state is ReleaseState.PREPARED)
    ]


def _remove_containers(context: Context, kept: set[str]) -> None:
    """A release that goes is warm no longer: nobody would know its containers and networks any more."""
    for name in sorted(converge.at_hand(context) - kept):
        context.server.remove_release(name)


def _prune_images(context: Context, kept: list[Release], known: set[str]) -> None:
    """Remove the names that this deployment gave images for releases that went, and its own images that nobody needs.

    Names and images that somebody else made stay: an image that somebody tagged for himself, too.
    `known` are the ids of releases that stay.
    """
    facts = context.server.facts()
    gone = [name for name, _ in facts.image_refs if _is_ours(context.project.deployment, name, known)]
    for name in gone:
        _remove_image(context, name)
    needed = {s.image.engine_id for release in kept for s in release.services} | {c.image for c in facts.containers}
    named = {engine_id for name, engine_id in facts.image_refs if name not in gone}
    for image in facts.images:
        if image.engine_id not in needed | named:
            _remove_image(context, image.engine_id)


def _is_ours(deployment: str, name: str, kept: set[str]) -> bool:
    """Whether an image name is one that `shipping.tag` made, for a release that is no more."""
    repository, _, tag = name.rpartition(":")
    ours = repository == image_name(deployment, repository.rpartition("/")[2], tag).rpartition(":")[0]
    return ours and bool(RELEASE_ID.fullmatch(tag)) and tag not in kept


def _remove_image(context: Context, name: str) -> None:
    try:
        context.server.engine.delete(f"/images/{quote(name)}")
    except EngineError as error:
        if error.status not in (404, 409):  # gone already, or in use
            raise
