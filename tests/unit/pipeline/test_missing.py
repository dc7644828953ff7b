"""What both engines are asked for, so that the plan can tell what the server lacks."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from allfast.images.local_engine import LocalEngine, LocalImage
from allfast.model.facts import Facts, Missing
from allfast.model.plan import ToSend
from allfast.model.server import StaleBuild
from allfast.model.service import Method
from allfast.pipeline.context import Context
from allfast.pipeline.missing import missing
from allfast.remote.layers import Stock
from tests.unit.planning.facts_factory import ARM, edited, first_facts, image, live_facts, plan_of

MB = 1_000_000
THERE = "sha256:" + "0" * 64  # a layer that the server's engine has


class Local:
    """This machine's engine; `asked` are the images that it was asked for."""

    def __init__(self, *images: LocalImage, counted: bool = True) -> None:
        self._images = images
        self._counted = counted
        self.asked: list[str] = []

    def image(self, reference: str) -> LocalImage | None:
        """The image of that id or name."""
        self.asked.append(reference)
        return next((one for one in self._images if reference in (one.engine_id, *one.tags)), None)

    def counted_sizes(self, image: LocalImage) -> tuple[int, ...]:
        """One MB, two MB and so on; nothing where it cannot tell them apart."""
        return tuple(MB * (n + 1) for n in range(len(image.diff_ids))) if self._counted else ()


def local_image(name: str, *layers: str, tags: tuple[str, ...] = (), platform: str = "linux/amd64") -> LocalImage:
    return LocalImage(name, platform, layers, {}, tags, 0.0, 9 * MB)


def found(facts: Facts, local: Local, cached: frozenset[str] = frozenset()) -> tuple[Missing, ...]:
    cache = SimpleNamespace(stock=lambda _: Stock(cached, {}, ()))
    server = SimpleNamespace(layers=lambda layers: [*layers, ""].index(next((x for x in layers if x != THERE), "")))
    context = cast("Context", SimpleNamespace(server=SimpleNamespace(cache=cache, layers=server.layers)))
    return missing(context, facts, cast("LocalEngine", local))


@pytest.fixture
def lacks_redis() -> Facts:
    """On the server are all images but that one."""
    facts = live_facts()
    references = tuple(one for one in facts.server.image_refs if one[0] != "redis:7.2")
    return replace(facts, server=replace(facts.server, image_refs=references))


def test_of_an_image_that_nobody_builds(lacks_redis: Facts) -> None:
    local = Local(local_image("sha256:redis", THERE, "a", "b", tags=("redis:7.2",)))
    assert found(lacks_redis, local) == (Missing("redis:7.2", (("a", 2 * MB), ("b", 3 * MB)), 3),)
    assert local.asked == ["redis:7.2"], "for what the server has nothing is asked"
    assert found(lacks_redis, local, frozenset({"a"})) == (Missing("redis:7.2", (("b", 3 * MB),), 3),)


def test_of_one_that_is_not_here_or_for_another_platform(lacks_redis: Facts) -> None:
    assert found(lacks_redis, Local()) == ()
    assert found(lacks_redis, Local(local_image("sha256:redis", "a", tags=("redis:7.2",), platform=ARM))) == ()


def test_layers_that_the_engine_here_does_not_tell_apart(lacks_redis: Facts) -> None:
    local = Local(local_image("sha256:redis", THERE, "a", "b", tags=("redis:7.2",)), counted=False)
    assert found(lacks_redis, local) == (Missing("redis:7.2", (("a", 3 * MB), ("b", 3 * MB)), 3, shares=True),)


def test_of_the_proxys() -> None:
    local = Local(local_image("sha256:caddy", "a", tags=("caddy:2",)))
    assert found(replace(live_facts(), proxy_image="caddy:2"), local) == (Missing("caddy:2", (("a", MB),), 1),)


HERE = image("web", engine_id="sha256:here", inputs="inputs-web-2", method=Method.CLEAN, diff_ids=("a", "b"))


@pytest.mark.parametrize(
    ("on_server", "changes"),
    [
        pytest.param({"stale": True}, {}, id="it was caught stale"),
        pytest.param({"method": Method.QUICK}, {"dockerfile": True}, id="it is to be built clean"),
        pytest.param({"platform": ARM}, {}, id="it is for another platform"),
    ],
)
def test_of_one_that_is_reused_because_the_servers_may_not_be(
    on_server: dict[str, Any], changes: dict[str, Any]
) -> None:
    """It is told what it takes, and not that this is known when it is built."""
    there = image("web", engine_id="sha256:there", inputs="inputs-web-2", **on_server)
    facts = live_facts(
        edited("web", "page.tsx", **changes), images=(image("web"), image("api"), there), local_images=(HERE,)
    )
    facts = replace(facts, missing=found(facts, Local(local_image("sha256:here", THERE, "a"))))
    plan = plan_of(facts)
    assert [(s.method, s.image) for s in plan.services if s.service == "web"] == [(Method.REUSE, "sha256:here")]
    assert plan.to_send == (ToSend("web", 1, 2, 2 * MB),)


def test_of_one_that_a_flag_takes_nothing_is_left_out() -> None:
    here = replace(HERE, method=Method.QUICK, inputs="inputs-web")
    facts = first_facts(local_images=(here,), image_refs=live_facts().server.image_refs)
    facts = replace(facts, missing=found(facts, Local(local_image("sha256:here", "a", "b"))))
    assert plan_of(facts).to_send[1] == ToSend("web"), "a first build is clean"
    (web,) = (one for one in plan_of(facts, method=Method.REUSE).to_send if one.service == "web")
    assert web == ToSend("web", 2, 2, 3 * MB)


def test_of_one_that_the_server_has_nothing_is_asked() -> None:
    """Nor of one that may not be taken."""
    local = Local(local_image("sha256:here", "a"))
    assert found(live_facts(local_images=(replace(HERE, inputs="inputs-web"),)), local) == ()
    stale = StaleBuild("web", "inputs-web-2", HERE.diff_ids)
    assert found(live_facts(edited("web", "page.tsx"), local_images=(HERE,), stale=(stale,)), local) == ()
    assert local.asked == []
