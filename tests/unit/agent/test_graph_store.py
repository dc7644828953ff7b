"""A layer's tar put together from a folder's files and a tar-split, whatever order and state they are in."""

import base64
import gzip
import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from allfast.agent import graph_store, parts
from allfast.agent.engine_store import PIECE, Unreadable
from allfast.agent.graph_store import _assembled, _Bodies, _entries
from tests.unit.transfer.recipes import tree

FILES = {"app/a": b"a" * 700, "app/empty": b"", "app/b": b"b" * 512, "app/c": b"c" * 1300}
LAYER = tree(FILES, 1_700_000_000)


def split_of(layer: bytes) -> bytes:
    """The tar-split of a layer, as an engine keeps it."""
    stream, entries = io.BytesIO(layer), list[dict[str, Any]]()
    between = b""
    while (part := parts.next_part(stream.read)) is not None and part.size != parts.REST:
        size = parts.number(part.head[-parts.BLOCK :][parts.SIZE]) or 0
        entries.append({"type": 2, "payload": base64.b64encode(between + part.head).decode()})
        entries.append({"type": 1, "name": parts.name_of(part.head), "size": size, "payload": "crc"})
        between = stream.read(part.size)[size:]
    end = between + (part.head if part else b"") + stream.read()
    entries.append({"type": 2, "payload": base64.b64encode(end).decode()})
    return packed(*entries)


def packed(*entries: dict[str, Any]) -> bytes:
    """A tar-split of these entries."""
    return gzip.compress("".join(json.dumps({**entry, "position": 0}) + "\n" for entry in entries).encode())


def folder(files: dict[str, bytes]) -> bytes:
    """A layer's folder as an engine gives it: with the folder's own name before each file's."""
    return tree({f"0/{name}": body for name, body in files.items()}, 1_800_000_000)


class Reader:
    """A tar that is being read; `asked` are the bytes that were asked for at once."""

    def __init__(self, tar: bytes) -> None:
        self._file = io.BytesIO(tar)
        self.asked: list[int] = []

    def __call__(self, size: int) -> bytes:
        self.asked.append(size)
        return self._file.read(size)


def assembled(tar: bytes, layer: bytes = LAYER) -> bytes:
    return b"".join(_assembled(split_of(layer), _Bodies(Reader(tar))))


def test_entries_are_all_bytes_of_the_tar() -> None:
    entries = list(_entries(split_of(LAYER)))
    assert [name for name, _, _ in entries if name] == list(FILES)
    assert sum(size for _, _, size in entries) == len(LAYER)


def test_a_name_that_is_no_text_is_read() -> None:
    raw = base64.b64encode(b"./app/\xff").decode()
    assert list(_entries(packed({"type": 1, "name_raw": raw, "size": 3}))) == [("app/\udcff", "", 3)]


def test_an_entry_of_another_form_is_not_guessed() -> None:
    with pytest.raises(Unreadable, match="another form"):
        list(_entries(packed({"type": 3})))


@pytest.mark.parametrize("turn", [list, reversed, sorted], ids=["same", "reversed", "sorted"])
def test_the_files_may_come_in_another_order(turn: Callable[[Any], Any]) -> None:
    files = {"more": b"not of this layer", **{name: FILES[name] for name in turn(list(FILES))}}
    assert assembled(folder(files)) == LAYER


@pytest.mark.parametrize("order", [("app/a", "app/c", "app/b"), ("app/c", "app/a", "app/b")], ids=["next", "held"])
def test_a_file_of_another_size_is_not_the_layers(order: tuple[str, ...]) -> None:
    files = {name: FILES[name] for name in order} | {"app/c": b"c" * 100}
    with pytest.raises(Unreadable, match="another size"):
        assembled(folder(files))


def test_a_file_that_is_missing_is_named() -> None:
    with pytest.raises(Unreadable, match="app/b is missing"):
        assembled(folder({name: body for name, body in FILES.items() if name != "app/b"}))


@pytest.mark.parametrize("order", [("app/a",), ("app/c", "app/a")], ids=["wanted now", "wanted later"])
def test_a_folder_that_is_cut_is_noticed(order: tuple[str, ...]) -> None:
    tar = folder({order[0]: bytes(3000)})
    layer = tree({name: bytes(3000) for name in reversed(order)})
    with pytest.raises(Unreadable, match="cut"):
        assembled(tar[: tar.index(bytes(3000)) + 1000], layer)


@pytest.mark.parametrize("wanted", [{"big"}, set[str]()], ids=["wanted later", "not wanted"])
def test_a_large_file_that_is_not_the_next_one_is_not_read_whole(
    wanted: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """More of what is wanted than may wait is not read at all."""
    monkeypatch.setattr(graph_store, "HELD", PIECE)
    read = Reader(folder({"big": bytes(3 * PIECE), "small": b"x" * 10}))
    found = _Bodies(read).get("small", 10, wanted)
    if wanted:
        with pytest.raises(Unreadable, match="another order"):
            list(found)
        assert sum(read.asked) < PIECE
    else:
        assert b"".join(found) == b"x" * 10
        assert max(read.asked) == PIECE
