"""For all tests: their order, their priority; and no time limit of hypothesis, which says nothing on a busy machine."""

import signal
import threading
from pathlib import Path

import pytest
from hypothesis import settings

from allfast.agent import gentle

settings.register_profile("suite", deadline=None)
settings.load_profile("suite")

# A shell starts what it puts into the background with Ctrl-C ignored, and all that the tests start would inherit that
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_yield_to_others = gentle.yield_to_others


def _yield_in_threads() -> None:
    """The agent's work gives way in a thread of its own. In that of the tests, all later ones would: to other files."""
    if threading.current_thread() is not threading.main_thread():
        _yield_to_others()


gentle.yield_to_others = _yield_in_threads

#: The folders of tests, those whose files take longest first.
FOLDERS = ("e2e", "contract", "testbed", "unit")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take minutes: where files run side by side, none of them is left for the end."""
    here = Path(__file__).parent
    items.sort(key=lambda item: FOLDERS.index(item.path.relative_to(here).parts[0]))
