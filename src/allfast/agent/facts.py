"""All facts of the server in one answer (model.server.ServerFacts as JSON). Changes nothing."""

from __future__ import annotations

import os
import re
import shutil
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

from allfast.agent import state
from allfast.agent.asking import in_parallel, inspecting, timestamp
from allfast.agent.containers import belongs, described, named, published_ports
from allfast.agent.content_store import is_of
from allfast.agent.engine import Engine, EngineError
from allfast.agent.labels import COMMIT, DEPLOYMENT, INPUTS, METHOD, RELEASE, SERVICE, label
from allfast.agent.layer_cache import FOLDER, LayerCache
from allfast.agent.ledger import Ledger
from allfast.agent.listening import processes
from allfast.agent.lock import holder

Json = Dict[str, Any]


def facts(engine: Engine, deployment: str, folder: Path, ledger: Optional[Ledger]) -> Json:
    """All of it; `folder` is the deployment's state folder, which need not exist, `ledger` None without one."""
    engine.version()  # before the questions that need it, or each of them would ask
    answers = in_parallel(
        [
            lambda: engine.get("/info"),
            lambda: engine.get("/containers/json", all=True),
            lambda: engine.get("/images/json"),
            lambda: engine.get("/volumes"),
            lambda: engine.get("/networks"),
        ]
    )
    info, containers, images, volumes, networks = answers
    ours = [one["Id"] for one in containers if belongs(one, deployment)]
    built = [one["Id"] for one in images if label(one, DEPLOYMENT) == deployment]
    recorded = ledger.images() if ledger else {}
    details = in_parallel(
        [inspecting(engine, "containers", one) for one in ours] + [inspecting(engine, "images", one) for one in built]
    )
    before = holder(folder)
    unfinished = ledger.unfinished() if ledger else None
    locked = holder(folder)
    ports = [port for one in containers for port in published_ports(one)]
    return {
        "hostname": info.get("Name") or os.uname().nodename,
        "platform": platform(engine),
        "engine": engine.version()["Version"],
        "store": store(info),
        "clock": time.time(),
        "free_bytes": shutil.disk_usage(place_of_images(info)).free,
        "state_free_bytes": state_free_bytes(info, folder),
        "free_memory": free_memory(),
        "memory": sum(in_parallel([_using(engine, one) for one in containers if _runs_for_release(one, deployment)])),
        "live": ledger.live() if ledger else None,
        "containers": [described(one) for one in details[: len(ours)] if one],
        "canary": ledger.canary() if ledger else None,
        "images": [_image(one, recorded.get(one["Id"], {})) for one in details[len(ours) :] if one],
        "ports": ports + processes(ports),
        "names": [named(one) for one in containers],
        "resources": [
            *(_resource("network", one) for one in networks),
            *(_resource("volume", one) for one in volumes.get("Volumes") or []),
        ],
        "stale": ledger.stale() if ledger else [],
        "image_refs": sorted([tag, one["Id"]] for one in images for tag in _tags(one)),
        "data": ledger.data() if ledger else [],
        # a run of who holds the lock is under way
        "unfinished": unfinished if not (before or locked) else None,
        "lock": locked,
    }


def store(info: Json) -> str:
    """The image store: `containerd`, or the graph driver's name."""
    return "containerd" if is_of(info) else str(info["Driver"])


def platform(engine: Engine) -> str:
    """The engine's platform as images name it, as `linux/amd64`."""
    version = engine.version()
    return f"{version['Os']}/{version['Arch']}"


def place_of_images(info: Json) -> Path:
    """A folder on the file system where the engine keeps its images; the root where that may not be looked at."""
    return state.that_is_there(Path(info["DockerRootDir"]), Path("/"))


def state_free_bytes(info: Json, folder: Path) -> Optional[int]:
    """Free bytes where the state `folder` is or will be; None where that is the disk of the engine's images.

    What the layer cache has counts as free: it is what the last attempt has sent, or gives way while layers come.
    """
    place = state.that_is_there(folder, *folder.parents)
    if _share_a_disk(place, place_of_images(info)):
        return None
    return shutil.disk_usage(place).free + LayerCache(folder / FOLDER).size()


def _share_a_disk(one: Path, other: Path) -> bool:
    """Whether two folders have the same free bytes.

    Subvolumes of btrfs and datasets of ZFS have device numbers of their own, datasets also total sizes of their own;
    the free bytes of their pool are those of each.
    """
    same_device = one.stat().st_dev == other.stat().st_dev
    return same_device or shutil.disk_usage(one).free == shutil.disk_usage(other).free


def free_memory(meminfo: Path = Path("/proc/meminfo")) -> int:
    """Bytes that programs could have now; 0 where that is not known."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB", meminfo.read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def _runs_for_release(one: Json, deployment: str) -> bool:
    return one["State"] == "running" and belongs(one, deployment) and bool(label(one, RELEASE))


def _using(engine: Engine, container: Json) -> Callable[[], int]:
    """A question for the memory that a container uses, in bytes, without the page cache that it could give back."""

    def ask() -> int:
        try:
            stats = engine.get(f"/containers/{container['Id']}/stats", stream=False, **{"one-shot": True})
        except EngineError:
            return 0  # it has ended just now
        memory = stats.get("memory_stats") or {}
        details = memory.get("stats") or {}
        cache = details.get("inactive_file", details.get("total_inactive_file", 0))
        return max(0, int(memory.get("usage", 0)) - int(cache))

    return ask


def _resource(kind: str, one: Json) -> Json:
    ranges = (one.get("IPAM") or {}).get("Config") or []
    return {
        "kind": kind,
        "name": one["Name"],
        "driver": one["Driver"],
        "options": sorted([key, str(value)] for key, value in (one.get("Options") or {}).items()),
        "internal": bool(one.get("Internal")),
        "subnets": [entry["Subnet"] for entry in ranges if entry.get("Subnet")],
    }


def _image(one: Json, recorded: Json) -> Json:
    labels = (one.get("Config") or {}).get("Labels") or {}
    variant = one.get("Variant") or ""
    return {
        "engine_id": one["Id"],
        "service": labels.get(SERVICE, ""),
        "commit": labels.get(COMMIT, ""),
        "inputs": labels.get(INPUTS, ""),
        "method": labels.get(METHOD, ""),
        "platform": "/".join(filter(None, (one["Os"], one["Architecture"], variant))).replace("arm64/v8", "arm64"),
        "diff_ids": (one.get("RootFS") or {}).get("Layers") or [],
        "tags": _tags(one),
        "created": timestamp(one.get("Created") or ""),
        "stale": recorded.get("stale", False),
        "config_digest": recorded.get("config_digest", ""),
        "sent": recorded.get("sent"),
    }


def _tags(one: Json) -> List[str]:
    return [tag for tag in one.get("RepoTags") or [] if tag != "<none>:<none>"]
