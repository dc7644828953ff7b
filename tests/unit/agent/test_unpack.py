"""What unpacks recipes: whatever comes, it is refused or stays within bounds; and it is what the machine has."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from allfast.agent import libzstd, unpack
from allfast.agent.protocol import AgentError, Kind
from allfast.agent.recipe import LIMIT, BadRecipe, Unpack
from allfast.transfer import pack
from tests.limits import bound_memory
from tests.unit.agent.ways import WAYS, codec_of, is_zstd, server_with
from tests.unit.transfer.recipes import changed

CODECS = unpack.codecs()
#: Bytes that a process may have more than when it begins to unpack.
ROOM = 128 << 20
PIECES = st.lists(
    st.one_of(
        st.binary(max_size=3000), st.builds(lambda piece, n: piece * n, st.binary(max_size=9), st.integers(0, 9999))
    ),
    max_size=6,
)


@contextmanager
def stream(way: str) -> Iterator[Unpack]:
    """One stream of those that a server would have."""
    with server_with(way), unpack.streams(codec_of(way)) as (control, _):
        yield control


def packed(way: str, pieces: Sequence[bytes]) -> list[bytes]:
    packer = pack.packer(codec_of(way))
    return [packer.pack(piece) for piece in pieces]


def unpacked(way: str, pieces: Sequence[bytes]) -> list[bytes]:
    with stream(way) as control:
        return [control(piece) for piece in pieces]


def frame(plain: bytes, window: int, end: bool = False) -> bytes:
    """A zstd stream with a window of that power of two."""
    chosen = zstandard.ZstdCompressionParameters(window_log=window, write_content_size=False)
    packer = zstandard.ZstdCompressor(compression_params=chosen).compressobj()
    last = zstandard.COMPRESSOBJ_FLUSH_FINISH if end else zstandard.COMPRESSOBJ_FLUSH_BLOCK
    return packer.compress(plain) + packer.flush(last)


def test_this_machine_has_zstd() -> None:
    """Else what follows would say little."""
    assert CODECS == ["zstd", "zlib"]


def test_each_way_is_taken() -> None:
    found = []
    for way in WAYS:
        with stream(way) as control:
            found.append(type(control.__self__).__module__)  # type: ignore[attr-defined]
    assert found == [unpack.__name__, unpack.__name__, libzstd.__name__]


@given(way=st.sampled_from(WAYS), pieces=PIECES)
def test_each_piece_comes_out_when_it_has_come(way: str, pieces: list[bytes]) -> None:
    assert unpacked(way, packed(way, pieces)) == pieces


@pytest.mark.parametrize("way", WAYS)
def test_a_piece_may_have_as_many_bytes_as_the_limit(way: str) -> None:
    most = os.urandom(LIMIT // 2) + bytes(LIMIT - LIMIT // 2)
    assert unpacked(way, packed(way, [most, b"x", most])) == [most, b"x", most]
    with pytest.raises(BadRecipe, match="too large"):
        unpacked(way, packed(way, [most + b"x"]))


@given(st.data())
@settings(max_examples=300)
def test_damaged_pieces_are_refused_or_stay_within_bounds(draw: st.DataObject) -> None:
    way = draw.draw(st.sampled_from(WAYS))
    pieces = [draw.draw(changed(piece)) for piece in packed(way, draw.draw(PIECES))]
    with stream(way) as control:
        for piece in pieces:
            try:
                plain = control(piece)
            except BadRecipe:
                return
            assert len(plain) <= LIMIT


@given(way=st.sampled_from(WAYS), garbage=st.binary(max_size=3000))
def test_garbage_is_refused_or_stays_within_bounds(way: str, garbage: bytes) -> None:
    magic = frame(b"", 20)[:6] if is_zstd(way) else b""
    for piece in (garbage, magic + garbage):
        with contextlib.suppress(BadRecipe):
            assert all(len(plain) <= LIMIT for plain in unpacked(way, [piece, piece]))


@pytest.mark.parametrize("way", WAYS)
def test_a_stream_does_not_end(way: str) -> None:
    """What came after its end would be another stream, which no encoder makes."""
    import zlib

    whole = frame(b"abc", 20, end=True) if is_zstd(way) else zlib.compress(b"abc", wbits=-15)
    for piece in (whole, whole + packed(way, [b"more"])[0]):
        with pytest.raises(BadRecipe, match="ends"):
            unpacked(way, [piece])


@pytest.mark.parametrize("way", WAYS[1:])
def test_a_window_that_is_too_large_is_refused(way: str) -> None:
    assert unpacked(way, [frame(b"abc", unpack.WINDOW)]) == [b"abc"]
    with pytest.raises(BadRecipe, match="memory"):
        unpacked(way, [frame(b"abc", unpack.WINDOW + 1)])


def explode(way: str) -> None:
    """A small piece that would become a quarter of a gigabyte is refused."""
    bomb = packed(way, [bytes(1 << 28)])[0]
    bound_memory(ROOM)
    with pytest.raises(BadRecipe, match="too large"):
        unpacked(way, [bomb])


def one_after_the_other(way: str) -> None:
    """Each stream has its window in memory; together they would have three times what there is."""
    full = packed(way, [os.urandom(LIMIT)] * 3)
    bound_memory(ROOM)
    for _ in range(40):
        assert len(unpacked(way, full)) == 3


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("work", [explode, one_after_the_other])
def test_memory_is_bounded(work: Callable[[str], None], way: str) -> None:
    script = f"from tests.unit.agent import test_unpack; test_unpack.{work.__name__}({way!r})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr


def environment(**more: str) -> dict[str, str]:
    """For a Python of its own."""
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), **more}


def test_a_stream_that_is_closed_is_of_no_use() -> None:
    stream = libzstd.Stream(libzstd.load(), unpack.WINDOW)
    stream.close()
    stream.close()
    with pytest.raises(BadRecipe, match="closed"):
        stream.unpack(frame(b"abc", 20))


def test_a_codec_that_is_not_here_is_refused() -> None:
    with pytest.raises(AgentError) as caught, unpack.streams("brotli"):
        pass
    assert caught.value.kind == Kind.BAD_REQUEST


@pytest.mark.parametrize("other", ["/dev/null", "libc.so"])
def test_without_a_library_that_works_there_is_zlib(other: str, tmp_path: Path) -> None:
    """The loader finds what is no library, and one that lacks zstd's functions as one that is too old does."""
    mapped = [line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines()]
    (tmp_path / libzstd.NAME).symlink_to(next((path for path in mapped if other in path), other))
    argv = [sys.executable, "-c", "from allfast.agent import unpack; print(*unpack.codecs())"]
    for folder, expected in (("", "zstd zlib"), (str(tmp_path), "zlib")):
        done = subprocess.run(argv, env=environment(LD_LIBRARY_PATH=folder), capture_output=True, text=True)
        assert done.stdout.strip() == expected, done.stderr


def test_the_laptop_takes_the_best_that_both_have() -> None:
    assert pack.choose(["zstd", "zlib"]) == "zstd"
    assert pack.choose(["zlib"]) == "zlib"
    assert pack.choose(["later", "zlib"]) == "zlib"
