"""Containers by which layers are read: those that nobody is at work with any more are removed, and no others."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from allfast.agent import owner, session
from allfast.agent.engine import Engine
from allfast.agent.engine_store import LABEL, LEFT_OVER, EngineStore

HOUR = 3600
DAY = 24 * HOUR


class Shelf:
    """An engine with one such container, of that label and age; `removed` are those that were."""

    def __init__(self, label: str, age: float) -> None:
        self._containers = [{"Id": "left", "Created": time.time() - age, "Labels": {LABEL: label, "other": "x"}}]
        self.removed: list[str] = []
        self.made: list[dict[str, Any]] = []

    def get(self, path: str, **query: Any) -> Any:
        """What it says of itself, and its containers."""
        if path == "/info":
            return {}
        assert query["filters"] == {"label": [LABEL], "status": ["created"]}
        return self._containers

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Make one."""
        self.made.append(body)
        return {"Id": "made"}

    def delete(self, path: str, **_: Any) -> None:
        """Remove one."""
        self.removed.append(path.rpartition("/")[2])


def goes(label: str, age: float) -> bool:
    """Whether one of that label and age is removed."""
    shelf = Shelf(label, age)
    with EngineStore(cast(Engine, shelf), "sha256:image"):
        assert shelf.removed == []
    return shelf.removed == ["left"]


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    """Another process, which waits."""
    words = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(words, stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def elsewhere(label: str, number: int) -> str:
    """The same process of another machine (0), or of another PID namespace (1)."""
    parts = label.split("/")
    parts[number] = ("f" * 8 + parts[0][8:]) if number == 0 else "1"
    return "/".join(parts)


def test_one_whose_process_is_at_work_stays(other: subprocess.Popen[bytes]) -> None:
    """A line of 5 Mbit/s takes hours for a large layer."""
    for process in (os.getpid(), other.pid, 1):
        assert not goes(owner.of(process), 9 * DAY)


def test_one_whose_process_was_killed_goes(other: subprocess.Popen[bytes]) -> None:
    label = owner.of(other.pid)
    other.kill()
    other.wait()
    assert goes(label, 0)


def test_another_process_with_the_same_number_is_not_the_one(other: subprocess.Popen[bytes]) -> None:
    before, start = owner.of(other.pid).rsplit("/", 1)
    assert goes(f"{before}/{int(start) - 1}", 0)


@pytest.mark.parametrize(
    "told",
    [
        lambda label: elsewhere(label, 0),
        lambda label: elsewhere(label, 1),
        lambda _: "1",
        lambda _: "",
        lambda label: label + "0" * 40,
        lambda label: "/".join([*label.split("/")[:2], "9" * 30, "1"]),
    ],
    ids=["machine", "namespace", "before", "nobody", "no start", "no number"],
)
def test_one_whose_process_cannot_be_looked_at_goes_by_its_age(told: Callable[[str], str]) -> None:
    label = told(owner.of(os.getpid()))
    assert not goes(label, 2 * HOUR)
    assert goes(label, LEFT_OVER + 1)


def test_one_whose_process_is_hidden_goes_by_its_age(monkeypatch: pytest.MonkeyPatch) -> None:
    """As /proc may be mounted: who is there is not to be seen, but to be asked for."""
    label = owner.of(1)
    monkeypatch.setattr(session, "of", lambda _: None)
    assert not goes(label, 2 * HOUR)
    assert goes(label, LEFT_OVER + 1)


def test_one_that_is_made_says_whose_it_is() -> None:
    shelf = Shelf("", 0)
    with EngineStore(cast(Engine, shelf), "sha256:image") as store:
        store.mount({"/var/lib/docker": "/m"})
    assert [one["Labels"] for one in shelf.made] == [{LABEL: owner.of(os.getpid())}]
    assert owner.is_alive(owner.of(os.getpid()))
    assert shelf.removed == ["made"]
