"""Tars of every kind, and the way of a layer through a recipe, for the tests of both ends."""

import hashlib
import io
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from hypothesis import strategies as st

from allfast.agent import index, outlines, recipe, unpack
from allfast.agent.index import Index
from allfast.transfer.bases import Bases, Known
from allfast.transfer.encode import Encoder

TYPES = (
    tarfile.REGTYPE,
    tarfile.AREGTYPE,
    tarfile.CONTTYPE,
    tarfile.GNUTYPE_SPARSE,
    tarfile.DIRTYPE,
    tarfile.LNKTYPE,
    tarfile.SYMTYPE,
    tarfile.CHRTYPE,
    tarfile.BLKTYPE,
    tarfile.FIFOTYPE,
)
NAMES = st.one_of(
    st.sampled_from(["a", "app/.wh.gone", "app/.wh..wh..opq", "app/node_modules/x/index.js", "d" * 130 + "/f" * 80]),
    st.sampled_from(["not-utf-8-\udcff\udcfe", "long-and-not-utf-8-\udcff" * 9]),
    st.text("abc/é. ", min_size=1, max_size=300),
)
BODIES = st.one_of(
    st.just(b""),
    st.binary(max_size=2000),
    st.builds(lambda piece, times: piece * times, st.binary(min_size=1, max_size=300), st.integers(1, 3000)),
)
XATTRS = st.dictionaries(st.sampled_from(["SCHILY.xattr.user.a", "SCHILY.xattr.security.capability"]), st.text("xyz"))


@st.composite
def members(draw: st.DrawFn) -> tuple[tarfile.TarInfo, bytes]:
    """An entry of any type, and its body."""
    member = tarfile.TarInfo(draw(NAMES))
    member.type = draw(st.sampled_from(TYPES))
    member.mode, member.uid = draw(st.integers(0, 0o7777)), draw(st.sampled_from([0, 1000, 2**21 - 1]))
    member.mtime = draw(st.one_of(st.integers(0, 2**31), st.floats(0, 2e9)))
    member.linkname = draw(NAMES) if member.type in (tarfile.LNKTYPE, tarfile.SYMTYPE) else ""
    member.pax_headers = draw(XATTRS)
    member.devmajor, member.devminor = draw(st.sampled_from([(0, 0), (1, 3), (259, 7)]))
    body = draw(BODIES) if member.isreg() and member.type != tarfile.GNUTYPE_SPARSE else b""
    member.size = len(body)
    return member, body


def checked(block: bytes) -> bytes:
    """A header with its right checksum."""
    plain = block[:148] + b" " * 8 + block[156:]
    return plain[:148] + b"%06o\0 " % sum(plain) + plain[156:]


def filled(body: bytes) -> bytes:
    """A body with the zeros that fill its last block."""
    return body + bytes(-len(body) % 512)


@st.composite
def sparse(draw: st.DrawFn) -> bytes:
    """An old GNU sparse file, with as many blocks of its map behind the header as it takes."""
    member = tarfile.TarInfo(draw(st.sampled_from(["disk.img", "var/log/lastlog"])))
    member.type, member.mtime = tarfile.GNUTYPE_SPARSE, draw(st.integers(0, 2**31))
    size = draw(st.integers(1, 600))
    pieces = [bytes([number]) * size for number in range(draw(st.sampled_from([0, 3, 4, 5, 25, 26, 50])))]
    body = b"".join(map(filled, pieces))
    member.size = len(body)
    told = [b"%011o\0%011o\0" % (number * 65536, len(piece)) for number, piece in enumerate(pieces)]
    behind = [told[at : at + 21] for at in range(4, len(told), 21)]
    block = member.tobuf(tarfile.GNU_FORMAT)
    real = b"%011o\0" % (len(pieces) * 65536)
    head = block[:386] + b"".join(told[:4]).ljust(96, b"\0") + bytes([bool(behind)]) + real + block[495:]
    more = [b"".join(some).ljust(504, b"\0") + bytes([some is not behind[-1]]) + bytes(7) for some in behind]
    return checked(head) + b"".join(more) + body


@st.composite
def v7(draw: st.DrawFn) -> bytes:
    """A file as the oldest tars have it: without the fields that came later."""
    member, body = tarfile.TarInfo(draw(st.sampled_from(["a", "dir/a"]))), draw(BODIES)
    member.size, member.mtime = len(body), draw(st.integers(0, 2**31))
    return checked(member.tobuf(tarfile.USTAR_FORMAT)[:257] + bytes(255)) + filled(body)


def sized_in_pax(name: str, body: bytes) -> bytes:
    """A file whose size stands in a PAX record alone, as that of one of 8 GiB and more."""
    member = tarfile.TarInfo(name)
    member.pax_headers = {"size": str(len(body))}
    return member.tobuf(tarfile.PAX_FORMAT) + filled(body)


def sized_in_base_256(name: str, body: bytes) -> bytes:
    """A file whose size is a number in base 256, as GNU tar has that of one of 8 GiB and more."""
    block = tarfile.TarInfo(name).tobuf(tarfile.GNU_FORMAT)
    return checked(block[:124] + b"\x80" + len(body).to_bytes(11, "big") + block[136:]) + filled(body)


#: A file whose size is written as that of a large one.
LARGE = st.builds(
    lambda write, name, body: write(name, body),
    st.sampled_from([sized_in_pax, sized_in_base_256]),
    st.sampled_from(["a", "dir/a"]),
    BODIES,
)


#: A header for all entries that follow, as `git archive` writes it.
GLOBAL = st.builds(
    lambda comment: tarfile.TarInfo.create_pax_global_header({"comment": comment}), st.sampled_from(["a" * 40, "é"])
)


@st.composite
def tars(draw: st.DrawFn) -> bytes:
    """A tar in one of the formats, with any padding after its end; perhaps another one behind it."""
    data, _ = draw(counted())
    more = draw(st.one_of(st.just(b""), counted().map(lambda one: one[0])))
    return data + bytes(draw(st.sampled_from([0, 1, 512, 10240]))) + more


@st.composite
def counted(draw: st.DrawFn) -> tuple[bytes, int]:
    """A tar in one of the formats, and how many entries it has."""
    written, count = io.BytesIO(), 0
    form = draw(st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]))
    with tarfile.open(fileobj=written, mode="w", format=form) as tar:
        for entry in draw(st.lists(st.one_of(members(), members(), sparse(), v7(), LARGE, GLOBAL), max_size=8)):
            if isinstance(entry, bytes):
                written.write(entry)
                count += entry[156:157] != b"g"
            else:
                tar.addfile(entry[0], io.BytesIO(entry[1]))
                count += 1
    return written.getvalue(), count


@st.composite
def changed(draw: st.DrawFn, data: bytes) -> bytes:
    """The same bytes with some of them replaced, put in, taken out, or the end cut off."""
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(st.binary(max_size=600)) + data[at + draw(st.sampled_from([0, 1, 7, 512, 5000])) :]
    return data


def tree(files: dict[str, bytes], mtime: int = 0, form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar of files that were all changed at one time."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for name, body in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(body), mtime
            tar.addfile(member, io.BytesIO(body))
    return out.getvalue()


def known(data: bytes, contents: bool = True) -> Known:
    """A layer as both ends know it."""
    made = index.build(io.BytesIO(data).read)

    def content(part: int) -> bytes | None:
        start, size = made.body(part)
        return data[start : start + size] if contents else None

    return Known(name(data), made, content)


def name(data: bytes) -> bytes:
    """How a recipe names a layer."""
    return hashlib.sha256(data).digest()[: recipe.NAME]


@contextmanager
def cached(data: bytes) -> Iterator[recipe.Base]:
    """A layer as the server takes it out of its cache."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        yield outlines.base(file, outlines.outline_of(file))


def encoded(
    data: bytes, bases: Sequence[Known], begin: int = 0, codec: str = unpack.ZLIB
) -> tuple[list[bytes], list[int], Index]:
    """A layer's batches, how far the layer is there after each, and its index."""
    encoder = Encoder(Bases(bases), begin, codec)
    batches = list(encoder.batches(io.BytesIO(data).read))
    return [batch.data for batch in batches], [batch.end for batch in batches], encoder.index


def decoded(
    batches: Sequence[bytes],
    bases: Sequence[bytes],
    left: int,
    write: Callable[[bytes], object],
    codec: str = unpack.ZLIB,
) -> int:
    """Carry out batches; how many bytes are still to be made."""
    there = {name(data): data for data in bases}

    def find(wanted: bytes) -> recipe.Base:
        if wanted not in there:
            raise recipe.BadRecipe("no such base")
        return opened.enter_context(cached(there[wanted]))

    with ExitStack() as opened:
        streams = opened.enter_context(unpack.streams(codec))
        decoder = recipe.Decoder(find, left, write, streams)
        for batch in batches:
            decoder.batch(*recipe.unframed(batch))
    return decoder.left
