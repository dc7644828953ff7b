"""The plan: one pure function from facts to what will be done and why. No I/O, no clock, no randomness.

`methods` has the table of images, `containers` the table of containers, `databases` the lines for data services,
`routes` those of the proxy, `findings` what refuses a deploy.
"""

from __future__ import annotations

from dataclasses import replace

from allfast.errors import UsageError
from allfast.model.facts import Facts, ServiceFacts, Wishes
from allfast.model.plan import DataPlan, EnvironmentChange, Plan, ServicePlan, Step
from allfast.model.release import ReleaseService, Strategy
from allfast.model.service import Kind, Method
from allfast.planning import canary as canaries
from allfast.planning import containers, databases, findings, methods, to_send
from allfast.planning import routes as routing
from allfast.planning.methods import Choice


def make_plan(facts: Facts, wishes: Wishes) -> Plan:
    """Decide.

    Raises:
        UsageError: a service was asked for that is not there, or there is no live release to take the others from.
    """
    asked = _asked(facts, wishes)
    belonging = facts.of_kind(Kind.RELEASE, Kind.ONE_SHOT)
    owners = {i.service.built_by for i in belonging if i.service.name in asked}
    choices = {
        i.service.name: methods.choose(facts, i, wishes)
        for i in belonging
        if i.inputs is not None and i.service.name in owners
    }
    data = tuple(databases.data(facts, item, wishes) for item in facts.of_kind(Kind.DATA))
    shown = [i for i in belonging if i.service.name in asked] if wishes.build_only else belonging
    services = tuple(_service(facts, item, choices, asked) for item in shown)
    services = containers.follow((*services, *_gone(facts, wishes)), data, facts)
    mends = _mends(facts, services)
    unchanged = _unchanged(facts, services, data)
    if facts.strategy is Strategy.SIDE_BY_SIDE and not unchanged:
        services = containers.together(services, facts)
    canary, idle = facts.server.canary, unchanged and not mends and _is_proven(facts)
    share_only = bool(wishes.canary) and canary is not None and canaries.is_same(facts, canary)
    if share_only and canary is not None:  # what it was made from is live nowhere: it is not to be built again
        idle = canary.canary == wishes.canary
    # side by side, the live release itself is proven; in place, the whole of it is deployed again
    proof_only = unchanged and not idle and not share_only and facts.strategy is Strategy.SIDE_BY_SIDE
    quiet = idle or proof_only or share_only
    found = findings.of(facts, choices, data, wishes, mends)
    proxy = "" if wishes.canary else facts.proxy_image
    travels = () if quiet or wishes.build_only else to_send.to_send(facts, services, data, proxy=proxy)
    return Plan(
        deployment=facts.deployment,
        target=facts.target,
        commit=facts.commit,
        live=facts.server.live.id if facts.server.live else "",
        platform=facts.server.platform,
        services=_as_they_ran(services) if quiet else services,
        data=data,
        environment=_environment(facts, services),
        findings=found,
        one_shots=() if quiet else _one_shots(facts, asked),
        to_send=travels,
        nothing_to_do=idle,
        to_send_total=to_send.total(travels),
        proof_only=proof_only,
        strategy=facts.strategy,
        proxy=() if quiet or wishes.canary else facts.proxy,
        mends=mends,
        notes=(*facts.notes, *_notes(facts, choices, asked), *findings.unneeded(found, wishes)),
        canary=0 if unchanged and not share_only else wishes.canary,
        share_only=share_only,
        waits=canaries.waits(facts) if wishes.canary else (),
        force=wishes.force if any(one.forced for one in found) else "",
        routes=() if wishes.build_only else routing.lines(facts, stays=idle or proof_only),
    )


def _is_proven(facts: Facts) -> bool:
    return facts.server.live is not None and facts.server.live.proven


def _asked(facts: Facts, wishes: Wishes) -> frozenset[str]:
    """The services that this deploy is about: all, or the named ones and the one-shots that they wait for."""
    known = {item.service.name: item.service for item in facts.of_kind(Kind.RELEASE, Kind.ONE_SHOT)}
    if not wishes.services:
        return frozenset(known)
    asked = set(wishes.services)
    for name in wishes.services:
        if name not in known:
            raise _unknown(facts, name, sorted(known))
    for _ in known:  # a chain is at most this long
        waits = {other for name in asked for other, _ in known[name].depends_on}
        asked |= {name for name in waits if name in known and known[name].kind is Kind.ONE_SHOT}
    if wishes.build_only:
        return frozenset(asked)
    live = facts.server.live
    if live is None:
        hint = "deploy without naming services first"
        raise UsageError("there is no live release from which the other services could be taken", hint=hint)
    for name in sorted(known.keys() - asked):
        if live.service(name) is None:
            hint = f"name it too: allfast deploy {' '.join((*wishes.services, name))}"
            raise UsageError(f"{name} is not in the live release and cannot be taken from it", hint=hint)
    return frozenset(asked)


def _unknown(facts: Facts, name: str, known: list[str]) -> UsageError:
    if facts.get(name) is not None:
        hint = "changed data services are a part of each deploy: allfast deploy --data"
        return UsageError(f"{name} is a data service: it belongs to no release", hint=hint)
    return UsageError(f'no release service is called "{name}"', hint="there are: " + ", ".join(known))


def _service(facts: Facts, item: ServiceFacts, choices: dict[str, Choice], asked: frozenset[str]) -> ServicePlan:
    service = item.service
    recorded = facts.server.live.service(service.name) if facts.server.live else None
    if service.name not in asked and recorded is not None:
        return _as_in_live(facts, recorded, service.kind, service.kind_reason)
    owner = service.built_by or service.name
    choice = choices.get(owner)
    reason = "its image is used as it is" if choice is None else choice.reason
    if choice is not None and owner != service.name:
        reason = f"runs the image of {owner}"
    if service.kind is Kind.ONE_SHOT:
        step, why = Step.RUN, "runs once, before the release starts"
    else:
        step, why = containers.step(facts, item, choice)
    return ServicePlan(
        service=service.name,
        owner=owner,
        kind=service.kind,
        kind_reason=service.kind_reason,
        method=choice.method if choice else None,
        reason=reason,
        step=step,
        step_reason=why,
        image_on_server=bool(choice and choice.on_server),
        image=choice.image.engine_id if choice and choice.image else "",
    )


def _as_in_live(facts: Facts, recorded: ReleaseService, kind: Kind, kind_reason: str) -> ServicePlan:
    """A service that was not asked for: left alone, or made anew from the live release where it does not run."""
    live = facts.server.live
    reason = f"not asked for: stays as in {live.id if live else ''}"
    trouble = containers.not_as_recorded(facts, recorded) if recorded.kind is Kind.RELEASE else ""
    step = Step.NEW if trouble else Step.KEEP
    return ServicePlan(
        recorded.name, recorded.name, kind, kind_reason, None, reason, step, trouble or reason, from_live=True
    )


def _gone(facts: Facts, wishes: Wishes) -> tuple[ServicePlan, ...]:
    """Services of the live release that the Compose files have no more."""
    live = None if wishes.build_only else facts.server.live
    gone = [s for s in live.services if facts.get(s.name) is None] if live else []
    part = f"part of {live.id}" if live else ""
    if wishes.services:
        return tuple(_as_in_live(facts, s, s.kind, part) for s in gone)
    why = "the Compose files have it no more"
    return tuple(
        ServicePlan(s.name, s.built_by, s.kind, part, None, why, Step.REMOVE, why)
        for s in gone
        if s.kind is Kind.RELEASE
    )


def _unchanged(facts: Facts, services: tuple[ServicePlan, ...], data: tuple[DataPlan, ...]) -> bool:
    """The live release is what would be deployed, and runs as recorded."""
    if facts.server.live is None:
        return False
    kept = all(s.step is Step.KEEP or (s.step is Step.RUN and _ran_as_it_is(facts, s)) for s in services)
    asked = {s.service for s in services if not s.from_live}
    kept = kept and not any(containers.treated_otherwise(facts, i) for i in facts.services if i.service.name in asked)
    return kept and all(line.action in ("keep", "leave") for line in data)


def _ran_as_it_is(facts: Facts, plan: ServicePlan) -> bool:
    """A one-shot ran for the live release with this image and these settings."""
    live = facts.server.live.service(plan.service) if facts.server.live else None
    item = facts.get(plan.service)
    if live is None or item is None:
        return False
    same_image = plan.method is None or (plan.method is Method.REUSE and plan.image == live.image.engine_id)
    return same_image and (item.service.settings, item.service.environment) == (live.settings, live.environment)


def _mends(facts: Facts, services: tuple[ServicePlan, ...]) -> tuple[str, ...]:
    """What is not as the ledger has it and will be put right by this deploy."""
    live, unfinished = facts.server.live, facts.server.unfinished
    found = []
    if unfinished is not None:
        found.append(f"{unfinished.kind} {unfinished.release or unfinished.id} of {unfinished.who.user} never ended")
    for plan in services:
        recorded = live.service(plan.service) if live else None
        if recorded is None or recorded.kind is not Kind.RELEASE or plan.step is Step.REMOVE:
            continue
        trouble = containers.not_as_recorded(facts, recorded) or containers.not_yet_healthy(facts, recorded)
        if trouble:
            found.append(f"{recorded.name}: {trouble}")
    if facts.proxy_trouble:
        found.append(f"proxy: {facts.proxy_trouble}")
    if live is not None and not live.proven:
        found.append(f"{live.id} was never proven")
    return tuple(found)


def _as_they_ran(services: tuple[ServicePlan, ...]) -> tuple[ServicePlan, ...]:
    """Where nothing starts, one-shots do not run either."""
    ran = "it ran for the live release"
    return tuple(replace(s, step=Step.KEEP, step_reason=ran) if s.step is Step.RUN else s for s in services)


def _one_shots(facts: Facts, asked: frozenset[str]) -> tuple[str, ...]:
    """Names of one-shot services, then `service: command` of each `before`, in the order they run."""
    shots = _in_order([item for item in facts.of_kind(Kind.ONE_SHOT) if item.service.name in asked])
    befores = [
        f"{item.service.name}: {' '.join(item.before)}"
        for item in facts.of_kind(Kind.RELEASE)
        if item.before and item.service.name in asked
    ]
    return tuple(shots + befores)


def _in_order(shots: list[ServiceFacts]) -> list[str]:
    """One-shots by name, each after those that it waits for."""
    waits = {item.service.name: [name for name, _ in item.service.depends_on] for item in shots}
    ordered: list[str] = []

    def add(name: str) -> None:
        if name in waits and name not in ordered:
            for other in waits.pop(name):
                add(other)
            ordered.append(name)

    for name in list(waits):
        add(name)
    return ordered


def _notes(facts: Facts, choices: dict[str, Choice], asked: frozenset[str]) -> tuple[str, ...]:
    """What a person could overlook: services that stay behind."""
    notes = []
    for item in facts.of_kind(Kind.RELEASE, Kind.ONE_SHOT):
        name, owner = item.service.name, item.service.built_by or ""
        recorded = facts.server.live.service(name) if facts.server.live else None
        if name in asked or recorded is None or owner not in choices:
            continue
        image = choices[owner].image
        if image is None or image.engine_id != recorded.image.engine_id:
            notes.append(f"{name} was not asked for: it stays at the old image of {owner}")
    return (*notes, *databases.left_behind(facts))


def _environment(facts: Facts, services: tuple[ServicePlan, ...]) -> tuple[EnvironmentChange, ...]:
    changes: tuple[EnvironmentChange, ...] = ()
    for plan in services:
        item = facts.get(plan.service)
        live = facts.server.live.service(plan.service) if facts.server.live else None
        if item is not None and live is not None and not plan.from_live:
            changes += containers.environment_changes(item.service, live, dict(item.sources))
    return changes
