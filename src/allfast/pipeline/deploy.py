"""A deploy, from the facts to the record. Read `deploy` as a table of contents."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from allfast import events
from allfast.config.definition import tcp_ports
from allfast.config.document import release_document, with_services_of
from allfast.errors import RefusedError
from allfast.model.facts import Facts, Wishes
from allfast.model.plan import Plan, ServicePlan, Step
from allfast.model.release import DataService, Image, Release, ReleaseService
from allfast.model.server import ServerFacts
from allfast.model.service import Kind, Method
from allfast.pipeline import (
    building,
    canary,
    data,
    one_shots,
    outgoing,
    record,
    recover,
    rollout,
    run,
    shipping,
    switch,
    unproven,
)
from allfast.pipeline.context import Context
from allfast.pipeline.facts import Snapshot, gather
from allfast.pipeline.rollout import Prepared
from allfast.pipeline.verify import Proof
from allfast.planning.containers import replicas
from allfast.planning.plan import make_plan


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks of a deploy, besides what it asks of the plan."""

    wishes: Wishes = field(default_factory=Wishes)
    revision: str = "HEAD"
    yes: bool = False
    wait: bool = False
    dry_run: bool = False


def plan_only(context: Context, options: Options) -> Plan:
    """The plan of a deploy, made from facts of now; changes nothing."""
    with gather(context, options.revision) as snapshot:
        return make_plan(snapshot.facts, options.wishes)


def deploy(context: Context, options: Options) -> events.Result:
    """Bring a commit to the server and prove it; the old release serves until the new one does.

    Raises:
        RefusedError: preflight, the lock, or a person said no; nothing was touched.
        BuildError, ShipError: nothing changed for visitors.
        RolloutError, VerifyError: the new release failed, and the old one serves again.
        AttentionError: the release is live but could not be proven, or the old one did not come back.
    """
    with gather(context, options.revision) as snapshot:
        plan = make_plan(snapshot.facts, options.wishes)
        context.emit(events.PlanMade(dataclasses.asdict(plan)))
        refuse(plan)  # also where nothing is to be done: who forgot to commit thinks otherwise
        if plan.nothing_to_do and snapshot.facts.server.lock is None:
            return _nothing(context, snapshot)
        if options.dry_run:
            return run.result(context, "done", None)
        consent(context, plan, options)
        with run.locked(context, f"deploy {plan.commit.short}", options.wait) as held:
            recover.settle(context, held.unfinished)
            snapshot, plan = _again(context, snapshot, plan, options)
            if plan.nothing_to_do:
                return _nothing(context, snapshot)
            if plan.proof_only and snapshot.facts.server.live is not None:
                return _prove(context, snapshot.facts.server.live, plan)
            if plan.share_only and snapshot.facts.server.canary is not None:
                return _share(context, snapshot.facts.server, plan)
            return _locked(context, snapshot, plan)


def build_only(context: Context, options: Options) -> events.Result:
    """Build what a deploy would build, here, and stop.

    Raises:
        RefusedError: preflight.
        BuildError: a build failed.
    """
    with gather(context, options.revision) as snapshot:
        plan = make_plan(snapshot.facts, options.wishes)
        context.emit(events.PlanMade(dataclasses.asdict(plan)))
        refuse(plan)
        with context.stage("build") as words:
            building.build(context, snapshot, plan)
            words.append(building.told(plan))
        return run.result(context, "done", None)


def _nothing(context: Context, snapshot: Snapshot) -> events.Result:
    """There is nothing to do: what was asked for is live, or is the canary with the share that was asked for."""
    server = snapshot.facts.server
    if server.canary is not None:
        context.note(f"{server.canary.canary} % of the visitors get {server.canary.id} already; {canary.NEXT}")
    return run.result(context, "nothing-to-do", server.canary or server.live)


def refuse(plan: Plan) -> None:
    """Stop where preflight says so.

    Raises:
        RefusedError: with all reasons; `--force REASON` has made warnings of those that can be forced.
    """
    stops = [f for f in plan.findings if f.level == "refuse"]
    if stops:
        hints = list(dict.fromkeys(f.hint for f in stops if f.hint))
        text = "\n".join(f.text for f in stops)
        raise RefusedError(text, hint="; ".join(hints))


def consent(context: Context, plan: Plan, options: Options) -> None:
    """Ask for a go. Raises RefusedError: the person said no."""
    context.consent(f"Deploy {plan.commit.short} to {plan.target}?", options.yes)


def _again(context: Context, snapshot: Snapshot, plan: Plan, options: Options) -> tuple[Snapshot, Plan]:
    """Under the lock, decide again from the server's state of now: somebody may have deployed in between."""
    fresh = snapshot.with_server(context, context.server.facts())
    again = make_plan(fresh.facts, options.wishes)
    if again != plan:
        context.note("the server has changed since the plan was made; this is the plan now")
        context.emit(events.PlanMade(dataclasses.asdict(again)))
        refuse(again)
        if not again.nothing_to_do:
            consent(context, again, options)
    return fresh, again


def _locked(context: Context, snapshot: Snapshot, plan: Plan) -> events.Result:
    facts = snapshot.facts
    release_id = context.server.new_release_id(plan.commit.short + "-dirty" * bool(plan.commit.dirty))
    methods = tuple((s.service, s.method or "-", s.reason) for s in plan.services)
    kind: Literal["canary", "deploy"] = "canary" if plan.canary else "deploy"
    with run.recorded(context, kind, plan, release_id, methods) as told, record.pruned_if_it_fails(context, release_id):
        images = _images(context, snapshot, plan, release_id)
        prepared = _prepare(context, snapshot, plan, images, release_id)
        back = _live(context, facts)
        data.apply(context, snapshot, plan, prepared)
        one_shots.run(context, snapshot, plan, prepared)
        if plan.canary and back is not None:
            proof = canary.begin(context, prepared, back, plan.canary)
            told.append(f"{plan.canary} % of the visitors")
            record.prune(context)
        else:
            proof = _go_live(context, plan, prepared, back)
    if plan.canary:
        running = dataclasses.replace(prepared.release, canary=plan.canary, proven=proof.proven)
        return canary.told(context, running, proof)
    return finish(context, prepared.release, proof)


def _go_live(context: Context, plan: Plan, prepared: Prepared, back: Prepared | None) -> Proof:
    change = switch.Switch(
        to=prepared,
        back=back,
        new=tuple(s.service for s in plan.services if s.step is Step.NEW),
        gone=tuple(s.service for s in plan.services if s.step is Step.REMOVE),
    )
    proof = switch.carry_out(context, change)
    with context.stage("record") as words:
        record.prune(context)
        words.append(f"{prepared.release.id} is live")
    return proof


def _images(context: Context, snapshot: Snapshot, plan: Plan, release: str) -> dict[str, Image]:
    """All images of the release on the server; those that are there already are sent while others are being built."""
    with outgoing.begun(context, snapshot, plan, release) as sent:
        with context.stage("build") as words:
            building.build(context, snapshot, plan, finished=sent.built, beside=sent.trouble)
            words.append(building.told(plan))
        early = sent.wire_bytes if building.builds(plan) else 0
        with context.stage("ship") as words:
            images = shipping.ship(context, snapshot, plan, sent, release)
            words.append(shipping.told(context.wire_bytes + sent.wire_bytes, early))
    return images


def _share(context: Context, server: ServerFacts, plan: Plan) -> events.Result:
    """Nothing but the share of the canary that runs changes."""
    assert server.canary is not None and server.live is not None
    with run.recorded(context, "canary", plan, server.canary.id) as told:
        changed = canary.change_share(context, server.canary, server.live, plan.canary)
        told.append(f"{plan.canary} % of the visitors")
    return canary.told(context, changed, None)


def _prove(context: Context, live: Release, plan: Plan) -> events.Result:
    """Finish the proof of a release that went live without it; where it is wrong, the one before serves again."""
    with run.recorded(context, "deploy", plan, live.id):
        proof = unproven.finish(context, live)
    return finish(context, live, proof)


def finish(context: Context, release: Release, proof: Proof) -> events.Result:
    """The result of a release that is live.

    Raises:
        AttentionError: not everything could be asked: it serves, but a person must look.
    """
    unproven.require(release, proof)
    return run.result(context, "done", dataclasses.replace(release, proven=True, canary=0))


def _live(context: Context, facts: Facts) -> Prepared | None:
    if facts.server.live is None:
        return None
    return rollout.stored(context, facts.server.live.id)


def _prepare(context: Context, snapshot: Snapshot, plan: Plan, images: Mapping[str, Image], id_: str) -> Prepared:
    """The release as a value, with its rendered file, its files and its inputs on the server."""
    facts = snapshot.facts
    live = _live(context, facts) if any(s.from_live for s in plan.services) else None
    services = tuple(_service(facts, s, images[s.service], live) for s in plan.services if s.step is not Step.REMOVE)
    release = Release(
        id=id_,
        commit=plan.commit,
        services=services,
        data=tuple(DataService(i.service.name, i.service.settings, i.service.image) for i in facts.of_kind(Kind.DATA)),
        files=tuple(sorted({*(f.digest for f in snapshot.model.files), *(live.release.files if live else ())})),
        one_shots=plan.one_shots,
        strategy=facts.strategy,
        routes=facts.routes,
    )
    document = release_document(snapshot.model, {name: image.engine_id for name, image in images.items()})
    if live is not None:
        document = with_services_of(document, live.document, [s.service for s in plan.services if s.from_live])
    with context.step("prepare release", release=id_):
        for files in snapshot.model.files:
            context.server.put_files(files.digest, files.tar)
        context.server.ensure_data(snapshot.model.data)
        for item in facts.services:
            if item.inputs is not None:
                context.server.put_inputs(item.inputs)
        context.server.put_release(release, document)
    return Prepared(release, document)


def _service(facts: Facts, plan: ServicePlan, image: Image, live: Prepared | None) -> ReleaseService:
    recorded = live.release.service(plan.service) if live else None
    if plan.from_live and recorded is not None:
        return recorded
    item, owner = facts.get(plan.service), facts.get(plan.owner)
    assert item is not None
    inputs = owner.inputs if owner is not None else None
    return ReleaseService(
        name=plan.service,
        kind=plan.kind,
        settings=item.service.settings,
        image=image,
        built_by=plan.owner,
        method=plan.method or Method.REUSE,
        reason=plan.reason,
        commit=_built_from(facts, plan) if inputs else "",
        inputs=inputs.digest if inputs else "",
        environment=item.service.environment,
        replicas=replicas(item.service.definition),
        assets=item.assets,
        shared=item.shared,
        worker=not item.service.dialled and item.service.name not in facts.routes.services,
        port=item.asked_on,
        version=item.version,
        # whatever it speaks: something must listen there
        published=tuple(sorted({*tcp_ports(item.service.definition), *facts.routes.ports(plan.service)})),
    )


def _built_from(facts: Facts, plan: ServicePlan) -> str:
    """The commit that a service's image was built from: this one, or that of the image that is reused."""
    if plan.method is not Method.REUSE:
        return facts.commit.sha
    image = facts.at_hand(plan.image)
    assert image is not None  # the plan has it from there
    return image.commit
