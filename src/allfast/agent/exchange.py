"""One container of the proxy in place of another, in one request: it goes on to its end, also without the laptop.

Between the stop of the one and the start of the other nothing is served. So nobody may be needed there who can go.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import List

from allfast.agent import proxy
from allfast.agent.docker import Docker
from allfast.agent.engine import Engine, EngineError, unframed
from allfast.agent.protocol import AgentError, Kind
from allfast.agent.stopping import stop

#: Seconds in which a stopped proxy ends: two of farewell, in which it serves, and one for the requests under way, in
#: which nobody is served. What takes longer is cut: a stream would keep everybody else waiting.
STOP = 3
#: Seconds in which a started proxy answers.
START = 20.0
#: Its last lines that are told where it does not come up.
LINES = 10


def serve(docker: Docker, base: Path, container: str, name: str) -> None:
    """Start this container of the proxy in place of the one that serves, see that it answers, and call it `name`.

    Raises `AgentError` (proxy; its details are the container's last lines) where it does not come up: the former one
    serves again.
    """
    engine = docker.engine
    former = [one["id"] for one in proxy.containers(docker) if one["id"] != container]
    for one in former:
        stop(engine, one, t=STOP)
    try:
        _start(docker, base, container)
    except AgentError:
        engine.delete(f"/containers/{container}", force=True, v=True)
        for one in former:
            _start(docker, base, one)
        raise
    for one in former:
        engine.delete(f"/containers/{one}", force=True, v=True)
    if engine.get(f"/containers/{container}/json")["Name"] != f"/{name}":
        engine.post(f"/containers/{container}/rename", name=name)


def _start(docker: Docker, base: Path, container: str) -> None:
    """Start it and wait until it answers."""
    try:
        docker.engine.post(f"/containers/{container}/start")
    except EngineError as error:
        raise AgentError(
            Kind.PROXY,
            f"the proxy's container could not be started: {error.message}",
            "look at `docker info` and the engine's log",
        ) from error
    deadline = time.monotonic() + START
    while True:
        state = proxy.look(docker, base)
        found = next((one for one in state["containers"] if one["id"] == container), None)
        if found is not None and found["running"] and state["running"] is not None:
            return
        if found is None or (not found["running"] and found["exit_code"]) or time.monotonic() > deadline:
            raise AgentError(
                Kind.PROXY,
                "the proxy does not come up",
                "the lines above are its last; on the server: docker logs allfast-proxy",
                _last_lines(docker.engine, container),
            )
        time.sleep(0.05)


def _last_lines(engine: Engine, container: str) -> List[str]:
    with engine.stream("GET", f"/containers/{container}/logs", stderr=True, stdout=True, tail=str(LINES)) as answer:
        return unframed(answer.read()).decode(errors="replace").splitlines()
