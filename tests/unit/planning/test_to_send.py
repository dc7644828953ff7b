"""What the plan says of the bytes that will travel, before anything is built or sent."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import pytest

from allfast.model.facts import Missing
from allfast.model.plan import Plan, SendTotal, ToSend
from allfast.model.service import Method
from allfast.plan_text import plan_lines
from allfast.planning.to_send import lacking
from tests.unit.planning.facts_factory import edited, first_facts, image, item, live_facts, plan_of


def sent(name: str, size: int | None, number: int, method: Method = Method.QUICK) -> object:
    """An older image of the service on the server, and what it took."""
    return image(name, engine_id=f"sha256:{name}-{number}", inputs=f"inputs-{number}", method=method, sent=size)


def said(plan: Plan) -> list[str]:
    """The lines about it."""
    return [line for line in plan_lines(dataclasses.asdict(plan)) if "to send" in line]


def test_nothing_travels_that_is_on_the_server() -> None:
    assert plan_of(live_facts()).to_send == ()


def test_a_first_deploy_cannot_tell() -> None:
    plan = plan_of(first_facts())
    assert plan.to_send[:2] == (ToSend("api"), ToSend("web"))
    (line,) = said(plan)
    assert line.count("(known when it is built)") == 2
    assert plan.to_send_total == SendTotal(unknown=2)


def test_a_build_is_expected_to_take_what_builds_like_it_took() -> None:
    took = (sent("web", 9_000, 2), sent("web", 1_000, 3), sent("web", 5_000, 4), sent("web", None, 5))
    other = (sent("web", 70_000_000, 6, Method.CLEAN), sent("api", 7, 7))
    plan = plan_of(live_facts(edited("web", "page.tsx"), images=(image("web"), image("api"), *took, *other)))
    assert plan.to_send == (ToSend("web", expected=5_000, changed=0),)
    assert "  to send: web about 5.0 kB (as builds like this one before)" in plan_lines(dataclasses.asdict(plan))


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (5_000, "about 5.0 kB (as builds like this one before)"),
        (200_000_000, "about 5.0 kB (as builds like this one before; its changed files have 200.0 MB)"),
        (None, "about 5.0 kB if it changes as builds before did"),
    ],
)
def test_a_change_that_is_larger_than_those_before_is_told(size: int | None, words: str) -> None:
    changed = edited("web", "film.mp4", size=size or 0)
    if size is None:
        changed = dataclasses.replace(changed, changes=None)
    took = (sent("web", 5_000, 2), sent("web", 5_000, 3, Method.CLEAN))
    plan = plan_of(live_facts(changed, images=(image("web"), image("api"), *took)))
    assert plan.to_send == (ToSend("web", expected=5_000, changed=size),)
    assert f"  to send: web {words}" in plan_lines(dataclasses.asdict(plan))


def test_an_image_that_is_here_takes_at_most_its_missing_layers() -> None:
    here = image("web", engine_id="sha256:here", inputs="inputs-web-2")
    missing = Missing("sha256:here", (("a", 1_000_000), ("b", 300_000)), 7)
    plan = plan_of(live_facts(edited("web", "page.tsx"), local_images=(here,), missing=(missing,)))
    assert plan.to_send == (ToSend("web", 2, 7, 1_300_000),)
    assert plan.to_send_total == SendTotal(1_300_000)
    assert "  to send: web at most 1.3 MB (2 of 7 layers)" in plan_lines(dataclasses.asdict(plan))


def test_an_image_that_is_here_takes_what_is_known_of_such_ones_where_that_is_less() -> None:
    """It is the method by which that image was built that counts."""
    here = image("web", engine_id="sha256:here", inputs="inputs-web-2", method=Method.QUICK)
    took = (sent("web", 5_000, 2), sent("web", 900, 3, Method.CLEAN))
    words = []
    for size in (1_300_000, 4_000):
        missing = Missing("sha256:here", (("a", size - 1), ("b", 1)), 7)
        plan = plan_of(
            live_facts(
                edited("web", "page.tsx"),
                images=(image("web"), image("api"), *took),
                local_images=(here,),
                missing=(missing,),
            )
        )
        words += said(plan)
    assert words == [
        "  to send: web at most 1.3 MB (2 of 7 layers; builds like it took about 5.0 kB)",
        "  to send: web at most 4.0 kB (2 of 7 layers)",
    ]


def test_an_image_whose_layers_are_not_told_apart_takes_about_their_share() -> None:
    """One of them may be nearly all of the image."""
    here = image("web", engine_id="sha256:here", inputs="inputs-web-2")
    missing = Missing("sha256:here", (("a", 150_000_000),), 10, shares=True)
    plan = plan_of(live_facts(edited("web", "page.tsx"), local_images=(here,), missing=(missing,)))
    assert said(plan) == ["  to send: web about 150.0 MB (1 of 10 layers)"]
    assert plan.to_send_total == SendTotal(expected=150_000_000)


def test_a_layer_that_several_images_have_counts_once() -> None:
    here = [image(name, engine_id=f"sha256:here-{name}", inputs=f"inputs-{name}-2") for name in ("api", "web")]
    missing = tuple(
        Missing(one.engine_id, (("base", 120_000_000), (one.service, size)), 7)
        for one, size in zip(here, (2_000_000, 3_000_000), strict=True)
    )
    changed = (edited("web", "page.tsx"), edited("api", "main.py"))
    plan = plan_of(live_facts(*changed, local_images=tuple(here), missing=missing))
    assert plan.to_send == (ToSend("api", 2, 7, 122_000_000), ToSend("web", 1, 7, 3_000_000, shared=1))
    assert plan.to_send_total == SendTotal(125_000_000)
    assert said(plan) == [
        "  to send: api at most 122.0 MB (2 of 7 layers),"
        " web at most 3.0 MB (1 of 7 layers, and 1 of an image before it)",
        "  to send in all: at most 125.0 MB",
    ]


def test_the_total_says_what_is_not_in_it() -> None:
    here = image("web", engine_id="sha256:here", inputs="inputs-web")
    facts = first_facts(
        images=(replace(image("api"), inputs="other", sent=5_000),),
        local_images=(here,),
        missing=(Missing("sha256:here", (("a", 4_000_000),), 7), Missing("nginx:1.27", (("b", 1_000_000),), 5)),
    )
    plan = plan_of(facts)
    assert plan.to_send_total == SendTotal(5_000_000, 5_000)
    assert "  to send in all: at most 5.0 MB and about 5.0 kB" in said(plan)
    plan = plan_of(replace(facts, server=replace(facts.server, images=())))
    assert plan.to_send_total == SendTotal(5_000_000, unknown=1)
    assert "  to send in all: at most 5.0 MB, besides api" in said(plan)


def test_images_that_nobody_builds_are_pulled_or_sent_where_the_server_lacks_them() -> None:
    """A server may have no registry; of what this machine has not, it must have one."""
    facts = first_facts(
        image_refs=(("postgres:16", "sha256:db-1"),), missing=(Missing("redis:7.2", (("a", 41_000_000),), 5),)
    )
    plan = plan_of(facts)
    redis = ToSend("redis", 1, 5, 41_000_000, pulled="redis:7.2")
    assert plan.to_send[2:] == (ToSend("nginx", pulled="nginx:1.27"), redis)
    assert said(plan)[0].endswith(
        "nginx nothing (the server has to pull nginx:1.27: this machine has none to send), "
        "redis nothing where the server can pull redis:7.2, else at most 41.0 MB (1 of 5 layers)"
    )
    assert said(plan)[1] == "  to send in all: at most 41.0 MB, besides api, web"


def test_the_proxys_image_is_told_where_a_container_is_made_of_it() -> None:
    changed, missing = edited("web", "page.tsx"), (Missing("caddy:2", (("a", 15_000_000),), 5),)
    facts = live_facts(changed, proxy_image="caddy:2", missing=missing)
    assert plan_of(facts).to_send == (
        ToSend("web", changed=0),
        ToSend("the proxy", 1, 5, 15_000_000, pulled="caddy:2"),
    )
    assert (
        "the proxy nothing where the server can pull caddy:2, else at most 15.0 MB (1 of 5" in said(plan_of(facts))[0]
    )
    there = live_facts(changed, proxy_image="caddy:2", image_refs=(("caddy:2", "sha256:caddy"),))
    for without in (plan_of(facts, canary=10), plan_of(there), plan_of(live_facts(changed))):
        assert [one.service for one in without.to_send] == ["web"]


def test_what_is_looked_for_here_is_what_the_server_may_have_to_be_sent() -> None:
    facts = first_facts(image_refs=(("docker.io/library/redis:7.2", "sha256:redis"),), proxy_image="caddy:2")
    assert lacking(facts) == ("caddy:2", "nginx:1.27", "postgres:16")
    assert lacking(live_facts(item("nginx", image="nginx@sha256:0"))) == (), "whether it is there is not known"


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
