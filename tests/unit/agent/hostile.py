"""Damaged and hostile streams for an agent's receiver, each made by one number."""

import hashlib
import random
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import zstandard

from allfast.agent import recipe, unpack
from allfast.agent.recipe import LIMIT, framed, pack_number, pack_signed, unframed
from allfast.transfer import steps
from tests.unit.agent.ways import WAYS, codec_of
from tests.unit.transfer.recipes import encoded, known, name, tree

#: Bytes that a bomb becomes.
BOMB = 1 << 29


def files(seed: int) -> dict[str, bytes]:
    """Some small files, two of one name and another content for each seed, and one with chunks."""
    made = {f"app/{n}.js": random.Random(n).randbytes(50 * n) for n in range(20)}
    made["d" * 120 + "/changed"] = b"said" * 500 + b"%d" % seed + b"again" * 500
    made["new"] = random.Random(seed).randbytes(3000)
    made["model.bin"] = random.Random(7).randbytes(70_000) + b"%d" % seed
    return made


#: What the server has in its cache, what its engine has, and what comes.
OLD, COLD, NEW = tree(files(1), 1), tree({"cold": random.Random(3).randbytes(9000), **files(2)}, 2), tree(files(3), 3)


def diff_id(layer: bytes) -> str:
    return "sha256:" + hashlib.sha256(layer).hexdigest()


@dataclass(frozen=True)
class Stream:
    """A layer as it comes: the words of its request, its batches, what is there of it, and what unpacks it."""

    way: str
    layer: str
    size: int
    begin: int
    batches: list[bytes]
    part: bytes | None = None


@dataclass(frozen=True)
class Honest:
    """A recipe of the new layer as a laptop sends it, and control and data of its batches before they were packed."""

    codec: str
    begin: int
    batches: list[bytes]
    plain: list[tuple[bytes, bytes]]


def honest() -> list[Honest]:
    """Recipes in each codec, in several batches; from the beginning, and from the middle on."""
    made = []
    with mock.patch.multiple(steps, CONTROL=400, DATA=4000):
        for codec in (unpack.ZLIB, unpack.ZSTD):
            for bases in ([OLD, COLD], []):
                for begin in (0, len(NEW) // 2):
                    batches, _, _ = encoded(NEW, [known(base) for base in bases], begin, codec)
                    made.append(Honest(codec, begin, batches, list(unpacked(codec, batches))))
    return made


def unpacked(codec: str, batches: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    with unpack.streams(codec) as streams:
        for batch in batches:
            control, data = (
                make(piece) if piece else b"" for make, piece in zip(streams, unframed(batch), strict=True)
            )
            yield control, data


def packer(codec: str) -> Callable[[bytes], bytes]:
    """As a laptop's, and cheaper."""
    if codec == unpack.ZLIB:
        deflate = zlib.compressobj(1, zlib.DEFLATED, -15)
        return lambda plain: deflate.compress(plain) + deflate.flush(zlib.Z_SYNC_FLUSH)
    chosen = zstandard.ZstdCompressionParameters.from_level(1, window_log=17, write_content_size=False)
    frame = zstandard.ZstdCompressor(compression_params=chosen).compressobj()
    return lambda plain: frame.compress(plain) + frame.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)


def packed(codec: str, plain: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
    control, data = packer(codec), packer(codec)
    return [framed(control(one) if one else b"", data(other) if other else b"") for one, other in plain]


def wide() -> bytes:
    """A frame of zstd that says it needs a window of 128 MiB."""
    chosen = zstandard.ZstdCompressionParameters(window_log=27, write_content_size=False)
    frame = zstandard.ZstdCompressor(compression_params=chosen).compressobj()
    return frame.compress(b"wide") + frame.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)


def bomb(codec: str) -> bytes:
    """A small piece that becomes a large one."""
    pack, piece = packer(codec), bytes(1 << 20)
    return pack(piece) + pack(piece) * (BOMB // len(piece) - 1)


class Maker:
    """Makes the stream of a number, always the same one."""

    def __init__(self) -> None:
        self._honest = honest()
        self._bombs = {codec: bomb(codec) for codec in (unpack.ZLIB, unpack.ZSTD)}
        self._wide = wide()

    def stream(self, seed: int) -> Stream:
        """That of one number."""
        source = random.Random(seed)
        way = source.choice(WAYS)
        ours = [one for one in self._honest if one.codec == codec_of(way)]
        one = source.choice(ours)
        make = source.choice(
            [self._damaged, self._damaged, self._edited, self._edited, self._invented, self._exploding]
        )
        batches = make(source, one, source.choice(self._honest))
        made = Stream(way, diff_id(NEW), len(NEW), one.begin, batches, NEW[: one.begin] if one.begin else None)
        if make == self._invented:
            made = replace(made, size=source.randrange(1, 200_000), begin=0)
        return words_changed(source, made) if source.random() < 0.2 else made

    def _damaged(self, source: random.Random, one: Honest, other: Honest) -> list[bytes]:
        """What is on the wire is changed."""
        return rearranged(source, one.batches, other.batches, changed)

    def _edited(self, source: random.Random, one: Honest, other: Honest) -> list[bytes]:
        """What is packed is changed, and packed as it should be."""

        def edited(source: random.Random, batch: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
            control, data = batch
            if source.random() < 0.7:
                return changed(source, control), data
            return control, changed(source, data)

        return packed(one.codec, rearranged(source, one.plain, other.plain, edited))

    def _invented(self, source: random.Random, one: Honest, _: Honest) -> list[bytes]:
        """Steps that no laptop would write."""
        names = bytes([recipe.VERSION]) + b"".join(
            step(source, recipe.BASE) for _ in range(source.choice([0, 1, 2, 2, 3, 80]))
        )
        plain = []
        for number in range(source.randrange(1, 5)):
            made = b"".join(step(source, source.randrange(15)) for _ in range(source.randrange(12)))
            plain.append((names * (not number) + made, source.randbytes(source.choice([0, 0, 3, 2000]))))
        return packed(one.codec, plain)

    def _exploding(self, source: random.Random, one: Honest, _: Honest) -> list[bytes]:
        """Pieces that become large, or want much memory, behind some that do not; or of more than a batch may have."""
        large = self._bombs[one.codec]
        pieces = source.choice([(large, b""), (b"", large), (self._wide, b""), (bytes(2 * LIMIT), bytes(2 * LIMIT))])
        before = one.batches[: source.randrange(len(one.batches))] if pieces[0] != self._wide else []
        return [*before, framed(*pieces)]


def rearranged(source: random.Random, ours: list[Any], others: list[Any], change: Callable[..., Any]) -> list[Any]:
    """Batches changed, left out, doubled, in another order, with those of another recipe among them."""
    made = list(ours)
    for _ in range(source.randrange(1, 4)):
        at, to = source.randrange(len(made)), source.randrange(len(made))
        match source.randrange(7):
            case 0 if len(made) > 1:
                del made[at]
            case 1:
                made.insert(to, made[at])
            case 2:
                made[at], made[to] = made[to], made[at]
            case 3:
                made.insert(at, source.choice(others))
            case _:
                made[at] = change(source, made[at])
    return made


def changed(source: random.Random, data: bytes) -> bytes:
    """A bit of it, or some bytes, are others; or it is cut."""
    at = source.randrange(len(data) + 1)
    match source.randrange(4):
        case 0 if at < len(data):
            return data[:at] + bytes([data[at] ^ 1 << source.randrange(8)]) + data[at + 1 :]
        case 1:
            return data[:at] + source.randbytes(source.choice([1, 4, 30])) + data[at + source.choice([0, 1, 9]) :]
        case 2:
            return data[:at] + pack_number(number(source)) + data[at + 1 :]
        case _:
            return data[:at]


def number(source: random.Random) -> int:
    """Mostly one that may be meant."""
    near = 1 << source.randrange(72)
    return source.choice([0, 1, source.randrange(6), source.randrange(30), source.randrange(70_000), near, near - 1])


#: How many numbers a step has.
NUMBERS = {recipe.SAME: 1, recipe.TIME: 1, recipe.TOUCHED: 1, recipe.HEAD_SIZED: 1, recipe.DATA: 1} | dict.fromkeys(
    (recipe.AT, recipe.LOOK, recipe.COPY), 2
)


def step(source: random.Random, kind: int) -> bytes:
    """A step of that kind, which may be none."""
    if kind == recipe.BASE:
        return bytes([kind]) + source.choice([name(OLD), name(OLD), name(COLD), name(NEW), source.randbytes(6)])
    if kind == recipe.NEW:
        data = source.randbytes(source.randrange(20))
        return bytes([kind]) + pack_number(source.choice([len(data), len(data), number(source)])) + data
    values = [number(source) for _ in range(NUMBERS.get(kind, 0))]
    return bytes([kind]) + b"".join(source.choice([pack_number, pack_signed])(value) for value in values)


def words_changed(source: random.Random, made: Stream) -> Stream:
    """The request says other things than an honest one."""
    layers = [made.layer, diff_id(OLD), diff_id(COLD), "sha256:" + source.randbytes(32).hex(), *NO_LAYERS]
    sizes = [made.size, made.size - 1, made.size + 1, 0, -1, 1 << 31, 1 << 63, 1 << 80]
    size = source.choice(sizes)
    begin = source.choice([made.begin, 0, 1, -1, size - 1, size, 1 << 63])
    part = source.choice([made.part, None, NEW[: source.randrange(9000)], source.randbytes(source.randrange(9000))])
    return replace(made, layer=source.choice(layers), size=size, begin=begin, part=part)


#: What is no diff id, and would lead elsewhere as a file's name.
NO_LAYERS = (
    "../../elsewhere/file",
    "sha256:../../../elsewhere/file",
    "sha256:" + "../" * 21 + "x",
    "sha256:" + "0" * 63 + "/",
    "sha256:" + "A" * 64,
    "sha256:" + "0" * 64 + "\n",
    "sha256:" + "0" * 63 + "\0",
    "",
)
