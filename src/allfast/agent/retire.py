"""The end of releases that are not live any more: their last log lines are kept, their containers and networks go.

A deploy leaves the release before it warm, so that a rollback needs no start. When that time is over, `run` removes it:
a detached process (`later`) that holds no lock while it waits. Where it is lost, the next deploy does the same.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Dict, List

from allfast.agent import docker, files, lock, masking, state
from allfast.agent.engine import Engine, EngineError, unframed
from allfast.agent.labels import DEPLOYMENT, PROJECT, RELEASE
from allfast.agent.ledger import Ledger
from allfast.agent.stopping import stop

Json = Dict[str, Any]

#: What is kept of each container's log.
LINES = 1000
LOG = "last.log"
#: The newest waiting process alone acts: its token stands here.
_NEWEST = "retire"


def remove(engine: Engine, folder: Path, deployment: str, release: str) -> None:
    """Stop a release's containers gracefully, keep their last lines, remove them and the release's networks."""
    containers = _containers(engine, deployment, release)
    threads = [threading.Thread(target=stop, args=(engine, one["Id"])) for one in containers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    _keep_logs(engine, folder, release, containers)
    for one in containers:
        _quietly(engine, f"/containers/{one['Id']}", force=1, v=1)
    project = f"{deployment}-{release}"
    for network in engine.get("/networks", filters={"label": [f"{PROJECT}={project}"]}):
        _quietly(engine, f"/networks/{network['Id']}")


def later(folder: Path, args: Json, keep_warm: float) -> None:
    """Leave a process that removes what has been retired for `keep_warm` seconds by then; `args` as for the agent."""
    token = f"{time.time():.6f}-{os.getpid()}"
    state.write(folder / _NEWEST, token.encode())
    settings = {**args, "retire": {"folder": str(folder), "token": token, "keep_warm": keep_warm}}
    word = base64.urlsafe_b64encode(json.dumps(settings).encode()).decode()
    own = os.open(sys.argv[0], os.O_RDONLY)  # an agent that was sent just now is in memory; one in the cache may go
    subprocess.Popen(
        [sys.executable, "-I", "-S", "-B", f"/proc/self/fd/{own}", word],
        pass_fds=(own,),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
    )
    os.close(own)


def run(args: Json) -> int:
    """The life of that process: wait, take the lock, remove; the exit status."""
    wanted = args["retire"]
    folder, keep_warm = Path(wanted["folder"]), float(wanted["keep_warm"])
    os.umask(state.UMASK)
    time.sleep(keep_warm)
    fd = os.open(folder / lock.FILE, os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_EX)
    if (folder / _NEWEST).read_text() != wanted["token"]:
        return 0  # a later deploy has left a process of its own
    who = {"user": lock.SERVANT, "host": os.uname().nodename}
    lock.write_holder(folder, who, "retiring what is warm no longer")
    ledger = Ledger(folder, args["app"], args["target"], create=False)
    if ledger.unfinished() is None:  # what a dead run left is for a command, which can tell somebody
        _remove_due(docker.find().engine, folder, args["deployment"], ledger, who, keep_warm)
    (folder / lock.HOLDER).unlink()
    return 0


def _remove_due(engine: Engine, folder: Path, deployment: str, ledger: Ledger, who: Json, keep_warm: float) -> None:
    there = {one["Labels"][RELEASE] for one in _containers(engine, deployment)}
    for release, standing in ledger.releases():
        name = release["id"]
        if name not in there or standing != "retired" or release.get("retired", 0.0) + keep_warm > time.time():
            continue
        number = ledger.begin_run("retire", who, name, {})
        step = ledger.begin_step(number, "remove release", {"release": name})
        remove(engine, folder, deployment, name)
        ledger.end_step(step, "done")
        ledger.update_run(number, {"outcome": "done", "message": ""})


def _containers(engine: Engine, deployment: str, release: str = "") -> List[Json]:
    labels = [f"{DEPLOYMENT}={deployment}", f"{RELEASE}={release}" if release else RELEASE]
    found: List[Json] = engine.get("/containers/json", all=True, filters={"label": labels})
    return found


def _quietly(engine: Engine, path: str, **query: Any) -> None:
    try:
        engine.delete(path, **query)
    except EngineError as error:
        if error.status != 404:
            raise


def _keep_logs(engine: Engine, folder: Path, release: str, containers: List[Json]) -> None:
    place = files.release_folder(folder, release)
    if not (place / files.COMPOSE).is_file():
        return  # nothing is known of it: it never was a release that somebody could ask for
    parts = []
    for one in sorted(containers, key=lambda one: str(one["Names"])):
        path = f"/containers/{one['Id']}/logs"
        with engine.stream("GET", path, timeout=10, stdout=1, stderr=1, timestamps=1, tail=LINES) as answer:
            parts.append(f"== {one['Names'][0].lstrip('/')}\n".encode() + unframed(answer.read()))
    if parts:
        compose = files.compose(folder, release)
        log = masking.masked(b"".join(parts), compose, files.secrets(folder, compose))
        state.write(place / LOG, log, 0o600)
