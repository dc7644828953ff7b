"""Make the server agree with the release that serves, where releases are beside each other.

What a deploy leaves to tidy, what a failed one has to undo, and what a dead one left are the same work.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import partial

from allfast.agent.labels import PROJECT
from allfast.model.release import RELEASE_ID, Release, ReleaseState
from allfast.model.server import Container
from allfast.model.service import Kind
from allfast.pipeline import beside, canary_share, edge, edge_look, rollout
from allfast.pipeline.context import Context
from allfast.pipeline.rollout import Prepared


def converge(context: Context, serving: Prepared) -> tuple[str, ...]:
    """Make the server agree with `serving`, the release that visitors should get; what was done, in words.

    Its containers run, with their own restart policies and names; the proxy leads to it; a canary has its share and
    what its visitors need; warm releases keep what visitors may still use of them; all other containers of release
    services are gone.

    What visitors need comes first: a worker that does not come up is told at the end, when they have the release.

    Raises:
        RolloutError: the release, or a worker of it, does not come up.
    """
    done = []
    broken = beside.broken(context, serving.release)
    workers = [name for name in broken if name in beside.workers(serving.release)]
    beside.start_again(context, serving, [name for name in broken if name not in workers])
    if not edge.serves(context, serving.release):
        beside.serve(context, serving)
        done.append(f"the proxy leads to {serving.release.id}")
    if beside.set_policies(context, serving):
        done.append(f"{serving.release.id} comes back after a reboot")
    done += canary_share.tend(context, serving.release)
    done += _retire_others(context, serving.release)
    _set_names(context, serving)
    asleep = beside.asleep(context, serving.release)
    if asleep is None:
        beside.start_again(context, serving, workers)
        beside.set_policies(context, serving)
    else:
        beside.wake(context, serving.release, asleep)
    return (*([f"{serving.release.id} runs again ({', '.join(broken)})"] if broken else []), *done)


def differences(context: Context, serving: Release) -> list[str]:
    """What `converge` would mend besides containers that do not run as recorded, in words."""
    found = [] if edge.serves(context, serving) else [f"proxy: {edge_look.trouble(context, serving)}"]
    retired = [release for release, state in context.releases() if state is ReleaseState.RETIRED]
    known = {release.id for release in retired if is_warm(context, release)} | {serving.id}
    canary = context.canary()
    if canary is not None:
        known.add(canary.id)
        broken = canary_share.trouble(context, rollout.stored(context, canary.id))
        found += [f"{name} of the canary does not run as recorded" for name in broken]
    found += filter(None, [edge_look.canary_trouble(context, canary)])
    containers = context.server.containers()
    found += [f"{name} has containers or networks" for name in sorted(at_hand(context) - known)]
    return [*found, *(f"{c.name} is in the base project" for c in _left(context, serving, containers))]


def at_hand(context: Context) -> set[str]:
    """The ids of all releases that have a container or, where one has died before it made any, a network."""
    networks = context.server.engine.get("/networks", filters={"label": [PROJECT]})
    project = re.compile(f"{re.escape(context.project.deployment)}-({RELEASE_ID.pattern})")
    made = (project.fullmatch(network["Labels"][PROJECT]) for network in networks)
    return {c.release for c in context.server.containers() if c.release} | {found[1] for found in made if found}


def _set_names(context: Context, serving: Prepared) -> None:
    """Give the live release's containers the Compose file's fixed names: `docker logs chat-api` goes on working."""
    wanted = dict(serving.project.container_names)
    there = context.server.containers() if wanted else ()
    for container in there:
        name = wanted.get(container.service)
        if name is None or container.release != serving.release.id or container.name == name:
            continue
        with context.step("name container", container=name):
            _free(context, name, there)
            context.engine.rename(container, name)


def give_up_names(context: Context, to: Prepared) -> None:
    """Free the fixed names of a release in the base project, which the containers of one beside have."""
    there = [one for one in context.server.containers() if one.release]
    for _, name in to.project.container_names:
        if any(one.name == name for one in there):
            with context.step("name container", container=name):
                _free(context, name, there)


def _free(context: Context, name: str, containers: Sequence[Container]) -> None:
    for holder in containers:
        if holder.name == name:
            context.engine.rename(holder, f"{name}-{holder.release or 'before'}")


def _retire_others(context: Context, serving: Release) -> list[str]:
    """Keep warm what is; remove the containers of all other releases, and those in the base project."""
    done = []
    containers = context.server.containers()
    known = {release.id: release for release, state in context.releases() if state is ReleaseState.RETIRED}
    canary = context.canary()
    for name in sorted(at_hand(context) - {serving.id} - {canary.id if canary is not None else ""}):
        mine = [c for c in containers if c.release == name]
        release = known.get(name)
        if release is not None and is_warm(context, release):
            done += [f"{name} retires"] if _cool(context, release, mine) else []
            continue
        with context.step("remove release", release=name):
            context.server.remove_release(name)
        done.append(f"the containers of {name} are removed")
    left = sorted({c.service for c in _left(context, serving, containers)})
    if left:
        with context.step("remove services", services=left):
            context.engine.remove(left)
        done.append(f"what ran of {', '.join(left)} in the base project is removed")
    return done


def _left(context: Context, serving: Release, containers: Sequence[Container]) -> list[Container]:
    """What is in the base project of services that a release had, this one or another: all but data services."""
    known = [release for release, _ in context.releases()] + [serving]
    data = {one.name for release in known for one in release.data}
    services = {s.name for release in known for s in release.services if s.kind is Kind.RELEASE} - data
    return [c for c in containers if not c.release and c.settings and c.service in services]


def is_warm(context: Context, release: Release) -> bool:
    """Whether a retired release could serve again at once."""
    return release.retired + _keep_warm(context) > context.now()


def _keep_warm(context: Context) -> float:
    """Seconds for which a retired release could serve again at once."""
    return context.project.config.toml.keep_warm.total_seconds()


def _cool(context: Context, release: Release, containers: Sequence[Container]) -> bool:
    """A warm release: its workers stop, and nothing of it comes back by itself. Whether there was something to do."""
    workers = beside.workers(release)
    later = partial(context.server.retire_later, _keep_warm(context))
    return bool(beside.rest(context, "retire release", release, containers, workers, later))


def unrecorded(context: Context) -> set[str]:
    """The releases at hand that a ledger without a live release does not know: it was lost, and they may well serve."""
    known = context.releases()
    if any(state is ReleaseState.LIVE for _, state in known):
        return set()
    return at_hand(context) - {release.id for release, _ in known}


def remove_all(context: Context) -> None:
    """Remove the containers and networks of all releases that are projects of their own."""
    remove(context, at_hand(context))


def remove(context: Context, releases: Iterable[str]) -> None:
    """Remove the containers and networks of these releases, by their ids."""
    for name in sorted(releases):
        with context.step("remove release", release=name):
            context.server.remove_release(name)
