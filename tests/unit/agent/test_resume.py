"""What a deploy that did not come to its end has sent: kept for the next attempt, and bounded all the same."""

import os
import random
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from allfast.agent import layer_cache, requests
from allfast.agent.layer_files import RESERVE
from allfast.agent.ledger import Ledger
from allfast.agent.protocol import AgentError
from tests.unit.agent.test_receive import Dock, name_of, note
from tests.unit.transfer.recipes import tree

#: It comes in several batches, and is larger than the cache may be.
LARGE = tree({f"{n}": random.Random(n).randbytes(900_000) for n in range(5)})
FIRST, OTHER = (tree({"file": random.Random(seed).randbytes(400_000)}) for seed in (7, 8))
#: The cache has this many bytes at most: one of the smaller layers, with the indexes of all.
LIMIT = len(FIRST) + 5000
#: When an attempt began, in seconds since the epoch; what it leaves is made a second later.
BEGAN = 1_000_000.0


def next_agent(dock: Dock) -> Dock:
    """That of the next command: what the one before had in memory is gone."""
    dock.receiver._indexing.finish()
    return Dock(dock.folder.parent)


def age(dock: Dock, seconds: float, *layers: bytes) -> None:
    """What is there of these layers was used last then; none: of all."""
    dock.receiver._indexing.finish()
    names = {name_of(layer)[7:] for layer in layers}
    for path in dock.folder.iterdir():
        if not names or path.stem in names:
            os.utime(path, (seconds, seconds))


def cut(dock: Dock, layer: bytes) -> int:
    """Send the beginning of a layer, and no more; how many of its bytes are there."""
    with suppress(AgentError):
        dock.send(layer, batches=4)
    return dock.receiver.cache.begun(name_of(layer))


def there(dock: Dock) -> set[str]:
    """The layers that are there, whole or begun."""
    return {f"sha256:{path.stem}" for path in dock.folder.iterdir() if path.suffix != ".index"}


@pytest.fixture
def dock(tmp_path: Path) -> Dock:
    """A cache with a layer of a deploy of long ago."""
    dock = Dock(tmp_path)
    dock.send(OTHER)
    age(dock, BEGAN - 1000)
    return dock


def test_what_was_cut_off_stays_though_it_is_larger_than_the_cache(dock: Dock) -> None:
    """The rest of the cache is bounded as always."""
    dock.send(FIRST)
    begun = cut(dock, LARGE)
    assert begun > LIMIT
    age(dock, BEGAN + 1, FIRST, LARGE)
    fresh = next_agent(dock)
    fresh.receiver.trim(0, BEGAN)
    stock = fresh.receiver.stock([name_of(FIRST), name_of(LARGE)])
    assert (stock["whole"], stock["begun"]) == ([name_of(FIRST)], {name_of(LARGE): begun})
    assert there(fresh) == {name_of(FIRST), name_of(LARGE)}


def test_older_layers_have_as_much_room_as_without_an_attempt(dock: Dock) -> None:
    """They are what the next attempt's other layers are made of."""
    cut(dock, LARGE)
    age(dock, BEGAN + 1, LARGE)
    dock.receiver.trim(LIMIT, BEGAN)
    assert there(dock) == {name_of(OTHER), name_of(LARGE)}


def test_an_attempt_that_is_cut_off_again_keeps_what_the_first_has_sent(dock: Dock) -> None:
    """It has asked for it, and come no further."""
    dock.send(FIRST)
    begun = cut(dock, LARGE)
    age(dock, BEGAN - 100)
    second = next_agent(dock)
    second.receiver.stock([name_of(FIRST), name_of(LARGE)], "chain")
    next_agent(second).receiver.trim(0, BEGAN)
    assert there(dock) == {name_of(FIRST), name_of(LARGE)}
    assert dock.receiver.cache.begun(name_of(LARGE)) == begun


def test_to_plan_is_no_attempt(dock: Dock) -> None:
    """Who only asks what is there does not keep it there."""
    dock.receiver.stock([name_of(OTHER)])
    dock.send(FIRST)
    age(dock, BEGAN + 1, FIRST)
    dock.receiver.trim(0, BEGAN)
    assert name_of(OTHER) not in there(dock)


def test_an_attempt_that_came_to_send_nothing_removes_nothing(dock: Dock) -> None:
    """Its build failed, say; or it was a `recover`."""
    cut(dock, LARGE)
    age(dock, BEGAN - 100)
    next_agent(dock).receiver.trim(0, BEGAN)
    assert there(dock) == {name_of(OTHER), name_of(LARGE)}


def test_an_attempt_that_asked_for_other_layers_leaves_no_more_than_the_cache_may_have(dock: Dock) -> None:
    """It was refused, say, because what an attempt before it has left takes the room."""
    cut(dock, LARGE)
    age(dock, BEGAN - 100)
    later = next_agent(dock)
    later.receiver.expect([name_of(FIRST)], "chain")
    later.receiver.trim(LIMIT, BEGAN)
    assert there(dock) == {name_of(OTHER)}


def test_the_next_good_end_bounds_what_was_left(dock: Dock) -> None:
    cut(dock, LARGE)
    dock.receiver._indexing.finish()
    dock.receiver.trim(LIMIT)
    assert there(dock) == {name_of(OTHER)}


def test_a_disk_without_its_reserve_gets_back_all(dock: Dock, monkeypatch: pytest.MonkeyPatch) -> None:
    cut(dock, LARGE)
    dock.receiver._indexing.finish()
    monkeypatch.setattr(layer_cache.LayerCache, "free", lambda _: RESERVE)
    dock.receiver.trim(LIMIT, 0.0)
    assert list(dock.folder.iterdir()) == []


@pytest.mark.parametrize("resumable", [True, False])
def test_a_prune_is_about_the_run_that_never_ended(resumable: bool, dock: Dock, tmp_path: Path) -> None:
    """It is the one that ends with this: the next command's settling, or its own end."""
    ledger = Ledger(tmp_path, "chat", "production", create=True)
    who = {"user": "ann", "host": "laptop"}
    ledger.update_run(ledger.begin_run("deploy", who, "R1", {}), {"outcome": "done"})
    ledger.begin_run("deploy", who, "R2", {})
    cut(dock, LARGE)
    dock.receiver.stock([name_of(LARGE)], "chain")
    engine = SimpleNamespace(get=lambda *_, **__: [])
    context: Any = SimpleNamespace(
        receiver=lambda: dock.receiver,
        ledger=lambda: ledger,
        folder=tmp_path,
        docker=SimpleNamespace(engine=engine),
    )
    args = {"keep": [], "layer_cache": 0, "resumable": resumable}
    requests.REQUESTS["prune"].run(requests.Call(cast("requests.Context", context), args, note, None))
    assert there(dock) == ({name_of(LARGE)} if resumable else set())
    ledger.close()
