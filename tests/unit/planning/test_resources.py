"""Networks and volumes that are there as they were made once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from allfast.config.resources import resources
from allfast.model.server import Resource
from tests.unit.planning.facts_factory import live_facts, plan_of

RANGE = {"config": [{"subnet": "10.9.0.0/24"}]}
TOP: dict[str, dict[str, Any]] = {
    "networks": {
        "default": {
            "name": "chat_default",
            "driver_opts": {"mtu": 1400},
            "ipam": RANGE,
        },
        "far": {"name": "far", "external": True},
    },
    "volumes": {"files": {"driver_opts": {"o": "password=a$$b"}}, "plain": None},
}
NETWORK, FILES, PLAIN = resources(TOP, "chat")
MADE = replace(NETWORK, driver="bridge", options=(("mtu", "1400"), ("of-the-engine", "1")))
LOCAL = replace(FILES, driver="local")


def test_what_compose_makes_is_wanted() -> None:
    assert Resource("network", "chat_default", "", (("mtu", "1400"),), subnets=("10.9.0.0/24",)) == NETWORK
    assert Resource("volume", "chat_files", "", (("o", "password=a$b"),)) == FILES
    assert Resource("volume", "chat_plain", "") == PLAIN


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ((), ""),
        ((MADE, LOCAL), ""),
        ((replace(MADE, options=(("mtu", "1500"),)),), "network chat_default stays as it was made: driver_opts.mtu of"),
        ((replace(MADE, internal=True, subnets=("10.8.0.0/24",)),), "as it was made: internal, ipam of"),
        ((replace(LOCAL, options=(("o", "password=old"), ("type", "cifs"))),), "driver_opts.o, driver_opts.type of"),
        (
            (replace(PLAIN, driver="nfs", options=(("o", "x"),)),),
            "chat_plain stays as it was made: driver_opts.o of",
        ),
    ],
)
def test_other_settings_are_named_and_no_values(there: tuple[Resource, ...], said: str) -> None:
    found = plan_of(live_facts(resources=(NETWORK, FILES, PLAIN)), force="").findings
    assert not found, "nothing is there yet"
    facts = live_facts(resources=(NETWORK, FILES, PLAIN))
    found = plan_of(replace(facts, server=replace(facts.server, resources=there))).findings
    assert [(f.rule, f.level) for f in found] == [("resource", "warn")] * bool(said)
    assert all(said in f.text and "password" not in f.text and f.hint for f in found)
