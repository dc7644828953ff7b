"""What holds for every plan, whatever the facts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from allfast.errors import UsageError
from allfast.model.facts import Changes, Facts, ServiceFacts, Wishes
from allfast.model.plan import Plan, Step
from allfast.model.release import Release
from allfast.model.server import Container, ImageAtHand
from allfast.model.service import Kind, Method
from allfast.planning.plan import make_plan
from tests.unit.planning.after_deploy import deployed
from tests.unit.planning.facts_factory import (
    AMD,
    ARM,
    DAY,
    NAMES,
    NOW,
    image,
    item,
    live_facts,
    recorded,
    release,
    running,
)

BUILT = ("web", "api")
EXAMPLES = settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
flags = st.booleans()


@st.composite
def some_changes(draw: st.DrawFn) -> Changes:
    return Changes(
        dependencies=draw(st.sampled_from([(), ("package.json",)])),
        dockerfile=draw(flags),
        bases=draw(st.sampled_from([(), ("node:22",)])),
        files=tuple(map(str, range(draw(st.sampled_from([0, 1, 200, 201]))))),
        share=draw(st.sampled_from([0.0, 0.4, 0.5])),
    )


@st.composite
def some_item(draw: st.DrawFn, name: str) -> ServiceFacts:
    changes: dict[str, Any] = {"settings": draw(st.sampled_from([f"settings-{name}", "other"]))}
    if draw(st.integers(0, 4)) == 0:
        changes["environment"] = (("MODE", "other"),)
    if name in BUILT:
        differs = draw(flags)
        changes["digest"] = f"inputs-{name}-2" if differs else f"inputs-{name}"
        changes["changes"] = draw(st.none() | some_changes()) if differs else Changes()
        changes["unhashable"] = draw(st.sampled_from([(), (), ("ADD https://x.test",)]))
        changes["fresh_after"] = draw(st.sampled_from([None, None, 1.5 * DAY, 60 * DAY]))
    if name in ("nginx", "worker"):
        joined = [{}, {"network_mode": "service:api"}, {"depends_on": {"redis": {"restart": True}}}]
        changes["definition"] = draw(st.sampled_from(joined))
    if name == "api" and draw(flags):
        changes["depends_on"] = (("migrate", "service_completed_successfully"),)
    return item(name, **changes)


@st.composite
def some_image(draw: st.DrawFn, number: int) -> ImageAtHand:
    name = draw(st.sampled_from(BUILT))
    return image(
        name,
        engine_id=f"sha256:{name}-{number}",
        inputs=draw(st.sampled_from([f"inputs-{name}", f"inputs-{name}-2", "others"])),
        method=draw(st.sampled_from([Method.CLEAN, Method.QUICK, ""])),
        platform=draw(st.sampled_from([AMD, AMD, ARM])),
        diff_ids=(draw(st.sampled_from("abc")),),
        created=NOW - draw(st.sampled_from([0.0, 0.5, 2.0, 90.0])) * DAY,
        stale=draw(st.integers(0, 3)) == 0,
    )


@st.composite
def some_containers(draw: st.DrawFn, name: str) -> list[Container]:
    made = []
    for number in range(draw(st.sampled_from([0, 1, 1, 2]))):
        state = draw(st.sampled_from(["running", "running", "exited", "created"]))
        health = draw(st.sampled_from(["healthy", "", "starting", "unhealthy"]))
        own = draw(st.sampled_from([f"settings-{name}", "other", ""]))
        made.append(running(name, id=f"{name}-{number}", state=state, health=health, settings=own))
    return made


@st.composite
def some_release(draw: st.DrawFn) -> Release:
    names = [n for n in NAMES if n not in ("redis", "db") and draw(st.integers(0, 5)) > 0]
    return release(services=tuple(recorded(n) for n in names), proven=draw(flags))


@st.composite
def some_facts(draw: st.DrawFn) -> Facts:
    """R1 as it is, and more or less of it changed: from nothing to nearly everything."""
    wildness = draw(st.integers(0, 5))

    def odd() -> bool:
        return wildness > draw(st.integers(0, 8))

    there = [n for n in NAMES if n in BUILT or not odd()]
    live = draw(st.none() | some_release()) if odd() else release()
    up = [draw(some_containers(n)) if odd() else [running(n)] for n in NAMES if n != "migrate"]
    images = () if odd() else (image("web"), image("api"))
    facts = live_facts(
        *(draw(some_item(name)) for name in there if odd()),
        without=tuple(n for n in NAMES if n not in there),
        live=live,
        containers=tuple(c for group in up for c in group),
        images=(*images, *(draw(some_image(n)) for n in range(10, 10 + draw(st.integers(0, 3)) * odd()))),
        local_images=tuple(draw(some_image(n)) for n in range(20, 20 + draw(st.integers(0, 3)) * odd())),
    )
    known = {s.name for s in live.services} if live else set()
    items = (i if i.service.name in known else replace(i, changes=None) for i in facts.services)
    return replace(facts, services=tuple(items))


some_wishes = st.builds(
    Wishes,
    method=st.sampled_from([None, None, *Method]),
    services=st.sampled_from([(), (), ("web",), ("api",), ("worker", "nginx")]),
    data=flags,
    force=st.sampled_from(["", "because"]),
)


def planned(facts: Facts, wishes: Wishes) -> Plan:
    """The plan; inputs that cannot be asked for are passed over."""
    try:
        return make_plan(facts, wishes)
    except UsageError:
        assume(False)
        raise


@EXAMPLES
@given(some_facts(), some_wishes)
def test_the_plan_is_deterministic(facts: Facts, wishes: Wishes) -> None:
    shuffled = replace(
        facts,
        local_images=tuple(reversed(facts.local_images)),
        server=replace(facts.server, images=tuple(reversed(facts.server.images))),
    )
    plan = planned(facts, wishes)
    assert plan == make_plan(facts, wishes)
    times = [i.created for i in (*facts.local_images, *facts.server.images)]
    if len(set(times)) == len(times):
        assert plan == make_plan(shuffled, wishes)


@EXAMPLES
@given(some_facts(), some_wishes)
def test_reuse_takes_an_honest_image_of_these_inputs_and_this_platform(facts: Facts, wishes: Wishes) -> None:
    stale = {(i.service, i.inputs, i.diff_ids) for i in facts.server.images if i.stale}
    for service in planned(facts, wishes).services:
        if not service.image:
            continue
        pool = facts.server.images if service.image_on_server else facts.local_images
        (taken,) = [i for i in pool if i.engine_id == service.image]
        own = facts.get(service.service)
        assert own is not None
        owner = facts.get(own.service.built_by or "")
        assert owner is not None
        assert owner.inputs is not None
        assert service.method is Method.REUSE
        assert (taken.service, taken.inputs) == (owner.service.name, owner.inputs.digest)
        assert taken.platform == owner.inputs.platform
        assert (taken.service, taken.inputs, taken.diff_ids) not in stale
        if wishes.method is None:
            assert not owner.inputs.unhashable or owner.fresh_after is not None
            assert taken.created >= NOW - (owner.fresh_after or float("inf"))
            assert taken.method in (Method.CLEAN, Method.QUICK)


@EXAMPLES
@given(some_facts(), some_wishes)
def test_nothing_to_do_means_that_all_is_kept_proven_and_healthy(facts: Facts, wishes: Wishes) -> None:
    plan = planned(facts, wishes)
    if not plan.nothing_to_do:
        return
    assert facts.server.live is not None
    assert facts.server.live.proven
    assert {s.step for s in plan.services} <= {Step.KEEP, Step.RUN}
    assert {d.action for d in plan.data} <= {"keep", "leave"}
    assert not plan.mends
    assert not plan.one_shots
    assert not {Method.CLEAN, Method.QUICK} & {s.method for s in plan.services}
    for service in facts.server.live.services:
        mine = [c for c in facts.server.containers if c.service == service.name]
        assert service.kind is Kind.ONE_SHOT or {c.health for c in mine} <= {"healthy", ""}


@EXAMPLES
@given(some_facts(), some_wishes)
def test_a_kept_service_runs_the_image_and_the_settings_that_the_plan_wants(facts: Facts, wishes: Wishes) -> None:
    plan = planned(facts, wishes)
    for service in plan.services:
        live = facts.server.live.service(service.service) if facts.server.live else None
        if service.step is not Step.KEEP or service.kind is not Kind.RELEASE:
            continue
        assert live is not None
        mine = [c for c in facts.server.containers if c.service == service.service]
        assert {(c.image, c.settings, c.state) for c in mine} == {(live.image.engine_id, live.settings, "running")}
        assert service.from_live or len(mine) == 1  # how many the live release wants is not known from the commit
        assert service.from_live or service.image in ("", live.image.engine_id)


@EXAMPLES
@given(some_facts(), some_wishes)
def test_every_service_of_the_commit_and_of_the_live_release_has_its_line(facts: Facts, wishes: Wishes) -> None:
    plan = planned(facts, wishes)
    told = [s.service for s in plan.services] + [d.service for d in plan.data]
    assert len(told) == len(set(told))
    wanted = {i.service.name for i in facts.services}
    assert wanted <= set(told)
    live = facts.server.live
    assert {s.name for s in live.services if s.kind is Kind.RELEASE} <= set(told) if live else True


@EXAMPLES
@given(some_facts(), some_wishes)
def test_data_is_recreated_with_consent_only(facts: Facts, wishes: Wishes) -> None:
    for data in planned(facts, wishes).data:
        assert wishes.data or data.action != "recreate"


@EXAMPLES
@given(some_facts(), some_wishes)
def test_each_mend_is_carried_out(facts: Facts, wishes: Wishes) -> None:
    """A service that is said to be mended is replaced, or only waited for."""
    plan = planned(facts, wishes)
    steps = {s.service: s.step for s in plan.services}
    for mend in plan.mends:
        name, _, trouble = mend.partition(": ")
        if name in steps and "has not passed its health check yet" not in trouble:
            assert steps[name] is Step.NEW


@EXAMPLES
@given(some_facts(), some_wishes)
def test_a_repeat_of_a_deploy_is_nothing_to_do(facts: Facts, wishes: Wishes) -> None:
    """Where images may be reused at all; with --data what was recreated stays as it is."""
    assume(not any(i.inputs and i.inputs.unhashable and i.fresh_after is None for i in facts.services))
    first = planned(facts, wishes)
    assume(not any(f.rule == "reuse" for f in first.findings))
    # a quick build for one user of a shared image does not content the rule that asks for a clean one for all of them
    assume(not (wishes.method is Method.QUICK and wishes.services))
    # --reuse also takes what is too old or was built too lightly: only --reuse is content with it again
    method = wishes.method if wishes.method is Method.REUSE else None
    again = make_plan(deployed(facts, first), Wishes(method, wishes.services, wishes.data))
    assert again.mends == ()
    assert {s.step for s in again.services} <= {Step.KEEP, Step.RUN}
    assert again.nothing_to_do
