"""All that preflight says of a deploy, and what `--force` makes of it (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from allfast.model.facts import Facts, Wishes
from allfast.model.plan import DataPlan, Finding
from allfast.model.service import Method
from allfast.planning import canary, databases, preflight, resources, routes, side_by_side
from allfast.planning.methods import Choice


def of(
    facts: Facts, choices: Mapping[str, Choice], data: tuple[DataPlan, ...], wishes: Wishes, mends: tuple[str, ...]
) -> tuple[Finding, ...]:
    """What refuses this deploy and what a person should know; with `--force` what gives way does not refuse it.

    Args:
        choices: service -> how its image comes to be.
        mends: what is not as recorded.
    """
    found = (
        *facts.findings,
        *facts.proxy_refusals,
        *_no_image(facts, choices),
        *preflight.unrecorded(facts),
        *preflight.ports(facts),
        *side_by_side.own_ports(facts),
        *side_by_side.out_of_reach(facts),
        *preflight.names(facts),
        *preflight.version_ports(facts),
        *side_by_side.memory(facts),
        *side_by_side.alone(facts),
        *side_by_side.fixed_addresses(facts),
        *routes.findings(facts),
        *resources.findings(facts),
        *databases.findings(facts, data),
        *canary.findings(facts, wishes, mends),
    )
    if wishes.build_only:
        found = preflight.of_a_build(found)
    if not wishes.force:
        return found
    return tuple(replace(f, level="warn", forced=True) if f.level == "refuse" and f.forceable else f for f in found)


def unneeded(findings: tuple[Finding, ...], wishes: Wishes) -> tuple[str, ...]:
    """What a person should know whose reason the ledger does not keep."""
    forced = any(one.forced for one in findings)
    return () if forced or not wishes.force else ("--force overruled nothing: its reason is not recorded",)


def _no_image(facts: Facts, choices: Mapping[str, Choice]) -> list[Finding]:
    return [
        Finding(
            "reuse",
            "refuse",
            f"{name}: no usable image with the inputs of {facts.commit.short} is here or on the server",
            "deploy without --reuse (or build it with `allfast build` first)",
            forceable=False,
        )
        for name, choice in choices.items()
        if choice.method is Method.REUSE and choice.image is None
    ]
