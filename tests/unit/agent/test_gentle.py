"""Work in the background has a low priority, and never a higher one than it had."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from allfast.agent import gentle


@pytest.mark.parametrize(("before", "after"), [(0, gentle.NICE), (gentle.NICE + 5, gentle.NICE + 5)])
def test_a_thread_gives_way(before: int, after: int) -> None:
    def work() -> int:
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, max(before, os.getpriority(os.PRIO_PROCESS, thread)))
        gentle.yield_to_others()
        return os.getpriority(os.PRIO_PROCESS, thread)

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(work).result() >= after
