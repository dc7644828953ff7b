"""A laptop in a process of its own, for tests that stop or kill it: takes the lock and does what its input says.

    python -m tests.e2e.deployer SSH_CONFIG HOST SILENCE [STATE_DIR]

Prints one JSON line for each answer: the path of its Docker socket when it holds the lock, then what came of each line
of input.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

from allfast.agent.engine import EngineError, EngineUnreachable
from allfast.errors import AllfastError
from allfast.remote.server import Server, connect


def main(config: str, host: str, silence: str, state_dir: str = "") -> None:
    """Hold the lock until the input ends."""
    with (
        connect(
            host,
            deployment="chat",
            app="chat",
            target="production",
            state_dir=state_dir,
            ssh_config=Path(config),
            silence=float(silence),
        ) as server,
        server.lock("deploy of a test"),
    ):
        server.begin_run("deploy", {})
        engine = server.engine
        tell(engine.path)
        for _ in sys.stdin:
            tell(
                {
                    "journal": outcome(lambda: journal(server)),
                    "engine": outcome(lambda: engine.post("/volumes/create", {"Name": "forbidden"})),
                    "lock": outcome(server.check_lock),
                }
            )


def journal(server: Server) -> None:
    """Make a journaled change."""
    with server.step("change"):
        pass


def outcome(work: Callable[[], object]) -> str:
    """ "done", or the name of the error."""
    try:
        work()
    except (AllfastError, EngineError, EngineUnreachable) as error:
        return type(error).__name__
    return "done"


def tell(value: object) -> None:
    """One line of output."""
    print(json.dumps(value), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
