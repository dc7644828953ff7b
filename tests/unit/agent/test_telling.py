"""How far a long piece of work of the server is: told to the laptop, but not of what is soon done."""

from __future__ import annotations

import queue
import threading
from typing import Any
from unittest import mock

import pytest

from allfast.agent import telling
from allfast.agent.loading import unpacked
from allfast.agent.telling import Telling

WAIT = 20.0


class Notes(queue.Queue[dict[str, Any]]):
    """What is noted; `clock` is the time of its works."""

    now = 100.0

    def monotonic(self) -> float:
        """As that of `time`."""
        return self.now

    def newest(self) -> tuple[str, int, int, float]:
        """What is noted from now on: what was before it may still be on its way."""
        with self.mutex:
            self.queue.clear()
        for _ in range(2):
            note = self.get(timeout=WAIT)
        return note["work"], note["done"], note["total"], note["seconds"]


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> Notes:
    found = Notes()
    monkeypatch.setattr(telling, "time", found)
    monkeypatch.setattr(telling, "EVERY", 0.005)
    return found


def test_it_is_told_again_and_again_until_it_is_over(notes: Notes) -> None:
    """Also where nothing moves: who reads a log has to see that it goes on."""
    with Telling(notes.put, "reading") as work:
        notes.now += 3
        assert notes.newest() == ("reading", 0, 0, 3.0)
        work.at(10, 25)
        notes.now += 2
        work.at(20, 25)
        assert notes.newest() == ("reading", 20, 25, 2.0), "seconds count from the first byte on"
        notes.now += 5
        assert notes.newest() == ("reading", 20, 25, 7.0)
        work.then("unpacking", 25)
        notes.now += 1
        assert notes.newest() == ("unpacking", 0, 25, 1.0)
    with notes.mutex:
        notes.queue.clear()
    with pytest.raises(queue.Empty):
        notes.get(timeout=0.05)


def test_seconds_count_from_the_first_byte_also_where_the_size_was_known_before(notes: Notes) -> None:
    """And from the beginning as long as there is none: what is passed over has none, however often that is told."""
    with Telling(notes.put, "reading") as work:
        for _ in range(4):
            notes.now += 5
            work.at(0, 0)
        assert notes.newest() == ("reading", 0, 0, 20.0)
        work.then("unpacking", 9)
        notes.now += 5
        work.at(1, 9)
        notes.now += 1
        work.at(2, 9)
        assert notes.newest() == ("unpacking", 2, 9, 1.0)


def test_the_block_ends_after_the_last_note() -> None:
    """Which would come after the answer else."""
    began, may, ended = threading.Event(), threading.Event(), threading.Event()

    def note(_: object) -> None:
        began.set()
        assert may.wait(WAIT)

    def work() -> None:
        with Telling(note, "loading"):
            assert began.wait(WAIT)
        ended.set()

    with mock.patch.object(telling, "EVERY", 0.005):
        working = threading.Thread(target=work, daemon=True)
        working.start()
        assert began.wait(WAIT)
        assert not ended.wait(0.1)
        may.set()
        assert ended.wait(WAIT)


def test_what_begins_again_has_its_own_seconds(notes: Notes) -> None:
    """As another layer of an old engine's archive, which proves not to be the one."""
    with Telling(notes.put, "reading") as work:
        work.at(90, 100)
        notes.now += 9
        work.at(10, 100)
        notes.now += 1
        work.at(20, 100)
        assert notes.newest() == ("reading", 20, 100, 1.0)
        work.at(30, 60)
        assert notes.newest() == ("reading", 30, 60, 0.0)


def test_of_what_is_soon_done_nothing_is_told(notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "EVERY", WAIT)
    with Telling(notes.put, "loading") as work:
        work.at(9, 9)
        work.then("unpacking", 9)
    assert notes.empty()


def test_an_engine_that_unpacks_tells_the_bytes_of_one_layer_after_the_other() -> None:
    values: list[dict[str, Any]] = [
        {"status": "Loading layer", "progressDetail": {"current": 10, "total": 30}, "id": "one"},
        {"status": "Loading layer", "progressDetail": {"current": 30, "total": 30}, "id": "one"},
        {"status": "Loading layer", "progressDetail": {"current": 15, "total": 20}, "id": "two"},
        {"stream": "Loaded image ID: sha256:1\n"},
        {"progressDetail": {}, "status": "?"},
        {"progressDetail": None},
    ]
    told: list[int] = []
    assert list(unpacked(values, told.append)) == values
    assert told == [10, 30, 45]
