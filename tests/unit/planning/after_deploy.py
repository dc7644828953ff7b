"""What the next command would see after a plan was carried out and proven, with nothing else changed."""

from __future__ import annotations

from dataclasses import replace

from allfast.model.facts import Changes, Facts, ServiceFacts
from allfast.model.plan import Plan, ServicePlan, Step
from allfast.model.release import DataService, Image, Release, ReleaseService
from allfast.model.server import Container, ImageAtHand
from allfast.model.service import Kind, Method
from tests.unit.planning.facts_factory import AMD, image, recorded, release, running


def deployed(facts: Facts, plan: Plan) -> Facts:
    """The facts one minute after the plan's deploy."""
    images = {i.engine_id: i for i in facts.server.images}
    images |= {i.engine_id: i for plan_ in plan.services if (i := _shipped(facts, plan_)) is not None}
    services = tuple(_recorded(facts, s, images) for s in plan.services if s.step is not Step.REMOVE)
    live = release(id="R2", commit=facts.commit, services=services, data=())
    server = replace(
        facts.server,
        live=live,
        containers=tuple(c for name, step in _steps(plan).items() for c in _containers(facts, live, name, step)),
        images=tuple(images.values()),
        data=_applied(facts, plan),
        unfinished=None,
        clock=facts.server.clock + 60,
    )
    return replace(facts, server=server, services=tuple(_compared(i, live) for i in facts.services))


def _identity(facts: Facts, plan: ServicePlan) -> str:
    """The engine id of the image that the service gets."""
    live = facts.server.live.service(plan.service) if facts.server.live else None
    item = facts.get(plan.service)
    owner = (item.service.built_by if item else None) or plan.service
    if plan.method is None:
        return live.image.engine_id if live else f"sha256:{owner}-1"
    return plan.image if plan.image_on_server else f"sha256:{owner}-new"


def _shipped(facts: Facts, plan: ServicePlan) -> ImageAtHand | None:
    """The image that was built here, or was at hand here, as the server has it now."""
    if plan.method is None or plan.image_on_server:
        return None
    identity = _identity(facts, plan)
    taken = next((i for i in facts.local_images if plan.method is Method.REUSE and i.engine_id == plan.image), None)
    if taken is not None:
        return replace(taken, engine_id=identity)
    item = facts.get(plan.service)
    owner = item.service.built_by if item else None
    built = facts.get(owner or "")
    assert built is not None and built.inputs is not None and owner is not None
    return image(
        owner,
        engine_id=identity,
        inputs=built.inputs.digest,
        method=plan.method,
        platform=built.inputs.platform,
        diff_ids=(f"layer-{owner}-new",),
        created=facts.server.clock,
    )


def _recorded(facts: Facts, plan: ServicePlan, images: dict[str, ImageAtHand]) -> ReleaseService:
    live = facts.server.live.service(plan.service) if facts.server.live else None
    item = facts.get(plan.service)
    if plan.from_live or item is None:
        assert live is not None
        return live
    identity = _identity(facts, plan)
    return recorded(
        plan.service,
        kind=item.service.kind,
        settings=item.service.settings,
        environment=item.service.environment,
        image=Image(identity, identity, (), AMD),
        built_by=item.service.built_by or plan.service,
        inputs=images[identity].inputs if identity in images else "",
    )


def _compared(item: ServiceFacts, live: Release) -> ServiceFacts:
    """No changes against the new live release, where that was built from the same inputs."""
    before = live.service(item.service.name)
    same = item.inputs is not None and before is not None and before.inputs == item.inputs.digest
    return replace(item, changes=Changes()) if same else item


def _applied(facts: Facts, plan: Plan) -> tuple[DataService, ...]:
    known = {d.name: d for d in facts.server.data}
    for item in facts.of_kind(Kind.DATA):
        name = item.service.name
        if name not in known or any(d.service == name and d.action == "recreate" for d in plan.data):
            known[name] = DataService(name, item.service.settings, item.service.image)
    return tuple(known.values())


def _steps(plan: Plan) -> dict[str, str]:
    return {s.service: str(s.step) for s in plan.services} | {d.service: d.action for d in plan.data}


def _containers(facts: Facts, live: Release, name: str, step: str) -> list[Container]:
    """The service's containers after its step: replaced ones are new, the others go on."""
    old = [c for c in facts.server.containers if c.service == name]
    service, item = live.service(name), facts.get(name)
    if step in ("run", "remove"):
        return []
    if step in ("keep", "leave") or (step == "start" and old):
        return [replace(c, state="running", health="healthy") for c in old]
    if service is not None:
        return [running(name, settings=service.settings, image=service.image.engine_id)]
    assert item is not None
    return [running(name, settings=item.service.settings)]
