"""Does all that is on the server agree? Asked of the engine, the files and the ledger, not of allfast."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from chaos.bed import Bed, Ledger

SERVICES = {"web", "api", "worker"}
WORKERS = {"worker"}
VOLUMES = {"data", "uploads"}

ADMIN = """
import http.client, socket
connection = http.client.HTTPConnection("localhost")
connection.sock = socket.socket(socket.AF_UNIX)
connection.sock.connect("/var/lib/allfast/_proxy/run/admin.sock")
connection.request("GET", "/config/")
print(connection.getresponse().read().decode())
"""


def complaints(bed: Bed, text: str, *, crashed: bool = False) -> list[str]:
    """What does not agree with: the release that says `text` serves, proven, and nothing else is under way.

    Args:
        crashed: the engine has ended since, and a warm release does not come back by itself.
    """
    ledger = bed.ledger()
    found = [*_served(bed, ledger, text), *_settled(bed, ledger)]
    retired = {id_ for id_, (state, _) in ledger.releases.items() if state == "retired"}
    containers = _inspected(bed)
    found += _containers(containers, ledger.live, retired, crashed)
    found += _networks(bed, {ledger.live, *(_release(one) for one in containers)} - {""})
    return [*found, *_images(bed, ledger), *_volumes(bed, containers), *_folders(bed, ledger), *_proxy(bed, ledger)]


def complaints_in_place(bed: Bed, text: str) -> list[str]:
    """As `complaints`, for strategy "recreate"."""
    ledger = bed.ledger()
    found = [*_recorded(bed, ledger, text), *_settled(bed, ledger)]
    containers = _inspected(bed)
    found += [f"{one['Name']} is in a project of its own" for one in containers if _release(one)]
    found += [f"container {one['Name']} does not run" for one in containers if not one["State"]["Running"]]
    if sorted(map(_service, containers)) != sorted({*SERVICES, "data"}):
        found.append(f"there are containers of {sorted(map(_service, containers))}")
    return [*found, *_networks(bed, set()), *_images(bed, ledger), *_volumes(bed, containers), *_folders(bed, ledger)]


def _served(bed: Bed, ledger: Ledger, text: str) -> Iterator[str]:
    yield from _recorded(bed, ledger, text)
    switched = bed.server.exec(["cat", f"/var/lib/allfast/_proxy/apps/{bed.name}/live"]).stdout
    if switched.partition(".")[0] != ledger.live:
        yield f"the switch names {switched}, the ledger {ledger.live}"


def _recorded(bed: Bed, ledger: Ledger, text: str) -> Iterator[str]:
    if bed.text() != text:
        yield f"visitors get {bed.text()} instead of {text}"
    if [state for state, _ in ledger.releases.values()].count("live") != 1:
        yield "not one live release in the ledger"
    elif not ledger.releases[ledger.live][1]["proven"]:
        yield f"{ledger.live} is not proven"


def _settled(bed: Bed, ledger: Ledger) -> Iterator[str]:
    if not bed.free():
        yield "the lock is held"
    yield from (
        f"run {number} ({kind} {release}) never ended" for number, kind, release, *rest in ledger.runs if not rest[1]
    )
    status = bed.status()
    yield from (f"status: {name}: {words}" for name, words in status["drift"].items())
    if status["unfinished"] or not status["live"]["proven"]:
        yield f"status: {status['unfinished'] or 'not proven'}"


def _inspected(bed: Bed) -> list[dict[str, Any]]:
    ids = bed.server.docker("ps", "--all", "--quiet", "--filter", f"label=allfast.deployment={bed.name}").stdout.split()
    ids += bed.server.docker(
        "ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={bed.name}"
    ).stdout.split()
    found: list[dict[str, Any]] = json.loads(bed.server.docker("inspect", *sorted(set(ids))).stdout)
    return found


def _release(container: dict[str, Any]) -> str:
    return str(container["Config"]["Labels"].get("allfast.release", ""))


def _service(container: dict[str, Any]) -> str:
    return str(container["Config"]["Labels"]["com.docker.compose.service"])


def _containers(containers: list[dict[str, Any]], live: str, warm: set[str], crashed: bool) -> Iterator[str]:
    for one in containers:
        release, service, runs = _release(one), _service(one), one["State"]["Running"]
        policy = one["HostConfig"]["RestartPolicy"]["Name"]
        where = f"container {one['Name']}"
        if not release and service != "data":
            yield f"{where} in the base project"
        elif release and release not in {live, *warm}:
            yield f"{where} of a release that is neither live nor warm"
        elif (policy == "unless-stopped") != (release in (live, "")):
            yield f"{where} has the restart policy {policy}"
        elif runs != (service not in WORKERS or release in (live, "")) and not (crashed and release in warm):
            yield f"{where} {'runs' if runs else 'does not run'}"
    there = sorted(_service(one) for one in containers if _release(one) == live)
    if there != sorted(SERVICES):
        yield f"the live release has containers of {there}"


def _networks(bed: Bed, releases: set[str]) -> Iterator[str]:
    listed = bed.server.docker("network", "ls", "--filter", "label=com.docker.compose.network", "--format", "{{.Name}}")
    for name in listed.stdout.split():
        if name.startswith(f"{bed.name}-") and not any(release in name for release in releases):
            yield f"network {name} of a release without containers"


def _images(bed: Bed, ledger: Ledger) -> Iterator[str]:
    listed = bed.server.docker("images", "--all", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}").stdout
    there = [line.split() for line in listed.splitlines()]
    for name, id_ in there:
        if name.startswith(f"{bed.name}/") and name.rpartition(":")[2] not in ledger.releases:
            yield f"image {name} of a release that is not kept"
        if name == "<none>:<none>":
            yield f"image {id_[:19]} without a name"
    needed = {s["image"]["engine_id"] for _, release in ledger.releases.values() for s in release["services"]}
    yield from (f"image {id_[:19]} is gone" for id_ in needed - {id_ for _, id_ in there})


def _volumes(bed: Bed, containers: list[dict[str, Any]]) -> Iterator[str]:
    """Named ones, and the anonymous ones of the containers that are there: those of others have gone with them."""
    there = set(bed.server.docker("volume", "ls", "--quiet").stdout.split())
    mounted = {mount["Name"] for one in containers for mount in one["Mounts"] if mount["Type"] == "volume"}
    if there != {f"{bed.name}_{name}" for name in VOLUMES} | mounted:
        yield f"the volumes are {sorted(there)}, and containers have {sorted(mounted)}"


def _folders(bed: Bed, ledger: Ledger) -> Iterator[str]:
    there = set(bed.server.exec(["ls", f"{bed.folder}/releases"]).stdout.split())
    if there != set(ledger.releases):
        yield f"release folders {sorted(there)}, the ledger has {sorted(ledger.releases)}"
    yield from (
        f"{id_} stays {state}" for id_, (state, _) in ledger.releases.items() if state not in ("live", "retired")
    )


def _proxy(bed: Bed, ledger: Ledger) -> Iterator[str]:
    names = bed.server.docker(
        "ps", "--all", "--filter", "label=allfast.proxy", "--format", "{{.Names}} {{.State}}"
    ).stdout
    if names.split() != ["allfast-proxy", "running"]:
        yield f"containers of the proxy: {names.split()}"
    written, running = (
        json.loads(bed.server.exec(words).stdout)
        for words in (["cat", "/var/lib/allfast/_proxy/caddy.json"], ["python3", "-c", ADMIN])
    )
    if written != running:
        yield "the proxy uses another configuration than the one that is written"
    part = json.loads(bed.server.exec(["cat", f"/var/lib/allfast/_proxy/apps/{bed.name}/part.json"]).stdout)
    kept = [release["routes"] for _, release in ledger.releases.values()]
    if ledger.releases[ledger.live][1]["routes"] not in part["sets"] or any(one not in kept for one in part["sets"]):
        yield "the proxy's routes are not those of the kept releases"
