"""Questions to the engine: several at once, of things that may be gone, and what its times mean."""

from __future__ import annotations

import calendar
import re
import threading
import time
from typing import Any, Callable, Dict, List, Optional

from allfast.agent.engine import Engine, EngineError

Json = Dict[str, Any]

_THREADS = 6


def in_parallel(calls: List[Callable[[], Any]]) -> List[Any]:
    """The results of independent questions, asked at the same time; the first failure is raised."""
    results: List[Any] = [None] * len(calls)
    errors: List[BaseException] = []
    rest = iter(enumerate(calls))
    mutex = threading.Lock()

    def work() -> None:
        while not errors:
            with mutex:
                number, call = next(rest, (0, None))
            if call is None:
                return
            try:
                results[number] = call()
            except BaseException as error:  # noqa: BLE001 - raised below, in the caller's thread
                errors.append(error)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(_THREADS, len(calls)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


def inspecting(engine: Engine, kind: str, name: str) -> Callable[[], Optional[Json]]:
    """A question whose subject may be gone by now: None then."""

    def ask() -> Optional[Json]:
        try:
            answer: Json = engine.get(f"/{kind}/{name}/json")
        except EngineError as error:
            if error.status == 404:
                return None
            raise
        return answer

    return ask


def timestamp(text: str) -> float:
    """Seconds since the epoch of the engine's RFC 3339 text; 0 for its zero time and for none."""
    found = re.match(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)$", text or "")
    if not found or text.startswith("0001"):
        return 0.0
    seconds = calendar.timegm(time.strptime(found[1], "%Y-%m-%dT%H:%M:%S")) + float(found[2] or 0)
    if found[3] != "Z":
        hours, minutes = found[3][1:].split(":")
        seconds -= (int(hours) * 3600 + int(minutes) * 60) * (1 if found[3][0] == "+" else -1)
    return seconds
