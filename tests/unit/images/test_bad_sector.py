"""Layers of the cache that the server's disk cannot read any more: as a base, as a beginning, when they are loaded."""

from __future__ import annotations

import errno
import io
import os
import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from allfast.agent.answer import Answer
from allfast.agent.engine import Engine
from allfast.agent.layer_cache import LayerCache
from allfast.agent.outlines import readable
from allfast.agent.protocol import AgentError, Kind
from allfast.agent.receive import Receiver
from allfast.images.sending import Fate
from tests.unit.agent.test_receive import config_of
from tests.unit.images.harbour import Harbour, Laptop, name_of
from tests.unit.transfer.recipes import tree

FILES = {f"app/{n}.js": random.Random(n).randbytes(3000) for n in range(200)}
OLD, NEW = tree(FILES, 1), tree({**FILES, "app/x": b"x"}, 2)
Spoil = Callable[[Path], None]


def unreadable() -> bytes:
    """What a read of a bad sector comes to."""
    raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.fixture
def spoil(monkeypatch: pytest.MonkeyPatch) -> Spoil:
    """Makes a file one that cannot be read, whoever opens it in the cache; it can still be written and measured."""
    bad: list[Path] = []
    pread, fdopen, opened = os.pread, os.fdopen, LayerCache._open

    def is_bad(number: int) -> bool:
        return os.fstat(number).st_size > 0 and Path(f"/proc/self/fd/{number}").readlink() in bad

    def spoilt(file: Any) -> Any:
        if not is_bad(file.fileno()):
            return file
        kind = io.BufferedRandom if file.writable() else io.BufferedReader
        return type("Spoilt", (kind,), {"read": lambda *_: unreadable()})(file.detach())

    monkeypatch.setattr(os, "pread", lambda number, *rest: unreadable() if is_bad(number) else pread(number, *rest))
    monkeypatch.setattr(os, "fdopen", lambda number, *rest: spoilt(fdopen(number, *rest)))
    monkeypatch.setattr(LayerCache, "_open", lambda cache, layer: spoilt(opened(cache, layer)))
    return bad.append


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_a_process_without_descriptors_or_memory_says_nothing_of_the_disk(number: int) -> None:
    with pytest.raises(OSError, match="no more"), readable():
        raise OSError(number, "no more")


@pytest.fixture
def laptop(tmp_path: Path) -> Laptop:
    return Laptop(Harbour(tmp_path / "server"), tmp_path / "laptop")


@pytest.mark.parametrize("indexed", [True, False])
def test_a_base_that_cannot_be_read_goes_and_the_layer_comes_without_it(
    indexed: bool, laptop: Laptop, spoil: Spoil
) -> None:
    """Also where it has to be taken apart before anything is copied from it."""
    laptop.send(OLD)
    cache = laptop.harbour.cache
    laptop.harbour.receiver._indexing.finish()
    if not indexed:
        cache.index_file(name_of(OLD)).unlink()
    spoil(cache.whole(name_of(OLD)))
    laptop.next_shipment()
    assert [laptop.attempt(NEW), laptop.attempt(NEW)] == [Fate.DAMAGED, Fate.ARRIVED]
    assert [layer for layer, _ in cache.layers()] == [name_of(NEW)]


def test_a_beginning_that_cannot_be_read_is_made_anew(laptop: Laptop, spoil: Spoil) -> None:
    laptop.harbour.cache.make()
    laptop.harbour.cache.part(name_of(NEW)).write_bytes(NEW[:100_000])
    spoil(laptop.harbour.cache.part(name_of(NEW)))
    assert [laptop.attempt(NEW), laptop.attempt(NEW)] == [Fate.DAMAGED, Fate.ARRIVED]


class Taking(Engine):
    """It takes whatever it is given."""

    @contextmanager
    def stream(
        self, method: str, path: str, body: Iterable[bytes] | None = None, *_: Any, **__: Any
    ) -> Iterator[Answer]:
        """All of the body."""
        for _piece in body or ():
            pass
        raise AssertionError("the archive has come to its end")
        yield


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> Spoil:
    """Makes a file one that cannot even be opened."""
    bad: list[Path] = []
    opened = Path.open

    def open_file(path: Path, *rest: Any, **more: Any) -> Any:
        return unreadable() if path in bad else opened(path, *rest, **more)

    monkeypatch.setattr(Path, "open", open_file)
    return bad.append


def test_a_base_that_cannot_be_opened_goes_and_the_layer_comes_without_it(laptop: Laptop, closed: Spoil) -> None:
    laptop.send(OLD)
    cache = laptop.harbour.cache
    laptop.harbour.receiver._indexing.finish()
    closed(cache.whole(name_of(OLD)))
    laptop.next_shipment()
    assert [laptop.attempt(NEW), laptop.attempt(NEW)] == [Fate.DAMAGED, Fate.ARRIVED]
    laptop.harbour.receiver._indexing.finish()
    assert [layer for layer, _ in cache.layers()] == [name_of(NEW)]


def test_a_layer_that_cannot_be_opened_for_a_load_is_to_be_sent_again(tmp_path: Path, closed: Spoil) -> None:
    receiver = Receiver(Taking("/nowhere"), tmp_path, dict)
    receiver.cache.make()
    receiver.cache.whole(name_of(OLD)).write_bytes(OLD)
    closed(receiver.cache.whole(name_of(OLD)))
    with pytest.raises(AgentError, match=f"{name_of(OLD)} was damaged .* cannot be read") as caught:
        receiver.load(config_of([name_of(OLD)]), [len(OLD)], [0], 10 * len(OLD))
    assert caught.value.kind == Kind.BAD_DIGEST
    assert receiver.cache.layers() == []


def test_a_layer_that_may_not_be_opened_is_no_damaged_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its disk is in order, and it stays: the error names its file."""
    receiver = Receiver(Taking("/nowhere"), tmp_path, dict)
    receiver.cache.make()
    path = receiver.cache.whole(name_of(OLD))
    path.write_bytes(OLD)

    def forbidden(path: Path, *_: Any) -> Any:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "open", forbidden)
    with pytest.raises(PermissionError, match=str(path)):
        receiver.load(config_of([name_of(OLD)]), [len(OLD)], [0], 10 * len(OLD))
    assert path.exists()


@pytest.mark.parametrize("checked", [True, False])
def test_a_layer_that_cannot_be_read_for_a_load_is_to_be_sent_again(
    checked: bool, tmp_path: Path, spoil: Spoil
) -> None:
    """It is no fault of the engine's; whether the layer came to this process or to one before."""
    receiver = Receiver(Taking("/nowhere"), tmp_path, dict)
    receiver.cache.make()
    receiver.cache.whole(name_of(OLD)).write_bytes(OLD)
    if checked:
        receiver._checked.add(name_of(OLD))
    spoil(receiver.cache.whole(name_of(OLD)))
    with pytest.raises(AgentError, match=f"{name_of(OLD)} was damaged .* cannot be read") as caught:
        receiver.load(config_of([name_of(OLD)]), [len(OLD)], [0], 10 * len(OLD))
    assert caught.value.kind == Kind.BAD_DIGEST
    assert receiver.cache.layers() == []
