"""What must become of the proxy's container, and who notices; and which apps claim the same requests (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from allfast.errors import RefusedError
from allfast.model.routing import Fragment, Listen, RouteSet, digest_of
from allfast.proxy.caddy import compose, published
from allfast.remote.proxy import ProxyContainer, ProxyState


@dataclass(frozen=True, slots=True)
class Change:
    """What to do with the container, and why. `apps` are the other deployments that a re-creation interrupts.

    none: it serves as it is · start: it is there and does not run · create: there is none · recreate: it must be
    replaced by another one, during which nothing is served for about a second.
    """

    kind: Literal["none", "start", "create", "recreate"]
    reasons: tuple[str, ...] = ()
    ports: tuple[tuple[str, int], ...] = ()  # to publish: host address ("" for every one), port
    apps: tuple[str, ...] = ()


def parts_with(state: ProxyState, part: Fragment) -> tuple[Fragment, ...]:
    """The parts of all apps, with this one in place of its deployment's former one."""
    return (*(one for one in state.parts if one.deployment != part.deployment), part)


def needed(state: ProxyState, part: Fragment, image: str) -> Change:
    """What the container needs for `part` beside the other apps' parts, made of `image`.

    Ports that nobody needs any more are no reason by themselves. Raises `UsageError` where two apps want one port in
    two ways.
    """
    parts = parts_with(state, part)
    ports = tuple((listen.host_ip, listen.port) for listen in published(parts))
    found = state.container
    if found is None:
        return Change("create", ports=ports)
    reasons = tuple(_reasons(found, ports, image))
    if found.running and state.running is None:
        reasons = ("it runs and does not answer", *reasons)
    others = tuple(sorted(one.deployment for one in parts if one.deployment != part.deployment))
    if reasons:
        return Change("recreate", reasons, ports, others if found.running else ())
    if not found.running:
        return Change("start", (f"it does not run (exit code {found.exit_code})",), ports)
    return Change("none", ports=ports)


def _reasons(found: ProxyContainer, ports: Sequence[tuple[str, int]], image: str) -> Iterable[str]:
    if found.image != image:
        yield f"its image is {found.image} and shall be {image}"
    there = {(_address(host), port) for host, port in found.ports}
    taken = {port for _, port in found.ports}
    for host, port in ports:
        if (_address(host), port) not in there:
            where = f" at {host or 'every address'}" if host or port in taken else ""
            yield f"port {port} is to be published{where}"


def _address(host: str) -> str:
    return "" if host in ("0.0.0.0", "::") else host  # noqa: S104 - compared, not listened on


def check_claims(state: ProxyState, part: Fragment) -> None:
    """Raise `RefusedError` where the newest routes of `part` claim requests that another app's live routes answer."""
    wanted = _claims(part.sets[-1]) if part.sets else {}
    for other in state.parts:
        live = other.set(digest_of(state.live.get(other.deployment, "")))
        if other.deployment == part.deployment or live is None:
            continue
        for claim in sorted(wanted.keys() & _claims(live).keys()):
            port, host, path = claim
            which = f"requests to {host or 'any host'}, path {path}, at port {port}"
            raise RefusedError(
                f"{which} are {other.deployment}'s on this server",
                hint=f"give {part.deployment} a host, a path or a port of its own",
            )


def _claims(routes: RouteSet) -> dict[tuple[int, str, str], Listen]:
    return {one.claim: one.listen for one in routes.routes}


def is_as_composed(state: ProxyState) -> bool | None:
    """Whether the configuration in use is the one that all apps' parts make; None where no proxy answers."""
    return None if state.running is None else state.running == compose(state.parts)
