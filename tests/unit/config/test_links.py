"""Links of the commit that lead out of it: what a build, the server or Compose would get is not the commit's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from allfast.config.build_section import build
from allfast.config.storage import Ground, Storage
from allfast.errors import ConfigError

Ask = Callable[[Ground], object]


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    """A checkout with links out of it (`home`, `key`, and `own`, which Git ignores) and within it (`lib`)."""
    home, checkout = tmp_path / "home", tmp_path / "checkout"
    for folder in (home / ".ssh", checkout / "web"):
        folder.mkdir(parents=True)
    (home / ".ssh/key").write_text("k")
    (home / "Dockerfile").write_text("FROM scratch")
    (checkout / "web/Dockerfile").write_text("FROM scratch")
    (checkout / "web/key").write_text("k")
    (checkout / "home").symlink_to(home)
    (checkout / "key").symlink_to("../home/.ssh/key")
    (checkout / "own").symlink_to(home)
    (checkout / "lib").symlink_to("web")
    return Ground(checkout, checkout, checkout, "/server", {}, "", (checkout / "own",))


def built(section: dict[str, Any], secret: str = "web/key") -> Ask:
    """A build with these paths of the checkout."""

    def ask(ground: Ground) -> object:
        here = {key: str(ground.checkout / value) for key, value in section.items() if key == "context"}
        more = {key: {"x": str(ground.checkout / value)} for key, value in section.items() if key.endswith("contexts")}
        top = {"secrets": {"s": {"file": str(ground.checkout / secret)}}}
        return build("web", {"build": {**section, **here, **more, "secrets": [{"source": "s"}]}}, top, ground)

    return ask


def mounted(source: str) -> Ask:
    """A bind mount."""
    return lambda ground: Storage(ground).binds(
        "web", {"volumes": [{"type": "bind", "source": str(ground.checkout / source), "target": "/x"}]}
    )


def handed(source: str) -> Ask:
    """A Compose secret."""
    return lambda ground: Storage(ground).handed("secret", "s", {"name": "s", "file": str(ground.checkout / source)})


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (built({"context": "home"}), "services.web.build.context: home is a link"),
        (built({"context": "home/.ssh"}), "services.web.build.context: home/.ssh is a link"),
        (built({"context": ".", "dockerfile": "home/Dockerfile"}), "services.web.build.dockerfile: home/Dockerfile is"),
        (
            built({"context": "web", "additional_contexts": "home"}),
            "services.web.build.additional_contexts.x: home is a link",
        ),
        (built({"context": "web"}, "key"), "secrets.s: key is a link"),
        (mounted("home/.ssh"), "services.web.volumes: a folder of home/.ssh is a link"),
        (handed("home/.ssh/key"), "secrets.s: a folder of home/.ssh/key is a link"),
    ],
)
def test_a_link_of_the_commit_does_not_lead_out_of_it(ground: Ground, ask: Ask, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        ask(ground)
    assert str(raised.value).startswith(said)
    assert "leads out of the repository" in str(raised.value)
    assert "commit the files themselves" in raised.value.hint


@pytest.mark.parametrize(
    "ask",
    [
        built({"context": "lib"}, "lib/key"),
        built({"context": "own", "additional_contexts": "lib"}, "own/.ssh/key"),
        mounted("."),
        mounted("home"),
        mounted("lib/key"),
        handed("lib/key"),
        handed("own/.ssh/key"),
    ],
)
def test_other_links_are_followed_or_sent_as_links(ground: Ground, ask: Ask) -> None:
    assert ask(ground)
