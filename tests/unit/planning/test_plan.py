"""The plan as a whole: nothing to do, mends, partial deploys, one-shots, caches, findings."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import Any

import pytest

from allfast.errors import UsageError
from allfast.model.facts import Facts
from allfast.model.plan import Finding, Plan, Step
from allfast.model.release import ReleaseService, Run
from allfast.model.service import Method
from allfast.plan_text import plan_lines
from tests.unit.planning.after_deploy import deployed
from tests.unit.planning.facts_factory import (
    COMMIT,
    NOW,
    WHO,
    containers,
    edited,
    first_facts,
    image,
    item,
    line,
    live_facts,
    plan_of,
    recorded,
    release,
    running,
)

KEEP, NEW, RUN = Step.KEEP, Step.NEW, Step.RUN
MIGRATES = item("api", before=("python", "-m", "chat.migrate"))


def steps(plan: Plan) -> dict[str, Step]:
    return {s.service: s.step for s in plan.services}


def live_with(service: ReleaseService, **changes: Any) -> Any:
    """R1 with another record of one service."""
    return release(services=tuple(service if s.name == service.name else s for s in release().services), **changes)


# --- what the plan says of itself


def test_a_first_deploy() -> None:
    plan = plan_of(first_facts())
    assert (plan.live, plan.deployment, plan.target, plan.commit) == ("", "chat", "production", COMMIT)
    assert steps(plan) == {"web": NEW, "api": NEW, "worker": NEW, "nginx": NEW, "migrate": RUN}
    assert {s.method for s in plan.services} == {Method.CLEAN, None}
    assert [d.action for d in plan.data] == ["start", "start"]
    assert plan.mends == ()
    assert not plan.nothing_to_do


def test_an_unchanged_repeat() -> None:
    plan = plan_of(live_facts())
    assert (plan.live, plan.platform) == ("R1", "linux/amd64")
    assert steps(plan) == {"web": KEEP, "api": KEEP, "worker": KEEP, "nginx": KEEP, "migrate": KEEP}
    assert line(plan, "migrate").step_reason == "it ran for the live release"
    assert plan.nothing_to_do
    assert (plan.one_shots, plan.mends, plan.environment) == ((), (), ())


def test_the_reasons_are_in_words() -> None:
    for facts in (first_facts(), live_facts(), live_facts(edited("web", "a"), item("redis", settings="x"))):
        plan = plan_of(facts)
        assert all(s.reason and s.step_reason and s.kind_reason for s in plan.services)
        assert all(d.reason for d in plan.data)


def test_notes_and_findings_of_the_facts_are_passed_on() -> None:
    finding = Finding("dirty", "warn", "dirty")
    plan = plan_of(live_facts(notes=("base image from this machine",), findings=(finding,)))
    assert plan.notes == ("base image from this machine",)
    assert plan.findings == (finding,)


# --- nothing to do, and what is mended

UNFINISHED = Run(7, "deploy", WHO, NOW - 60, None, "", "R2")

# the case, the facts, what is mended
MENDS: list[tuple[str, Facts, str]] = [
    ("never proven", live_facts(live=release(proven=False)), "R1 was never proven"),
    ("an unfinished run", live_facts(unfinished=UNFINISHED), "deploy R2 of ann never ended"),
    ("no container", live_facts(containers=containers(without=("web",))), "web: it has no container"),
    ("exited", live_facts(containers=containers(running("web", state="exited"))), "web: chat-web-1 is exited"),
    (
        "unhealthy",
        live_facts(containers=containers(running("web", health="unhealthy"))),
        "web: chat-web-1 is unhealthy",
    ),
    (
        "not yet healthy",
        live_facts(containers=containers(running("web", health="starting"))),
        "web: chat-web-1 has not passed its health check yet",
    ),
]


@pytest.mark.parametrize(("facts", "mend"), [row[1:] for row in MENDS], ids=[row[0] for row in MENDS])
def test_what_is_not_as_recorded_is_mended(facts: Facts, mend: str) -> None:
    plan = plan_of(facts)
    assert len(plan.mends) == 1
    assert plan.mends[0].startswith(mend)
    assert not plan.nothing_to_do
    assert plan.one_shots == ("migrate",)


def test_an_unfinished_run_without_a_release_is_named_by_its_number() -> None:
    plan = plan_of(live_facts(unfinished=Run(7, "rollback", WHO, NOW, None, "", "")))
    assert plan.mends == ("rollback 7 of ann never ended",)


def test_an_unfinished_first_deploy_is_told() -> None:
    assert plan_of(first_facts(unfinished=UNFINISHED)).mends == ("deploy R2 of ann never ended",)


def test_a_new_number_of_containers_is_a_change_and_no_mend() -> None:
    plan = plan_of(live_facts(item("web", settings="x", definition={"deploy": {"replicas": 2}})))
    assert line(plan, "web").step_reason == "its containers: 1 -> 2"
    assert plan.mends == ()


def test_what_goes_anyway_is_not_mended() -> None:
    plan = plan_of(live_facts(without=("nginx",), containers=containers(without=("nginx",))))
    assert line(plan, "nginx").step is Step.REMOVE
    assert plan.mends == ()


# --- one-shots


@pytest.mark.parametrize(
    "changed",
    [
        item("migrate", settings="x"),
        item("migrate", environment=()),
        edited("api", "migrations/2.sql"),
    ],
    ids=["settings", "environment", "image"],
)
def test_a_changed_one_shot_is_something_to_do(changed: Any) -> None:
    plan = plan_of(live_facts(changed))
    assert plan.one_shots == ("migrate",)
    assert not plan.nothing_to_do


def test_a_one_shot_with_another_image_at_hand_is_something_to_do() -> None:
    own = edited("migrate", "schema.sql", build=item("web").service.build, built_by="migrate")
    built = image("migrate", engine_id="sha256:migrate-2", inputs="inputs-migrate-2")
    before = recorded("migrate", built_by="migrate", inputs="inputs-migrate")
    facts = live_facts(own, live=live_with(before), images=(image("web"), image("api"), built))
    plan = plan_of(facts)
    assert line(plan, "migrate").method is Method.REUSE
    assert plan.one_shots == ("migrate",)
    assert not plan.nothing_to_do
    assert plan_of(deployed(facts, plan)).nothing_to_do


def test_a_one_shot_that_never_ran_is_something_to_do() -> None:
    live = release(services=tuple(s for s in release().services if s.name != "migrate"))
    plan = plan_of(live_facts(live=live))
    assert not plan.nothing_to_do


def test_one_shots_then_before_commands_in_the_order_of_the_file() -> None:
    plan = plan_of(live_facts(MIGRATES, edited("web", "a.ts", before=("./warm", "up"))))
    assert plan.one_shots == ("migrate", "web: ./warm up", "api: python -m chat.migrate")


def test_neither_runs_when_nothing_is_deployed() -> None:
    assert plan_of(live_facts(MIGRATES)).one_shots == ()


# --- deploy SERVICE...


def test_other_services_are_taken_from_the_live_release() -> None:
    facts = live_facts(edited("web", "a.ts"), edited("api", "main.py"), item("nginx", settings="x"))
    plan = plan_of(facts, services=("web",))
    assert steps(plan) == {"web": NEW, "api": KEEP, "worker": KEEP, "nginx": KEEP, "migrate": KEEP}
    assert {s.service for s in plan.services if s.from_live} == {"api", "worker", "nginx", "migrate"}
    api = line(plan, "api")
    assert (api.method, api.reason) == (None, "not asked for: stays as in R1")
    assert plan.one_shots == ()


def test_nothing_to_do_for_the_named_service() -> None:
    assert plan_of(live_facts(edited("api", "main.py")), services=("web",)).nothing_to_do


def test_a_service_that_was_not_asked_for_and_does_not_run_is_mended_from_the_live_release() -> None:
    facts = live_facts(edited("web", "a.ts"), containers=containers(running("api", state="exited", exit_code=1)))
    plan = plan_of(facts, services=("web",))
    api = line(plan, "api")
    assert (api.step, api.from_live, api.step_reason) == (NEW, True, "chat-api-1 is exited (exit code 1)")
    assert plan.mends == ("api: chat-api-1 is exited (exit code 1)",)


def test_a_service_that_lives_inside_the_named_one_goes_with_it() -> None:
    facts = live_facts(edited("api", "main.py"), item("nginx", definition={"network_mode": "service:api"}))
    nginx = line(plan_of(facts, services=("api",)), "nginx")
    assert (nginx.step, nginx.from_live) == (NEW, True)


def test_a_service_that_the_compose_files_have_no_more_stays_until_a_full_deploy() -> None:
    facts = live_facts(edited("web", "a.ts"), without=("nginx",))
    nginx = line(plan_of(facts, services=("web",)), "nginx")
    assert (nginx.step, nginx.from_live) == (KEEP, True)
    assert line(plan_of(facts), "nginx").step is Step.REMOVE


def test_one_shots_that_the_named_service_waits_for_run_and_others_do_not() -> None:
    waits = (("migrate", "service_completed_successfully"), ("redis", "service_healthy"))
    facts = live_facts(edited("api", "main.py", depends_on=waits))
    plan = plan_of(facts, services=("api",))
    assert (line(plan, "migrate").step, line(plan, "migrate").method) == (RUN, Method.QUICK)
    assert plan.one_shots == ("migrate",)
    assert plan_of(facts, services=("nginx",)).one_shots == ()


def test_one_shots_behind_one_shots_run_too() -> None:
    seed = item("seed", kind=line(plan_of(live_facts()), "migrate").kind, depends_on=(("migrate", "x"),))
    facts = live_facts(edited("web", "a.ts", depends_on=(("seed", "x"),)), seed)
    assert set(plan_of(facts, services=("web",)).one_shots) == {"migrate", "seed"}


def test_before_runs_only_for_named_services() -> None:
    facts = live_facts(edited("web", "a.ts"), MIGRATES)
    assert plan_of(facts, services=("web",)).one_shots == ()
    assert plan_of(facts).one_shots == ("migrate", "api: python -m chat.migrate")


def test_who_shares_the_image_and_stays_behind_is_told() -> None:
    facts = live_facts(edited("api", "main.py"))
    behind = "was not asked for: it stays at the old image of api"
    assert plan_of(facts, services=("api",)).notes == (f"worker {behind}", f"migrate {behind}")
    assert plan_of(facts, services=("worker",)).notes == (f"api {behind}", f"migrate {behind}")
    assert plan_of(facts).notes == ()
    assert plan_of(live_facts(), services=("api",)).notes == ()


@pytest.mark.parametrize(
    ("facts", "asked", "message", "hint"),
    [
        (live_facts(), ("nope",), 'no release service is called "nope"', "api, migrate, nginx, web, worker"),
        (live_facts(), ("redis",), "redis is a data service", "allfast deploy --data"),
        (first_facts(), ("web",), "there is no live release", "without naming services"),
        (live_facts(item("cron")), ("web",), "cron is not in the live release", "allfast deploy web cron"),
    ],
    ids=["unknown", "data", "first deploy", "another new service"],
)
def test_what_cannot_be_asked_for(facts: Facts, asked: tuple[str, ...], message: str, hint: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        plan_of(facts, services=asked)
    assert hint in caught.value.hint


def test_a_new_service_can_be_named() -> None:
    plan = plan_of(live_facts(item("cron")), services=("cron",))
    assert {name for name, step in steps(plan).items() if step is NEW} == {"cron"}


# --- refusals and --force


def test_force_lifts_what_can_be_forced_and_no_warning_becomes_more() -> None:
    given = (
        Finding("development", "refuse", "dev"),
        Finding("dirty", "warn", "dirty"),
        Finding("reuse", "refuse", "no", forceable=False),
    )
    assert [f.level for f in plan_of(live_facts(findings=given)).findings] == ["refuse", "warn", "refuse"]
    assert [f.level for f in plan_of(live_facts(findings=given), force="why").findings] == ["warn", "warn", "refuse"]


DIRTY = Finding("dirty", "refuse", "1 file is not committed", "commit it")


@pytest.mark.parametrize(
    ("given", "force", "lines"),
    [
        ((DIRTY,), "", ["refused: 1 file is not committed (commit it)"]),
        ((DIRTY,), "why", ["forced: why", "overruled: 1 file is not committed (commit it)"]),
        ((), "why", ["note: --force overruled nothing: its reason is not recorded"]),
        (
            (replace(DIRTY, level="warn"),),
            "why",
            [
                "note: --force overruled nothing: its reason is not recorded",
                "warning: 1 file is not committed (commit it)",
            ],
        ),
        (
            (replace(DIRTY, forceable=False),),
            "why",
            [
                "note: --force overruled nothing: its reason is not recorded",
                "refused: 1 file is not committed (commit it)",
            ],
        ),
    ],
    ids=["not forced", "needed", "nothing found", "only a warning", "does not give way"],
)
def test_a_reason_is_told_and_kept_where_it_overruled_something(
    given: tuple[Finding, ...], force: str, lines: list[str]
) -> None:
    plan = plan_of(live_facts(edited("web", "a.ts"), findings=given), force=force)
    shown = [line.strip() for line in plan_lines(dataclasses.asdict(plan))]
    assert [line for line in shown if line.startswith(("forced", "note", "refused", "warning", "overruled"))] == lines
    assert plan.force == (force if any(line.startswith("forced") for line in lines) else ""), "as history tells it"


# --- what happens next


@pytest.mark.parametrize(
    "facts",
    [
        first_facts(),
        live_facts(edited("web", "a.ts")),
        live_facts(edited("api", "uv.lock", dependencies=("uv.lock",), before=("migrate",))),
        live_facts(without=("nginx",)),
        live_facts(item("redis", settings="x")),
        live_facts(unfinished=UNFINISHED, containers=()),
        live_facts(images=(image("web", stale=True), image("api"))),
        live_facts(live=live_with(recorded("worker", settings="x"), proven=False)),
    ],
    ids=["first", "quick", "clean", "removed", "data left", "all down", "stale", "never proven"],
)
def test_after_a_deploy_there_is_nothing_to_do(facts: Facts) -> None:
    plan = plan_of(facts)
    assert not plan.nothing_to_do or plan.data[0].action == "leave"
    assert plan_of(deployed(facts, plan)).nothing_to_do
