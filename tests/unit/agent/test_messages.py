"""Messages on a wire: whatever was said arrives as it was, and whatever is no message is found out."""

import hashlib
import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allfast.agent import messages
from allfast.agent.messages import Damaged, Reader, Writer, encode

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters()), inner, max_size=4),
    max_leaves=12,
)
MESSAGES = st.lists(st.dictionaries(st.text(st.characters()), JSON, max_size=4), max_size=8)


def frames(*said: dict[str, Any]) -> bytes:
    writer = Writer()
    return b"".join(writer.frame(encode(message)) for message in said)


def in_pieces(data: bytes, size: int) -> Callable[[int], bytes]:
    """Reads that give no more than `size` bytes at once."""
    source = io.BytesIO(data)
    return lambda wanted: source.read(min(wanted, size))


def framed(packed: bytes) -> bytes:
    return struct.pack(">I", len(packed)) + packed


def packed(data: bytes) -> bytes:
    """One message's bytes as the first frame of a stream, whatever they are."""
    return Writer().frame(data)


@given(MESSAGES, st.integers(1, 40))
def test_what_was_said_arrives(said: list[dict[str, Any]], size: int) -> None:
    """In pieces of any size; text may have halves of surrogate pairs, as names of files do."""
    reader = Reader(in_pieces(frames(*said), size))
    assert [reader.next() for _ in said] == said
    assert reader.next() is None


@given(MESSAGES.filter(bool), st.data())
def test_an_input_that_ends_in_the_middle_has_the_messages_before_it(
    said: list[dict[str, Any]], data: st.DataObject
) -> None:
    whole = frames(*said)
    reader = Reader(io.BytesIO(whole[: data.draw(st.integers(0, len(whole) - 1))]).read)
    found = []
    while (message := reader.next()) is not None:
        found.append(message)
    assert found == said[: len(found)]
    assert len(found) < len(said)


@given(MESSAGES.filter(bool), st.data())
def test_damage_is_an_end_or_is_found_out(said: list[dict[str, Any]], data: st.DataObject) -> None:
    """Nothing else is raised, and it does not go on for ever."""
    whole = bytearray(frames(*said))
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    reader = Reader(io.BytesIO(whole).read)
    try:
        for _ in range(len(said) + 1):
            if reader.next() is None:
                break
    except Damaged:
        pass


def test_what_was_said_before_costs_little() -> None:
    """One context over all messages; and no message ends with what ends every flush."""
    said = {"result": [{"id": hashlib.sha256(bytes([n])).hexdigest(), "state": "running"} for n in range(40)]}
    first, both = len(frames(said)), len(frames(said, said))
    assert both - first < first / 10
    assert len(frames({})) < 10


def test_a_body_after_a_message_is_left_alone() -> None:
    writer = Writer()
    source = io.BytesIO(writer.frame(encode({"body": 4})) + b"\0\0\0\1" + writer.frame(encode({"body": 0})))
    reader = Reader(source.read)
    assert reader.next() == {"body": 4}
    assert source.read(4) == b"\0\0\0\1"
    assert reader.next() == {"body": 0}


def test_a_message_may_have_so_many_bytes_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "MAX_MESSAGE", 1000)
    message = {"a": "x" * (1000 - len(encode({"a": ""})))}
    assert Reader(io.BytesIO(frames(message)).read).next() == message
    with pytest.raises(Damaged, match="more than 1000 bytes"):
        Reader(io.BytesIO(frames({"a": message["a"] + "x"})).read).next()


def test_a_message_that_grows_without_end_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "MAX_MESSAGE", 1 << 20)
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = b"".join(deflate.compress(bytes(1 << 20)) for _ in range(32)) + deflate.flush(zlib.Z_SYNC_FLUSH)
    sizes: list[int] = []

    class Watched:
        """What unpacks, and how much it was allowed to make."""

        def __init__(self) -> None:
            self._inflate = zlib.decompressobj(-15)

        def decompress(self, data: bytes, limit: int) -> bytes:
            sizes.append(limit)
            return self._inflate.decompress(data, limit)

    reader = Reader(io.BytesIO(framed(bomb[:-4])).read)
    reader._inflate = Watched()  # type: ignore[assignment]
    with pytest.raises(Damaged, match=f"more than {messages.MAX_MESSAGE} bytes"):
        reader.next()
    assert sizes == [messages.MAX_MESSAGE + 1]


def test_a_length_that_is_none_is_not_waited_for() -> None:
    """Another protocol's words are taken for a length: nobody waits for so many bytes, or makes room for them."""
    asked: list[int] = []

    def read(size: int) -> bytes:
        asked.append(size)
        return b"HTTP" if size == 4 else b""

    with pytest.raises(Damaged, match="1213486160 bytes"):
        Reader(read).next()
    assert asked == [4]


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (packed(b"[1]"), "no JSON object"),
        (packed(b'{"a":'), "no JSON"),
        (packed(b"\xff{}"), "no JSON"),
        (framed(b""), "no JSON"),
        (framed(b"\x07" * 9), "cannot be unpacked"),
        (framed(zlib.compress(b"{}", 9)[2:-4]), "ends the stream"),
    ],
    ids=["list", "cut", "bytes", "empty", "block", "last"],
)
def test_what_is_no_message(data: bytes, complaint: str) -> None:
    with pytest.raises(Damaged, match=complaint):
        Reader(io.BytesIO(data).read).next()


def test_what_cannot_be_made_smaller_has_room_in_a_frame() -> None:
    """The bound of a frame is above what a message of the greatest size can become."""
    writer, data = Writer(), bytes(1 << 20)
    writer._deflate = zlib.compressobj(0, zlib.DEFLATED, -15)  # stores everything
    assert len(data) < len(writer.frame(data)) < len(data) * messages.MAX_FRAME / messages.MAX_MESSAGE
