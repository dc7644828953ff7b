"""A container is stopped, also one that ends and starts again all the time."""

from __future__ import annotations

import time
from typing import Any

from allfast.agent.engine import Engine, EngineError

#: How often the engine is asked, and after how many seconds again.
TIMES, PAUSE = 10, 0.2


def stop(engine: Engine, container: str, **query: Any) -> None:
    """Stop a container gracefully, as long as that takes. One that has stopped, or is gone, is fine.

    One in a crash loop may end just when the engine is about to stop it: the engine refuses that, and is asked again.
    Raises `EngineError`.
    """
    for left in reversed(range(TIMES)):
        try:
            with engine.stream("POST", f"/containers/{container}/stop", **query) as answer:
                answer.read()
            return
        except EngineError as error:
            if error.status in (304, 404):
                return
            if not left or "is not running" not in error.message:
                raise
        time.sleep(PAUSE)
