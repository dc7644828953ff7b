"""Which layers of an image the engine could take from what it has."""

from __future__ import annotations

from functools import partial
from typing import Any, Dict, List, Set

from allfast.agent.asking import in_parallel
from allfast.agent.engine import Engine, EngineError
from allfast.agent.facts import store
from allfast.agent.labels import DEPLOYMENT


class Layers:
    """Remembers the layers of images, which never change."""

    def __init__(self) -> None:
        self._known: Dict[str, List[str]] = {}

    def of_deployment(self, engine: Engine, deployment: str) -> Dict[str, List[str]]:
        """The images that allfast built for a deployment, the newest first: engine id -> diff ids."""
        images = engine.get("/images/json", filters={"label": [f"{DEPLOYMENT}={deployment}"]})
        images.sort(key=lambda one: -one["Created"])
        self._learn(engine, images)
        return {one["Id"]: self._known[one["Id"]] for one in images}

    def leading(self, engine: Engine, wanted: List[str], shipped: Set[str]) -> int:
        """How many of the diff ids `wanted`, from the first on, the engine has in this order.

        In the containerd store only the images that allfast shipped count (by their label, or by `shipped`, engine ids
        of the ledger): of pulled ones it has the compressed layers, and a partial archive cannot refer to those.
        """
        images: List[Dict[str, Any]] = engine.get("/images/json", all=True)
        if store(engine.get("/info")) == "containerd":
            images = [one for one in images if DEPLOYMENT in (one.get("Labels") or {}) or one["Id"] in shipped]
        self._learn(engine, images)
        return max((_common(wanted, self._known[one["Id"]]) for one in images), default=0)

    def _learn(self, engine: Engine, images: List[Dict[str, Any]]) -> None:
        ids = [one["Id"] for one in images if one["Id"] not in self._known]
        answers = in_parallel([partial(_diff_ids, engine, image) for image in ids])
        self._known.update({image: answers[n] for n, image in enumerate(ids)})


def _common(wanted: List[str], there: List[str]) -> int:
    same = 0
    while same < min(len(wanted), len(there)) and wanted[same] == there[same]:
        same += 1
    return same


def _diff_ids(engine: Engine, image: str) -> List[str]:
    try:
        return list((engine.get(f"/images/{image}/json").get("RootFS") or {}).get("Layers") or [])
    except EngineError as error:
        if error.status == 404:  # removed a moment ago
            return []
        raise
