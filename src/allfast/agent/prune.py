"""Bounds what the state folder holds. Never touches data folders, volumes or images."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List

from allfast.agent import files
from allfast.agent.engine import Engine
from allfast.agent.ledger import Ledger

#: Runs that history goes back.
KEEP_RUNS = 500
#: Builds caught stale that are remembered without their image: the laptop keeps five images of each service.
KEEP_STALE = 200


def mounted(engine: Engine, files_folder: Path) -> List[str]:
    """File sets that containers mount: a data service keeps its own for as long as nobody recreates it."""
    digests = []
    for container in engine.get("/containers/json", all=True):
        for mount in container.get("Mounts") or []:
            source = Path(mount.get("Source") or "/")
            if files_folder in source.parents:
                digests.append(source.relative_to(files_folder).parts[0])
    return digests


def prune(folder: Path, ledger: Ledger, engine: Engine, keep: List[str]) -> Dict[str, List[str]]:
    """Keep the releases `keep` (ids), the live one, a canary, what they and images at hand need; what was removed."""
    kept = [release for release, state in ledger.releases() if release["id"] in keep or state in ("live", "canary")]
    names = [release["id"] for release in kept]
    at_hand = {one["Id"] for one in engine.get("/images/json", all=True)}
    used = {service["image"]["engine_id"] for release in kept for service in release["services"]}
    ledger.forget(names)
    images = {engine_id: one for engine_id, one in ledger.images().items() if engine_id in at_hand | used}
    ledger.forget_images([*images], KEEP_STALE)
    inputs = {service["inputs"] for release in kept for service in release["services"]}
    ledger.forget_inputs([*inputs, *(one["inputs"] for one in images.values())])
    ledger.forget_runs(KEEP_RUNS)
    wanted = [digest for release in kept for digest in release["files"]] + mounted(engine, folder / "files")
    return {
        "releases": files.keep_only(folder, "releases", names + keep),
        "files": files.keep_only(folder, "files", wanted),
    }
