"""Section "The image of each release service" of the design, row by row."""

from __future__ import annotations

from typing import Any

import pytest

from allfast.errors import UsageError
from allfast.model.facts import Changes, Facts, Thresholds
from allfast.model.plan import Step
from allfast.model.server import StaleBuild
from allfast.model.service import Method
from tests.unit.planning.facts_factory import (
    ARM,
    DAY,
    NOW,
    edited,
    first_facts,
    image,
    item,
    line,
    live_facts,
    plan_of,
    recorded,
    release,
)

CLEAN, QUICK, REUSE = Method.CLEAN, Method.QUICK, Method.REUSE
NEW_WEB = edited("web", "web/app/page.tsx")  # one changed line: quick
NEW_DEPS = edited("web", "web/package.json", dependencies=("web/package.json",))


def fresh(**changes: Any) -> Any:
    """An image of the web's new inputs."""
    made = {"engine_id": "sha256:web-2", "inputs": "inputs-web-2", "diff_ids": ("layer-web-2",), "created": NOW}
    return image("web", **{**made, **changes})


OLD = (image("web"), image("api"))
STALE_WEB = StaleBuild("web", "inputs-web-2", ("layer-web-2",))

# the case, the facts, the method of web, what its reason says
ROWS: list[tuple[str, Facts, Method, str]] = [
    # row 2
    ("unchanged: the live image", live_facts(), REUSE, "an image with the same inputs is on the server"),
    ("another image of these inputs", live_facts(NEW_WEB, images=(*OLD, fresh())), REUSE, "on the server"),
    ("an image of these inputs here", live_facts(NEW_WEB, local_images=(fresh(),)), REUSE, "is here"),
    ("quick is enough for quick", live_facts(NEW_WEB, images=(*OLD, fresh(method="quick"))), REUSE, "on the server"),
    (
        "quick is not enough for clean",
        live_facts(NEW_DEPS, images=(*OLD, fresh(method="quick"))),
        CLEAN,
        "package.json",
    ),
    ("clean is enough for clean", live_facts(NEW_DEPS, images=(*OLD, fresh())), REUSE, "on the server"),
    ("clean is enough for a first deploy", first_facts(item("web"), local_images=(image("web"),)), REUSE, "is here"),
    (
        "quick is not enough for one",
        first_facts(item("web"), local_images=(image("web", method="quick"),)),
        CLEAN,
        "first",
    ),
    ("of an unknown method", live_facts(NEW_WEB, images=(*OLD, fresh(method=""))), QUICK, "1 file changed"),
    ("stale", live_facts(NEW_WEB, images=(*OLD, fresh(stale=True))), CLEAN, "a build of these inputs was caught stale"),
    (
        "the copy here of an image that was caught stale there",
        live_facts(NEW_WEB, images=(*OLD, fresh(stale=True)), local_images=(fresh(engine_id="sha256:here"),)),
        CLEAN,
        "caught stale",
    ),
    (
        "the copy here of an image that was caught stale there and is gone",
        live_facts(NEW_WEB, images=OLD, stale=(STALE_WEB,), local_images=(fresh(engine_id="sha256:here"),)),
        CLEAN,
        "a build of these inputs was caught stale",
    ),
    (
        "an honest copy here, though a build of its inputs was caught stale",
        live_facts(NEW_WEB, images=OLD, stale=(STALE_WEB,), local_images=(fresh(diff_ids=("layer-web-3",)),)),
        REUSE,
        "is here",
    ),
    (
        "rebuilt after it was caught stale",
        live_facts(
            NEW_WEB, images=(*OLD, fresh(stale=True), fresh(engine_id="sha256:web-3", diff_ids=("layer-web-3",)))
        ),
        REUSE,
        "on the server",
    ),
    (
        "honest, though a stale image has its layers",
        live_facts(images=(*OLD, fresh(stale=True, diff_ids=("layer-web-1",)))),
        REUSE,
        "on the server",
    ),
    ("stale here", live_facts(NEW_WEB, local_images=(fresh(stale=True),)), QUICK, "1 file changed"),
    ("another platform", live_facts(NEW_WEB, images=(*OLD, fresh(platform=ARM))), QUICK, "1 file changed"),
    ("another service's image", live_facts(NEW_WEB, images=(*OLD, fresh(service="api"))), QUICK, "1 file changed"),
    ("other inputs", live_facts(NEW_WEB, images=(*OLD, fresh(inputs="x"))), QUICK, "1 file changed: web/app/page.tsx"),
    ("no image with the live inputs", live_facts(images=(image("api"),)), QUICK, "no file changed, but no image"),
    (
        "what cannot be hashed",
        live_facts(item("web", unhashable=("ADD https://x.test/y",))),
        QUICK,
        "nothing changed that can be compared, but: ADD https://x.test/y",
    ),
    (
        "what cannot be hashed, and a file",
        live_facts(edited("web", "a.ts", unhashable=("ADD https://x.test/y",)), images=(*OLD, fresh())),
        QUICK,
        "1 file changed: a.ts",
    ),
    ("unhashable, young enough", live_facts(item("web", unhashable=("ADD",), fresh_after=DAY)), REUSE, "on the server"),
    (
        "unhashable, too old",
        live_facts(item("web", unhashable=("ADD",), fresh_after=DAY - 1)),
        CLEAN,
        "older than fresh",
    ),
    ("young enough", live_facts(item("web", fresh_after=DAY)), REUSE, "on the server"),
    ("too old", live_facts(item("web", fresh_after=DAY / 2)), CLEAN, "older than fresh_after allows (0.5 days)"),
    ("too old, and a file", live_facts(edited("web", "a.ts", fresh_after=DAY / 2)), QUICK, "1 file changed"),
    # row 3
    ("first deploy", first_facts(item("web")), CLEAN, "first deploy"),
    (
        "live image caught stale",
        live_facts(images=(image("web", stale=True), image("api"))),
        CLEAN,
        "its live image was",
    ),
    (
        "live image caught stale, and a file",
        live_facts(NEW_WEB, images=(image("web", stale=True), image("api"))),
        CLEAN,
        "its live image was caught stale",
    ),
    (
        "live image caught stale, a clean one at hand",
        live_facts(
            images=(image("web", stale=True), image("web", engine_id="sha256:w", diff_ids=("l",)), image("api"))
        ),
        REUSE,
        "on the server",
    ),
    (
        "not in the live release",
        live_facts(item("web", changes=None), live=release(services=(recorded("api"),)), images=()),
        CLEAN,
        "the live release R1 has no image of web",
    ),
    (
        "live, but not built until now",
        live_facts(item("web", changes=None), images=()),
        CLEAN,
        "it is not known what web's image in R1 was built from",
    ),
    # row 4
    ("a dependency file", live_facts(NEW_DEPS), CLEAN, "dependencies changed: web/package.json"),
    ("the Dockerfile", live_facts(edited("web", dockerfile=True)), CLEAN, "the Dockerfile changed"),
    (".dockerignore", live_facts(edited("web", dockerignore=True)), CLEAN, "the .dockerignore changed"),
    ("a build argument", live_facts(edited("web", args=("A",))), CLEAN, "build arguments changed: A"),
    ("a build secret", live_facts(edited("web", secrets=("npm",))), CLEAN, "build secrets changed: npm"),
    ("the target", live_facts(edited("web", target=True)), CLEAN, "the build target changed"),
    ("the platform", live_facts(edited("web", platform=True)), CLEAN, "the platform changed"),
    ("a base image", live_facts(edited("web", bases=("node:22",))), CLEAN, "the base image changed: node:22"),
    # row 5: both sides of each limit
    ("200 files", live_facts(edited("web", *map(str, range(200)))), QUICK, "200 files changed: 0, 1, 2 and 197 more"),
    ("201 files", live_facts(edited("web", *map(str, range(201)))), CLEAN, "201 files changed (more than 200)"),
    ("a share of 0.4", live_facts(edited("web", "a", "b", share=0.4)), QUICK, "2 files changed: a, b"),
    ("a share over 0.4", live_facts(edited("web", "a", share=0.41)), CLEAN, "41% of its files changed (over 40%)"),
    ("own limit: 2", live_facts(edited("web", "a", "b"), thresholds=Thresholds(refactor_files=2)), QUICK, "2 files"),
    ("own limit: 3", live_facts(edited("web", *"abc"), thresholds=Thresholds(refactor_files=2)), CLEAN, "3 files"),
    ("own share", live_facts(edited("web", "a", share=0.2), thresholds=Thresholds(200, 0.1)), CLEAN, "20%"),
    # row 6
    ("one file", live_facts(NEW_WEB), QUICK, "1 file changed: web/app/page.tsx"),
]


@pytest.mark.parametrize(("facts", "method", "reason"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_method(facts: Facts, method: Method, reason: str) -> None:
    web = line(plan_of(facts), "web")
    assert web.method is method
    assert reason in web.reason


@pytest.mark.parametrize("method", [CLEAN, QUICK])
@pytest.mark.parametrize("facts", [live_facts(), live_facts(NEW_DEPS), live_facts(NEW_WEB, images=(*OLD, fresh()))])
def test_a_flag_comes_first(facts: Facts, method: Method) -> None:
    plan = plan_of(facts, method=method)
    assert {line(plan, name).method for name in ("web", "api", "worker", "migrate")} == {method}
    assert line(plan, "web").reason == f"asked for by --{method}"
    assert line(plan, "nginx").method is None
    assert not plan.nothing_to_do


@pytest.mark.parametrize(
    ("facts", "image_id", "on_server"),
    [
        (live_facts(), "sha256:web-1", True),
        (live_facts(NEW_DEPS, images=(*OLD, fresh(method="quick"))), "sha256:web-2", True),
        (live_facts(NEW_WEB, local_images=(fresh(engine_id="sha256:here"),)), "sha256:here", False),
        (first_facts(local_images=(image("web", method="quick"), image("api"))), "sha256:web-1", False),
        (live_facts(item("web", unhashable=("ADD",))), "sha256:web-1", True),
        (live_facts(item("web", fresh_after=1.0)), "sha256:web-1", True),
    ],
    ids=["live", "quick though clean is required", "here", "first deploy", "unhashable", "too old"],
)
def test_reuse_by_flag_takes_any_image_with_these_inputs(facts: Facts, image_id: str, on_server: bool) -> None:
    plan = plan_of(facts, method=REUSE)
    web = line(plan, "web")
    assert (web.method, web.image, web.image_on_server) == (REUSE, image_id, on_server)
    assert not plan.findings


@pytest.mark.parametrize(
    "images", [OLD, (*OLD, fresh(stale=True)), (*OLD, fresh(platform=ARM))], ids=["none", "stale", "platform"]
)
def test_reuse_by_flag_without_an_image_is_refused(images: tuple[Any, ...]) -> None:
    plan = plan_of(live_facts(NEW_WEB, images=images), method=REUSE, force="I want it")
    (finding,) = plan.findings
    assert (finding.rule, finding.level) == ("reuse", "refuse")
    assert finding.text.startswith("web: no usable image")
    assert "without --reuse" in finding.hint
    assert not plan.nothing_to_do


def test_reuse_by_flag_asks_only_for_the_images_of_named_services() -> None:
    facts = live_facts(edited("api", "main.py"))
    assert not plan_of(facts, method=REUSE, services=("web",)).findings
    assert [f.rule for f in plan_of(facts, method=REUSE, services=("worker",)).findings] == ["reuse"]


def test_reuse_prefers_the_live_image_then_the_newest() -> None:
    twins = [
        image("web", engine_id=f"sha256:{age}", diff_ids=(age,), created=NOW - int(age)) for age in ("9", "3", "5")
    ]
    live = plan_of(live_facts(images=(*twins, image("web"), image("api"))))
    assert line(live, "web").image == "sha256:web-1"
    assert live.nothing_to_do
    others = plan_of(live_facts(images=(*twins, image("api")), local_images=(image("web", created=NOW),)))
    assert (line(others, "web").image, line(others, "web").image_on_server) == ("sha256:3", True)


def test_compared_with_the_live_release_only() -> None:
    """The commit before may be anything: the plan knows the commit's inputs and the live release's, nothing else."""
    rolled_back = live_facts(item("web", changes=Changes()), live=release(id="R0"))
    assert line(plan_of(rolled_back), "web").method is REUSE
    assert line(plan_of(live_facts(NEW_DEPS)), "web").method is CLEAN


def test_the_build_is_repeated_clean_but_only_once_after_it_was_caught_stale() -> None:
    """An image that was caught stale does not make its honest successor suspect for ever."""
    live = release(services=(recorded("web", inputs="inputs-web"), *release().services[1:]))
    stale = image("web", engine_id="sha256:bad", stale=True, diff_ids=("bad",))
    plan = plan_of(live_facts(live=live, images=(image("web", method="quick"), stale, image("api"))))
    assert line(plan, "web").step is Step.KEEP
    assert plan.nothing_to_do


def test_only_owners_of_asked_services_are_built() -> None:
    plan = plan_of(live_facts(NEW_WEB, edited("api", "main.py")), services=("worker",))
    assert {s.service: s.method for s in plan.services} == {
        "web": None,
        "api": None,
        "worker": QUICK,
        "nginx": None,
        "migrate": None,
    }


def test_a_one_shot_that_is_built_has_a_method_of_its_own() -> None:
    own = edited("migrate", "schema.sql", build=item("web").service.build, built_by="migrate")
    before = recorded("migrate", built_by="migrate", inputs="inputs-migrate")
    live = release(services=(*(s for s in release().services if s.name != "migrate"), before))
    plan = plan_of(live_facts(own, live=live))
    assert (line(plan, "migrate").method, line(plan, "migrate").step) == (QUICK, Step.RUN)
    assert not plan.nothing_to_do


def test_no_service_of_that_name() -> None:
    with pytest.raises(UsageError, match='no release service is called "wep"') as caught:
        plan_of(live_facts(), services=("wep",))
    assert "api, migrate, nginx, web, worker" in caught.value.hint
