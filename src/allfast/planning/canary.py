"""What a canary needs, and what stands in the way while one runs (pure)."""

from __future__ import annotations

from collections.abc import Iterator

from allfast.config.project import why_alone, why_late
from allfast.model.facts import Facts, ServiceFacts, Wishes
from allfast.model.plan import Finding
from allfast.model.release import Release, Strategy
from allfast.model.service import Kind

RULE = "canary"
_SIDE_BY_SIDE = 'set strategy = "side-by-side" for this target and deploy once without --canary'


def findings(facts: Facts, wishes: Wishes, mends: tuple[str, ...]) -> tuple[Finding, ...]:
    """What refuses a deploy because of a canary that runs or is asked for; `mends` is what is not as recorded."""
    if wishes.build_only:
        return ()
    canary = facts.server.canary
    if canary is not None:
        return () if wishes.canary and is_same(facts, canary) else (_in_the_way(facts, canary),)
    if not wishes.canary:
        return ()
    return tuple(_why_not(facts, mends)) + tuple(_hosts(facts))


def is_same(facts: Facts, canary: Release) -> bool:
    """Whether the canary is what a deploy of these facts would make: then only its share is asked for."""
    if (canary.commit.sha, canary.commit.dirty) != (facts.commit.sha, facts.commit.dirty):
        return False
    items = {item.service.name: item for item in facts.of_kind(Kind.RELEASE)}
    recorded = {one.name: one for one in canary.services if one.kind is Kind.RELEASE}
    return items.keys() == recorded.keys() and all(
        (one.settings, one.environment) == (items[name].service.settings, items[name].service.environment)
        for name, one in recorded.items()
    )


def waits(facts: Facts) -> tuple[str, ...]:
    """The services that start with the promotion alone, sorted: workers, and those that cannot run twice."""
    workers = {item.service.name for item in facts.of_kind(Kind.RELEASE) if _is_worker(facts, item)}
    return tuple(sorted(workers | _late(facts).keys()))


def _in_the_way(facts: Facts, canary: Release) -> Finding:
    what = "another commit" if canary.commit.sha != facts.commit.sha else "this commit"
    if canary.commit.sha == facts.commit.sha and not is_same(facts, canary):
        what = "this commit with other settings"
    text = f"{canary.id} ({what}) runs as a canary: {canary.canary} % of the visitors get it"
    return Finding(RULE, "refuse", text, "`allfast promote` or `allfast rollback` first", forceable=False)


def _why_not(facts: Facts, mends: tuple[str, ...]) -> Iterator[Finding]:
    live = facts.server.live
    if facts.strategy is not Strategy.SIDE_BY_SIDE:
        yield _refused('a canary needs the strategy "side-by-side"', _SIDE_BY_SIDE)
        return
    if live is None:
        yield _refused("nothing is live yet: there are no visitors to share", "deploy without --canary first")
        return
    if live.strategy is not Strategy.SIDE_BY_SIDE:
        yield _refused(f"the live release {live.id} is not behind the proxy", "deploy once without --canary")
        return
    if not facts.routes.routes or not live.routes.routes:
        text = "no route leads through the proxy: it cannot share the visitors"
        yield _refused(text, "publish an HTTP port, or name a `route` in allfast.toml; else deploy without --canary")
        return
    ports = {listen.port for listen in facts.routes.listens} - {listen.port for listen in live.routes.listens}
    if ports:
        names = ", ".join(str(port) for port in sorted(ports))
        yield _refused(f"port {names} would be new at the proxy, which the live release has no answer for", _WITHOUT)
    if mends and facts.server.unfinished is None:  # what a dead run left is put right first, and then decided again
        text = f"the live release is not as recorded: {'; '.join(mends)}"
        yield _refused(text, "run `allfast recover`, or deploy without --canary")
    for name, why in _late(facts).items():
        item = facts.get(name)
        if item is not None and not _is_worker(facts, item):
            text = f"{name} cannot run beside its predecessor ({why}), and visitors of a canary would need it"
            yield _refused(text, _WITHOUT)


_WITHOUT = "deploy without --canary"


def _hosts(facts: Facts) -> Iterator[Finding]:
    """A browser keeps cookies for each host by itself."""
    hosts = sorted({route.host for route in facts.routes.routes if route.host})
    if len(hosts) > 1:
        text = f"browsers keep the canary cookie per host ({', '.join(hosts)}): a page of one release may call the"
        text += " other release on another host"
        yield Finding(RULE, "warn", text, "see that both releases understand each other, or give them one host")


def _refused(text: str, hint: str) -> Finding:
    return Finding(RULE, "refuse", text, hint, forceable=False)


def _late(facts: Facts) -> dict[str, str]:
    """The services that cannot run beside their predecessors, or need one that cannot; why."""
    items = facts.of_kind(Kind.RELEASE)
    alone = {
        item.service.name: why
        for item in items
        if (why := why_alone(item.service.name, item.service.definition, facts.routes, shared=item.shared))
    }
    return why_late(alone, {item.service.name: [name for name, _ in item.service.depends_on] for item in items})


def _is_worker(facts: Facts, item: ServiceFacts) -> bool:
    return not item.service.dialled and item.service.name not in facts.routes.services
