"""The proxy as the stages use it: each change of it is a step of the journal.

Read `proxy/edge.py` for what each call does. A release's way to its visitors: its containers join the proxy's network
(`aliases`), its routes stand beside those of the kept releases (`prepare`), the switch file names it (`switch`), and
the proxy owns its ports (`listen`).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace

from allfast.agent.protocol import Kind
from allfast.errors import AllfastError
from allfast.images.local_engine import LocalEngine
from allfast.model.release import Assets, Release, ReleaseState
from allfast.model.routing import Fragment, RouteSet, alias, digest_of, release_of, switch_content
from allfast.model.server import Container
from allfast.pipeline import foreign_images, interrupts
from allfast.pipeline.context import Context
from allfast.pipeline.run import waiting
from allfast.planning.to_send import THE_PROXY
from allfast.proxy.caddy import published
from allfast.proxy.canary import asking_for, canary_content, canary_line
from allfast.proxy.change import is_as_composed
from allfast.proxy.edge import NETWORK, Edge
from allfast.proxy.rules import KEY
from allfast.remote.failures import AgentRefusal
from allfast.remote.proxy import ProxyState


def of(context: Context) -> Edge:
    """The server's proxy."""
    return Edge(context.server, context.project.deployment, context.project.config.toml.proxy.image)


def aliases(context: Context, release: Release) -> dict[str, tuple[str, str]]:
    """Service -> network and name by which the proxy finds its containers; makes the network."""
    if release.routes.services and NETWORK not in {n["Name"] for n in context.server.engine.get("/networks")}:
        with context.step("proxy network"):
            of(context).make_network()
    content = switch_content(release.id, release.routes)
    return {name: (NETWORK, alias(name, content, context.project.deployment)) for name in release.routes.services}


def prepare(context: Context, release: Release, live: Release | None = None) -> None:
    """Have the release's routes in the proxy's configuration, guarded: they count from the switch on.

    Those of `live` stay the newest: the ports that the proxy owns are theirs.
    """
    edge = of(context)
    state = edge.look()
    part = part_with(context, state, release.routes)
    if live is not None:
        part = part.adding(live.routes, frozenset({release.routes.digest}))
    if state.part(part.deployment) != part or is_as_composed(state) is False:
        with context.step("proxy routes", release=release.id):
            edge.apply(part, waiting(context), certificate=context.certificate)


def keep_assets(context: Context, release: Release) -> None:
    """Keep the files that the release's pages load by name, for the time when it is not live any more."""
    wanted = [(service, service.assets) for service in release.services if service.assets is not None]
    there = context.engine_of(release).containers() if wanted else ()
    for service, assets in wanted:
        container = next((one for one in there if one.service == service.name), None)
        if container is not None:
            with context.step("keep assets", service=service.name, release=release.id):
                _keep(context, release, service.name, container.id, assets)


def _keep(context: Context, release: Release, service: str, container: str, assets: Assets) -> None:
    try:
        context.server.proxy.keep_assets(release.id, container, assets.path, assets.url)
    except AgentRefusal as error:
        if error.kind != Kind.NOT_FOUND:
            raise
        hint = f"correct [services.{service}] assets in allfast.toml, then deploy again"
        raise AllfastError(f"{service}: its container has no {assets.path}, or is gone", hint=hint) from error


def switch(context: Context, release: Release) -> None:
    """Name the release in the switch file: from now on the proxy leads to it."""
    if lead_to(context, switch_content(release.id, release.routes)):
        context.to_switch = time.monotonic() - context.locked


def led_to(context: Context) -> str:
    """What the switch file holds (model.routing.switch_content), "" without one, whether the proxy runs or not."""
    return of(context).look().live.get(context.project.deployment, "")


def lead_to(context: Context, content: str) -> bool:
    """Have the switch file hold this; whether that was a change."""
    if led_to(context) == content:
        return False
    with context.step("switch", release=release_of(content)):
        of(context).switch(content)
    return True


def share(context: Context, canary: Release | None) -> bool:
    """Give a canary its share of the visitors (`Release.canary`), or nobody any more; whether that was a change."""
    line = canary_line(canary.canary, switch_content(canary.id, canary.routes)) if canary is not None else None
    if of(context).look().canaries.get(context.project.deployment) == line:
        return False
    release, percent = (canary.id, canary.canary) if canary is not None else ("", 0)
    with context.step("canary", release=release, share=percent):
        of(context).canary(line)
    return True


def side(context: Context, release: Release) -> dict[str, str]:
    """The headers of a request that this release must answer, whatever a canary's share is, and also while closed."""
    deployment, state = context.project.deployment, of(context).look()
    context.redactor.add({state.key} - {""})
    opened = {KEY: state.key} if state.key else {}
    content = canary_content(state.canaries.get(deployment, ""))
    if not content:
        return opened
    return {**opened, **asking_for("canary" if release_of(content) == release.id else "live", deployment, content)}


def listen(context: Context, release: Release) -> None:
    """Have the proxy own the release's ports; containers of the deployment that hold one stop for it."""
    edge = of(context)
    state = edge.look()
    change = edge.needed(state, part_with(context, state, release.routes))
    if change.kind == "none":
        return
    if change.kind != "start":
        with context.step("proxy image"):
            image = context.project.config.toml.proxy.image
            foreign_images.bring(context, image, THE_PROXY, LocalEngine.of_shell(), context.server.facts().platform)
    holders = holders_of(context, [port for _, port in change.ports], release.id)
    with context.step("proxy", change=change.kind, reasons=list(change.reasons), apps=list(change.apps)):
        started = state.container
        container = started.id if change.kind == "start" and started else edge.create(change.ports)
        context.engine.stop(holders)
        edge.serve(container)


def give_up(context: Context, ports: Sequence[int]) -> None:
    """Have the proxy let go of ports that containers are to publish themselves from now on."""
    edge = of(context)
    container = edge.look().container
    held = sorted({port for _, port in container.ports} & set(ports)) if container is not None else []
    if container is not None and held:
        with context.step("proxy", change="recreate", reasons=[f"port {port} is given up" for port in held], apps=[]):
            edge.serve(edge.create([(host, port) for host, port in container.ports if port not in held]))


def serves(context: Context, release: Release) -> bool:
    """Whether visitors get this release: routes, switch and ports are as they should be."""
    edge = of(context)
    state = edge.look()
    part = part_with(context, state, release.routes)
    led = state.live.get(part.deployment) == switch_content(release.id, release.routes)
    loaded = state.part(part.deployment) == part and is_as_composed(state) is not False
    return led and loaded and edge.needed(state, part).kind == "none"


def serving(context: Context) -> str:
    """The id of the release that the proxy leads to, "" where it leads to none."""
    return serving_in(context, of(context).look())


def serving_in(context: Context, state: ProxyState) -> str:
    """As `serving`, from a look."""
    running = state.container is not None and state.container.running
    return release_of(state.live.get(context.project.deployment, "")) if running else ""


def given(context: Context) -> frozenset[str]:
    """The ids of all releases that visitors get: the one that the proxy leads to, and one that has a share."""
    state = of(context).look()
    canary = release_of(canary_content(state.canaries.get(context.project.deployment, "")))
    return frozenset({serving_in(context, state), canary} - {""})


def is_closed(context: Context) -> bool:
    """Whether visitors get the page of `close`."""
    return context.project.deployment in of(context).look().closed


def key_of_closed(context: Context) -> str:
    """The key of who may in while visitors get the page, "" where they do not."""
    state = of(context).look()
    return state.key if context.project.deployment in state.closed else ""


def close(context: Context, page: str, token: str) -> None:
    """Give visitors a page (HTML) instead of the application, but those who bear the key `token`."""
    edge = of(context)
    part = edge.look().part(context.project.deployment)
    with context.step("close"):
        if part is not None:
            edge.apply(part, waiting(context))  # a configuration of an older allfast knows no page
        _cannot_be_interrupted(context)
        edge.close(page, token)


def open_again(context: Context) -> None:
    """End what `close` began."""
    with context.step("open"):
        _cannot_be_interrupted(context)
        of(context).open()


def _cannot_be_interrupted(context: Context) -> None:
    """From here on, for what visitors get is told in the end."""
    interrupts.no_more(context.warn, "visitors are being switched: a moment")


def leave(context: Context) -> None:
    """Take the deployment out of the proxy, and give up the ports that only it needed."""
    edge = of(context)
    state = edge.look()
    deployment = context.project.deployment
    if state.part(deployment) is None and deployment not in state.live:
        return
    with context.step("leave proxy"):
        edge.remove(waiting(context))
        others = [part for part in state.parts if part.deployment != deployment]
        if others:
            edge.serve(edge.create([(one.host_ip, one.port) for one in published(others)]))
            return
        for container in state.containers:
            context.server.engine.delete(f"/containers/{container.id}", force=True, v=True)


def part_with(context: Context, state: ProxyState, routes: RouteSet) -> Fragment:
    """The deployment's part with these routes as the newest, and those of the other releases that are kept."""
    deployment = context.project.deployment
    keep = kept_routes(context.releases(), state.live.get(deployment, ""))
    part = (state.part(deployment) or Fragment(deployment, ())).adding(routes, keep)
    return part if context.certificate is None else replace(part, certificate=context.certificate.digest)


def kept_routes(releases: Iterable[tuple[Release, ReleaseState]], content: str) -> frozenset[str]:
    """The digests of the routes that are kept: those of releases that serve, or did.

    Where the ledger has no live release also those of the switch file's `content`: it was lost, and visitors have them.
    """
    served = {ReleaseState.LIVE, ReleaseState.CANARY, ReleaseState.RETIRED}
    known = tuple(releases)
    lost = all(standing is not ReleaseState.LIVE for _, standing in known)
    found = {kept.routes.digest for kept, standing in known if standing in served}
    return frozenset(found | {digest_of(content)} if lost else found)


def holders_of(context: Context, ports: list[int], serving: str = "") -> list[Container]:
    """Containers of the deployment that publish one of the ports, but for those of the release that is to serve."""
    ends = tuple(f":{port}->" for port in ports)
    others = [c for c in context.server.containers() if not c.release or c.release != serving]
    return [c for c in others if any(end in shown for end in ends for shown in c.ports)]
