"""Base images that the server pulls by itself: which ones may be, and that none of them is left behind.

They are pulled by digest, which names nothing; as soon as the images that are built on them are loaded, the reference
goes again, and the layers belong to those images. What was there before is not pulled, and so not removed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from allfast.agent.engine import EngineError, EngineUnreachable
from allfast.errors import LockLostError, RemoteError
from allfast.images.pulls import Pulls
from allfast.images.server_images import by_digest
from allfast.model.release import Run
from allfast.pipeline.context import Context
from allfast.pipeline.facts import Snapshot, Sources
from allfast.pipeline.interrupts import uninterrupted
from allfast.remote.records import JournalStep
from allfast.source.registry import describe

#: The steps in which a base is pulled and goes again: the next one to take the lock finds by them what a dead run left.
PULL, REMOVE = "pull base image", "remove pulled bases"


@contextmanager
def pulls(context: Context, snapshot: Snapshot, services: Sequence[str]) -> Iterator[Pulls | None]:
    """What pulls the bases of these services' images within the block; None where that is not asked for, or of no use.

    The containerd store keeps what it pulls as compressed layers, which a partial archive cannot refer to.
    """
    bases = {name: registered(snapshot.sources, name) for name in services}
    if not context.project.target.pull_bases or not any(bases.values()):
        yield None
        return
    if snapshot.facts.server.store == "containerd":
        context.note("pull_bases: not with the containerd store of the server's engine; all layers are sent")
        yield None
        return
    found = Pulls(bases, context.server.engine, describe, lambda base: context.step(PULL, image=base), context.emit)
    try:
        yield found
    finally:
        with uninterrupted(context.warn, "what the server pulled is put in order: a moment"):
            remove(context, found.close())


def registered(sources: Sources, service: str) -> tuple[str, ...]:
    """The images of registries that a service's image is built from, by digest; also by way of another service's."""
    uses = dict(sources.uses[service])
    own = {
        by_digest(reference, digest)
        for reference, digest in sources.inputs[service].bases
        if reference not in uses and reference not in sources.bases.local
    }
    return tuple(sorted(own.union(*(registered(sources, other) for other in uses.values()))))


def remove(context: Context, references: Sequence[str]) -> None:
    """Take back the references of what was pulled. What somebody has made a container of meanwhile stays.

    A failure leaves more on the disk than needed, and no release worse: it is told, and fails nothing.
    """
    if not references:
        return
    try:
        with context.step(REMOVE, images=list(references)):
            for reference in references:
                _remove(context, reference)
    except LockLostError:
        raise
    except (RemoteError, EngineError, EngineUnreachable) as error:
        context.warn(f"what the server pulled could not be removed ({', '.join(references)}): {error}")


def remove_left(context: Context, unfinished: Run) -> list[str]:
    """The same for what a dead run pulled; what was done, in words."""
    references = left(context.server.run(unfinished.id).journal)
    remove(context, references)
    return [f"{', '.join(references)} is not kept"] if references else []


def left(journal: Sequence[JournalStep]) -> list[str]:
    """The references of what a run pulled and did not remove, as far as its journal tells."""
    removed = [step for step in journal if step.step == REMOVE and step.outcome == "done"]
    gone = {image for step in removed for image in step.detail["images"]}
    return sorted({str(step.detail["image"]) for step in journal if step.step == PULL} - gone)


def _remove(context: Context, reference: str) -> None:
    try:
        context.server.engine.delete(f"/images/{reference}")
    except EngineError as error:
        if error.status not in (404, 409):  # it never came, or a container uses it
            raise
