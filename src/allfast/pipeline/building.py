"""Which images of a plan are built, and their builds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from concurrent.futures import Future
from typing import Never

from allfast.images.build import BuiltImage
from allfast.images.build import build as build_images
from allfast.images.buildx import BuildJob
from allfast.model.plan import Plan
from allfast.model.server import ImageAtHand
from allfast.model.service import Method
from allfast.pipeline.context import Context
from allfast.pipeline.facts import Snapshot
from allfast.planning.methods import caught_stale
from allfast.source.inputs import declares_commit


def build(
    context: Context,
    snapshot: Snapshot,
    plan: Plan,
    *,
    finished: Callable[[BuiltImage], None] | None = None,
    beside: Future[Never] | None = None,
) -> None:
    """Build what the plan wants built; `finished` and `beside` are those of images.build.

    Raises:
        RefusedError: no builder here that can build for the server's platform.
        BuildError: a build failed; its last lines are the evidence.
    """
    jobs = [_job(context, snapshot, name, method) for name, method in builds(plan).items()]
    if not jobs:
        return
    used = {service for job in jobs for _, service in job.uses} - {job.service for job in jobs}
    here = {image.service: image for image in reversed(snapshot.facts.local_images) if _usable(snapshot, image)}
    # an image that others are built from must be here, also where the server has it and would not need it
    jobs += [_job(context, snapshot, name, Method.QUICK) for name in sorted(used - set(here))]
    at_hand = {name: image.engine_id for name, image in here.items() if name in used}
    checkout, local = snapshot.checkout, snapshot.local
    build_images(jobs, checkout, local, context.emit, at_hand=at_hand, finished=finished, beside=beside)


def _usable(snapshot: Snapshot, image: ImageAtHand) -> bool:
    """Whether an image here is what a build of its service would give now."""
    item = snapshot.facts.get(image.service)
    same = item is not None and item.inputs is not None and item.inputs.digest == image.inputs
    return same and not caught_stale(snapshot.facts.server, image)


def _job(context: Context, snapshot: Snapshot, name: str, method: Method) -> BuildJob:
    item = snapshot.facts.get(name)
    assert item is not None
    assert item.inputs is not None
    build = item.service.build
    assert build is not None
    external = {reference for reference, _ in item.inputs.bases} - {image for image, _ in snapshot.sources.uses[name]}
    return BuildJob(
        deployment=context.project.deployment,
        service=name,
        build=dataclasses.replace(build, offers_commit=declares_commit(snapshot.checkout, build)),
        method=method,
        platform=item.inputs.platform,
        commit=snapshot.facts.commit.sha,
        inputs=item.inputs.digest,
        pull=method is Method.CLEAN and bool(external) and not external & snapshot.sources.bases.local,
        uses=snapshot.sources.uses[name],
        secret_values=snapshot.model.variables,
        hidden=snapshot.model.secrets,
    )


def builds(plan: Plan) -> dict[str, Method]:
    """Whose images the plan builds, and how; also where only another service that runs the image was asked for."""
    return {s.owner: s.method for s in plan.services if s.method in (Method.CLEAN, Method.QUICK)}


def told(plan: Plan) -> str:
    """What was built, in words."""
    built = [f"{name} {method}" for name, method in builds(plan).items()]
    return ", ".join(built) or "nothing to build"
