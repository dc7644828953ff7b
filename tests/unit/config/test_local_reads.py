"""What a document may not have Compose do on the machine that starts it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from allfast.config.local_reads import guard_stored, local_reads, refuse_local_reads
from allfast.errors import AttentionError, ConfigError

HARMLESS = {
    "image": "x",
    "environment": {"env_file": "/etc/passwd"},
    "labels": {"build": "."},
    "volumes": [{"type": "bind", "source": "/etc", "target": "/etc"}],
    "security_opt": ["seccomp=unconfined", "seccomp:builtin", "label:disable", "no-new-privileges:true"],
    "env_file": None,
    "develop": None,
}
LOCAL = [
    ({"env_file": [{"path": "/root/.ssh/id_ed25519"}]}, "env_file"),
    ({"env_file": "/root/.netrc"}, "env_file"),
    ({"label_file": ["/root/.netrc"]}, "label_file"),
    ({"extends": {"file": "/root/compose.yaml", "service": "x"}}, "extends"),
    ({"build": "/root"}, "build"),
    ({"provider": {"type": "sh"}}, "provider"),
    ({"models": {"llm": None}}, "models"),
    ({"use_api_socket": True}, "use_api_socket"),
    ({"security_opt": ["label:disable", "seccomp=/root/.docker/config.json"]}, "security_opt[1]"),
    ({"security_opt": ["seccomp:./profile.json"]}, "security_opt[0]"),
    ({"security_opt": ["seccomp=x:y.json"]}, "security_opt[0]"),
]


@pytest.mark.parametrize(("definition", "place"), LOCAL)
def test_what_needs_this_machine_is_named(definition: dict[str, Any], place: str) -> None:
    services = {"good": HARMLESS, "web": {**HARMLESS, **definition}}
    assert list(local_reads({"services": services})) == [f"services.web.{place}"]
    with pytest.raises(ConfigError, match="makes Compose read or run something of this machine") as refused:
        refuse_local_reads("web", definition)
    assert str(refused.value).startswith(f"services.web.{place}: ")
    assert refused.value.hint
    with pytest.raises(AttentionError, match="was changed by somebody else"):
        guard_stored("R", json.dumps({"services": services}))


def test_a_profile_is_named_and_can_be_taken_out() -> None:
    with pytest.raises(ConfigError) as refused:
        refuse_local_reads("web", {"security_opt": ["label:disable", "seccomp:./x.json"]})
    assert str(refused.value).startswith('services.web.security_opt[1]: "seccomp:./x.json" makes Compose read')
    assert refused.value.hint is not None
    assert refused.value.hint.startswith("take it out")
    assert "daemon.json" in refused.value.hint


@pytest.mark.parametrize("top", ["include", "models"])
def test_the_parts_beside_the_services(top: str) -> None:
    assert list(local_reads({top: ["/root/compose.yaml"], "services": {"good": HARMLESS}})) == [top]


def test_what_containers_have_on_the_server_is_theirs() -> None:
    refuse_local_reads("good", HARMLESS)
    guard_stored("R", json.dumps({"name": "x", "services": {"good": HARMLESS}, "secrets": {"s": {"file": "/var/x"}}}))


@pytest.mark.parametrize("text", ["", "[]", '{"services": []}', '{"services": {"web": 1}}', "{"])
def test_what_is_no_document_is_not_used(text: str) -> None:
    with pytest.raises(AttentionError, match=r"was changed by somebody else: it (is none|has no services)"):
        guard_stored("R", text)
