"""The proxy as it is, in words: what a plan announces of it, and what `status` and `recover` find. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from allfast.errors import RefusedError, UsageError
from allfast.model.plan import Finding
from allfast.model.release import Release, Strategy
from allfast.model.routing import RouteSet, release_of, switch_content
from allfast.pipeline.context import Context
from allfast.pipeline.edge import holders_of, of, part_with, serving_in
from allfast.proxy.caddy import published
from allfast.proxy.canary import canary_content, canary_line
from allfast.proxy.change import Change, is_as_composed, needed
from allfast.remote.proxy import ProxyState
from allfast.text import moment


@dataclass(frozen=True, slots=True)
class Survey:
    """The proxy before a deploy, in words: what becomes of it, and how it differs from what the live release needs.

    `image` is the reference of the image that a container of it is to be made of, "" where none is made.
    """

    announced: tuple[str, ...] = ()
    trouble: str = ""
    refusals: tuple[Finding, ...] = ()
    image: str = ""


def survey(
    context: Context, strategy: Strategy, routes: RouteSet, direct: Sequence[int], live: Release | None
) -> Survey:
    """Look once: a person must know of each gap before a release with these routes takes over.

    Args:
        direct: ports of the server that the release's containers publish themselves.
    """
    beside = live is not None and live.strategy is Strategy.SIDE_BY_SIDE
    if strategy is not Strategy.SIDE_BY_SIDE and not beside:
        return Survey()
    state = of(context).look()
    trouble = _deviation(context, state, live) if live is not None and beside else ""
    if strategy is not Strategy.SIDE_BY_SIDE:
        gap = "proxy: it gives the application's ports back to its containers: a gap until they are healthy"
        return Survey((gap,), trouble)
    try:
        change = of(context).needed(state, part_with(context, state, routes))
    except (RefusedError, UsageError) as error:  # another application of the server has the routes or ports
        return Survey((), trouble, (Finding("route", "refuse", error.message, error.hint, forceable=False),))
    image = context.project.config.toml.proxy.image if change.kind in ("create", "recreate") else ""
    announced = _announced(context, state, change, direct)
    return Survey(announced, trouble, _taken(context, state, direct), image)


def _taken(context: Context, state: ProxyState, direct: Sequence[int]) -> tuple[Finding, ...]:
    others = [part for part in state.parts if part.deployment != context.project.deployment]
    users = {
        port: ", ".join(part.deployment for part in others if port in {one.port for one in published([part])})
        for port in sorted({one.port for one in published(others)} & set(direct))
    }
    hint = "choose another port"
    return tuple(
        Finding("port", "refuse", f"port {port} is already served by the proxy for {names}", hint, forceable=False)
        for port, names in users.items()
    )


def _announced(context: Context, state: ProxyState, change: Change, direct: Sequence[int]) -> tuple[str, ...]:
    certificate = _other_certificate(context, state)
    words = [f"proxy: {certificate}"] if certificate else []
    held = {port for _, port in state.container.ports} if state.container is not None else set()
    words += [
        f"proxy: it gives up port {port}, which a container is to publish itself: a gap of about a second"
        for port in sorted(held & set(direct))
    ]
    if change.kind == "none":
        return tuple(words)
    words += [f"proxy: {change.kind}" + (f" ({', '.join(change.reasons)})" if change.reasons else "")]
    if change.kind == "recreate":
        words.append("proxy: a gap of about a second" + (f", also for {', '.join(change.apps)}" * bool(change.apps)))
    if holders := holders_of(context, [port for _, port in change.ports]):
        names = ", ".join(sorted(one.name for one in holders))
        words.append(f"proxy: it takes the ports of {names}: a gap of some seconds, this once")
    return tuple(words)


@dataclass(frozen=True, slots=True)
class Seen:
    """What `status` tells of the proxy, from one look."""

    trouble: str  # how it differs from what the live release needs; what it really uses counts
    canary: str  # how it differs from what the canary should get
    serving: str  # the release that it leads to, "" for none
    closed: bool  # for maintenance


def seen(context: Context, live: Release | None, canary: Release | None) -> Seen:
    """Look once; there is trouble only where the live release is behind the proxy."""
    state = of(context).look()
    beside = live is not None and live.strategy is Strategy.SIDE_BY_SIDE
    trouble = _deviation(context, state, live) if live is not None and beside else ""
    of_canary = _canary_trouble(context, state, canary)
    return Seen(trouble, of_canary, serving_in(context, state), context.project.deployment in state.closed)


def _canary_trouble(context: Context, state: ProxyState, canary: Release | None) -> str:
    line = state.canaries.get(context.project.deployment, "")
    wanted = canary_line(canary.canary, switch_content(canary.id, canary.routes)) if canary is not None else ""
    if line == wanted:
        return ""
    return f"the proxy gives a share to {release_of(canary_content(line)) or 'no canary'}" + (
        f", not {canary.canary} % to {canary.id}" if canary is not None else ""
    )


def _other_certificate(context: Context, state: ProxyState) -> str:
    """What becomes of the certificate, "" where it stays."""
    wanted, part = context.certificate, state.part(context.project.deployment)
    if wanted is None or wanted.digest == (part.certificate if part is not None else ""):
        return ""
    if not wanted.digest:
        return "it gets its certificates by itself from now on"
    return f"another certificate, valid until {moment(wanted.expires)}"


def _deviation(context: Context, state: ProxyState, release: Release) -> str:
    content = state.live.get(context.project.deployment, "")
    if state.container is None or not state.container.running:
        return "it does not run"
    if content != switch_content(release.id, release.routes):
        return f"it leads to {release_of(content) or 'no release'}"
    if is_as_composed(state) is False:
        return "the configuration that it uses is not the one that it was given"
    part = state.part(context.project.deployment)
    if part is None or part.set(release.routes.digest) is None:
        return "it has no routes of the release"
    if certificate := _other_certificate(context, state):
        return f"it is to have {certificate}" if context.certificate and context.certificate.digest else certificate
    return ", ".join(needed(state, part, context.project.config.toml.proxy.image).reasons)


def trouble(context: Context, release: Release) -> str:
    """How the proxy differs from what this release needs, in words."""
    return _deviation(context, of(context).look(), release) or f"it has not all that {release.id} needs"


def canary_trouble(context: Context, canary: Release | None) -> str:
    """How the share that the proxy gives differs from what the canary should get, "" where it does not."""
    return _canary_trouble(context, of(context).look(), canary)
