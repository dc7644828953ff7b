"""Interrupts: Ctrl-C, SIGTERM (a cancelled CI job), SIGHUP (a closed terminal) all mean the same, and mean it once.

The first one raises KeyboardInterrupt where the work is; from then on the command puts things right and ends, and
further ones do not disturb that. Some work must reach its end in any case: see `uninterrupted` and `no_more`.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Handler = Callable[[int, FrameType | None], None]


@contextmanager
def once() -> Iterator[None]:
    """Within the block the first interrupt raises KeyboardInterrupt, and all later ones do nothing."""
    seen = False

    def answer(signum: int, frame: FrameType | None) -> None:
        nonlocal seen
        del signum, frame
        if not seen:
            seen = True
            raise KeyboardInterrupt

    before = _listen(answer)
    try:
        yield
    finally:
        _restore(before)


@contextmanager
def uninterrupted(say: Callable[[str], None], sentence: str) -> Iterator[None]:
    """Within the block, interrupts are answered with a sentence and do nothing else (main thread only)."""
    before = _listen(_saying(say, sentence))
    try:
        yield
    finally:
        _restore(before)


def no_more(say: Callable[[str], None], sentence: str) -> None:
    """From here to the end of the command, interrupts are answered with a sentence: there is nothing left to undo."""
    _listen(_saying(say, sentence))


def _saying(say: Callable[[str], None], sentence: str) -> Handler:
    def answer(signum: int, frame: FrameType | None) -> None:
        del signum, frame
        with contextlib.suppress(Exception):  # it may come in the middle of another line's output
            say(sentence)

    return answer


def _listen(answer: Handler) -> dict[signal.Signals, Any]:
    """Have interrupts answered so; what did it before. Those that the caller has ignored (`nohup`) stay ignored."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    heard = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    return {number: signal.signal(number, answer) for number in heard}


def _restore(before: dict[signal.Signals, Any]) -> None:
    for number, handler in before.items():
        signal.signal(number, handler)
