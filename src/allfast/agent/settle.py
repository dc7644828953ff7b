"""Waits until the engine has finished what a lost deployer's connection had asked of it.

A cut connection takes back no request: a `docker stop` goes on for its grace period, a start is carried out. So the
next holder of the lock looks at the engine's events of this deployment's containers before it changes anything.
"""

from __future__ import annotations

import json
import time
from typing import Any, Dict, List

from allfast.agent.engine import Engine
from allfast.agent.labels import DEPLOYMENT, PROJECT

#: Seconds without an event that count as rest; seconds after which waiting ends in any case.
QUIET = 2.0
BOUND = 60.0

_ACTIONS = ["create", "start", "restart", "stop", "kill", "die", "destroy", "rename", "update", "pause", "unpause"]
_ENDING = {"9", "15", "2", "3"}  # signals by which a container is stopped: KILL, TERM, INT, QUIT


def settle(engine: Engine, project: str) -> float:
    """Wait for rest; the seconds it took. Returns after `BOUND` seconds even without rest."""
    began = time.time()
    while True:
        now = time.time()
        if now - began > BOUND or _at_rest(_events(engine, project, began - BOUND, now), now):
            return now - began
        time.sleep(0.1)


def _events(engine: Engine, project: str, since: float, until: float) -> List[Dict[str, Any]]:
    """Of the containers of the base project, and of those of the releases' own projects, in time's order."""
    start, end = f"{since:.6f}", f"{until:.6f}"
    found: Dict[str, Dict[str, Any]] = {}
    for label in (f"{PROJECT}={project}", f"{DEPLOYMENT}={project}"):
        filters = {"type": ["container"], "label": [label], "event": _ACTIONS}
        with engine.stream("GET", "/events", timeout=10, filters=filters, since=start, until=end) as answer:
            found.update({json.dumps(event, sort_keys=True): event for event in answer.values()})
    return sorted(found.values(), key=lambda event: int(event["timeNano"]))


def _at_rest(events: List[Dict[str, Any]], now: float) -> bool:
    """No event lately, and no container that was told to stop and has not."""
    stopping = set()
    for event in events:
        actor, action = event["Actor"], event["Action"]
        if action == "kill" and actor["Attributes"].get("signal") in _ENDING:
            stopping.add(actor["ID"])
        elif action in ("die", "destroy"):
            stopping.discard(actor["ID"])
    last = max((event["timeNano"] / 1e9 for event in events), default=0.0)
    return not stopping and now - last >= QUIET
