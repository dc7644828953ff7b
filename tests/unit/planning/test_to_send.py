"""What the plan says of the bytes that will travel, before anything is built or sent."""

from __future__ import annotations

import dataclasses

import pytest

from allfast.model.facts import Missing
from allfast.model.plan import ToSend
from allfast.model.service import Method
from allfast.plan_text import plan_lines
from tests.unit.planning.facts_factory import edited, first_facts, image, item, live_facts, plan_of


def sent(name: str, size: int | None, number: int, method: Method = Method.QUICK) -> object:
    """An older image of the service on the server, and what it took."""
    return image(name, engine_id=f"sha256:{name}-{number}", inputs=f"inputs-{number}", method=method, sent=size)


def test_nothing_travels_that_is_on_the_server() -> None:
    assert plan_of(live_facts()).to_send == ()


def test_a_first_deploy_cannot_tell() -> None:
    plan = plan_of(first_facts())
    assert plan.to_send[:2] == (ToSend("api"), ToSend("web"))
    (said,) = [line for line in plan_lines(dataclasses.asdict(plan)) if "to send" in line]
    assert said.count("(known when it is built)") == 2


def test_a_build_is_expected_to_take_what_builds_like_it_took() -> None:
    took = (sent("web", 9_000, 2), sent("web", 1_000, 3), sent("web", 5_000, 4), sent("web", None, 5))
    other = (sent("web", 70_000_000, 6, Method.CLEAN), sent("api", 7, 7))
    plan = plan_of(live_facts(edited("web", "page.tsx"), images=(image("web"), image("api"), *took, *other)))
    assert plan.to_send == (ToSend("web", expected=5_000, changed=0),)
    assert "  to send: web about 5.0 kB (as builds like this one before)" in plan_lines(dataclasses.asdict(plan))


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (5_000, "about 5.0 kB (as builds like this one before)"),
        (200_000_000, "about 5.0 kB (as builds like this one before; its changed files have 200.0 MB)"),
        (None, "about 5.0 kB if it changes as builds before did"),
    ],
)
def test_a_change_that_is_larger_than_those_before_is_told(size: int | None, said: str) -> None:
    changed = edited("web", "film.mp4", size=size or 0)
    if size is None:
        changed = dataclasses.replace(changed, changes=None)
    took = (sent("web", 5_000, 2), sent("web", 5_000, 3, Method.CLEAN))
    plan = plan_of(live_facts(changed, images=(image("web"), image("api"), *took)))
    assert plan.to_send == (ToSend("web", expected=5_000, changed=size),)
    assert f"  to send: web {said}" in plan_lines(dataclasses.asdict(plan))


def test_an_image_that_is_here_takes_at_most_its_missing_layers() -> None:
    here = image("web", engine_id="sha256:here", inputs="inputs-web-2")
    missing = Missing("sha256:here", 2, 7, 1_300_000)
    plan = plan_of(live_facts(edited("web", "page.tsx"), local_images=(here,), missing=(missing,)))
    assert plan.to_send == (ToSend("web", 2, 7, 1_300_000),)
    assert "  to send: web at most 1.3 MB (2 of 7 layers)" in plan_lines(dataclasses.asdict(plan))


def test_an_image_that_is_here_takes_what_is_known_of_such_ones_where_that_is_less() -> None:
    """It is the method by which that image was built that counts."""
    here = image("web", engine_id="sha256:here", inputs="inputs-web-2", method=Method.QUICK)
    took = (sent("web", 5_000, 2), sent("web", 900, 3, Method.CLEAN))
    words = []
    for size in (1_300_000, 4_000):
        missing = Missing("sha256:here", 2, 7, size)
        plan = plan_of(
            live_facts(
                edited("web", "page.tsx"),
                images=(image("web"), image("api"), *took),
                local_images=(here,),
                missing=(missing,),
            )
        )
        words += [line for line in plan_lines(dataclasses.asdict(plan)) if "to send" in line]
    assert words == [
        "  to send: web at most 1.3 MB (2 of 7 layers; builds like it took about 5.0 kB)",
        "  to send: web at most 4.0 kB (2 of 7 layers)",
    ]


def test_images_that_nobody_builds_are_pulled_where_the_server_lacks_them() -> None:
    plan = plan_of(first_facts(image_refs=(("postgres:16", "sha256:db-1"),)))
    assert plan.to_send[2:] == (ToSend("nginx", pulled="nginx:1.27"), ToSend("redis", pulled="redis:7.2"))
    (said,) = [line for line in plan_lines(dataclasses.asdict(plan)) if "to send" in line]
    assert said.endswith("nginx nothing (the server pulls nginx:1.27), redis nothing (the server pulls redis:7.2)")


@pytest.mark.parametrize(
    ("reference", "there"),
    [("nginx", "nginx:latest"), ("docker.io/library/nginx:2", "nginx:2"), ("nginx@sha256:0", "")],
)
def test_what_may_be_there_under_another_name_is_not_said_to_be_pulled(reference: str, there: str) -> None:
    facts = live_facts(item("nginx", image=reference, settings="other"), image_refs=((there, "sha256:nginx-2"),))
    assert [one for one in plan_of(facts).to_send if one.service == "nginx"] == []
    elsewhere = live_facts(item("nginx", image="caddy", settings="other"), image_refs=((there, "sha256:nginx-2"),))
    assert plan_of(elsewhere).to_send == (ToSend("nginx", pulled="caddy"),)


def test_a_service_that_keeps_its_container_pulls_nothing() -> None:
    """Its tag may be gone from the server: the container runs on."""
    assert plan_of(live_facts(edited("web", "page.tsx"), image_refs=())).to_send == (ToSend("web", changed=0),)
    changed = item("redis", image="redis:8", settings="other")
    assert plan_of(live_facts(changed)).to_send == ()
    assert plan_of(live_facts(changed), data=True).to_send == (ToSend("redis", pulled="redis:8"),)


def test_a_build_sends_nothing() -> None:
    assert plan_of(first_facts(), build_only=True).to_send == ()
