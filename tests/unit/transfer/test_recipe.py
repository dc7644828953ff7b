"""Recipes: any bytes come out as they went in, and nothing that comes over the wire does harm."""

import contextlib
import io
import random
import tarfile
import tracemalloc
from typing import Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from allfast.agent import chunks, index, parts, recipe, unpack
from allfast.agent.recipe import BadRecipe
from allfast.transfer import encode, pack
from allfast.transfer.encode import Chunks
from tests.unit.transfer.recipes import (
    cached,
    changed,
    counted,
    decoded,
    encoded,
    known,
    name,
    sized_in_base_256,
    sized_in_pax,
    tars,
    tree,
)

CODECS = st.sampled_from(unpack.codecs())


def rebuilt(data: bytes, bases: list[bytes], begin: int = 0, contents: bool = True, codec: str = "zlib") -> bytes:
    made = bytearray(data[:begin])
    batches, ends, own = encoded(data, [known(one, contents) for one in bases], begin, codec)
    assert decoded(batches, bases, len(data) - begin, made.extend, codec) == 0
    assert (ends[-1] if ends else begin) == len(data) == own.size
    assert own.to_bytes() == index.build(io.BytesIO(data).read).to_bytes()
    return bytes(made)


@given(data=st.one_of(tars(), st.binary(max_size=5000)), bases=st.lists(tars(), max_size=3), codec=CODECS)
def test_any_bytes_come_out_as_they_went_in(data: bytes, bases: list[bytes], codec: str) -> None:
    assert rebuilt(data, bases, codec=codec) == data


@given(st.data(), st.booleans(), CODECS)
def test_a_changed_layer_comes_out_as_it_went_in(draw: st.DataObject, contents: bool, codec: str) -> None:
    old = draw.draw(tars())
    new = draw.draw(changed(old))
    begin = draw.draw(st.integers(0, len(new)))
    assert rebuilt(new, [draw.draw(tars()), old], begin, contents, codec) == new


@given(data=st.data(), contents=st.booleans(), codec=CODECS)
@settings(max_examples=8)
def test_a_big_body_before_others_comes_out_as_it_went_in(data: st.DataObject, contents: bool, codec: str) -> None:
    """It is not read as a whole; some of it may be there already."""
    big = random.Random(data.draw(st.integers(0, 2**32))).randbytes(encode.WHOLE + data.draw(st.integers(1, 200_000)))
    old, new = (tree({"first": b"1", "big": body, "last": b"2" * 3000}) for body in (big, data.draw(changed(big))))
    begin = data.draw(st.integers(0, len(new)) | st.integers(2000, encode.WHOLE))
    bases = data.draw(st.sampled_from([[], [old]]))
    assert rebuilt(new, bases, begin, contents, codec) == new


@given(counted())
@example((sized_in_pax("one", b"x" * 600) + sized_in_pax("two", b"y") + bytes(1024), 2))
@example((sized_in_base_256("one", b"x" * 600) + sized_in_base_256("two", b"y") + bytes(1024), 2))
def test_every_entry_of_a_tar_is_a_part(tar: tuple[bytes, int]) -> None:
    """So that each is found again by itself; the end of the tar is one more."""
    data, count = tar
    assert len(index.build(io.BytesIO(data).read)) == count + 1


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
@pytest.mark.parametrize("size", [(8 << 30) - 1, 8 << 30, (100 << 30) + 1])
def test_a_file_of_any_size_is_a_part(form: Literal[1, 2], size: int) -> None:
    """From 8 GiB on its size is no octal number of a header any more."""
    member = tarfile.TarInfo("model.bin")
    member.size = size
    head = member.tobuf(form)
    assert parts.next_part(io.BytesIO(head).read) == (head, parts.padded(size))


@given(st.one_of(tars(), tars().flatmap(changed), st.binary(max_size=3000)))
@example(tree({"cut in its body": bytes(3000)})[:1000])
@example(tree({"cut in its head": b""})[:100])
def test_both_ends_take_a_layer_apart_in_the_same_way(data: bytes) -> None:
    """The laptop by its index; the server by a file of its cache, of which it reads the heads alone."""
    told = index.build(io.BytesIO(data).read)
    with cached(data) as base:
        assert base.starts == told.starts
        assert list(base.bodies) == [told.body(part)[0] for part in range(len(told))]


def test_a_tar_that_ends_within_a_big_body_has_one_index_on_both_ends() -> None:
    data = tree({"big": bytes(chunks.CHUNKED)})[: chunks.CHUNKED // 2]
    assert rebuilt(data, []) == data


def test_chunks_of_any_size_are_one_stream() -> None:
    """Also empty ones, as a decompressor gives them."""
    stream = Chunks([b"", b"abc", b"", b"defg", b"", b""])
    assert [stream.read(n) for n in (2, 0, 3, 9, 1)] == [b"ab", b"", b"cde", b"fg", b""]


def some_files(count: int) -> dict[str, bytes]:
    source = random.Random(7)
    return {f"app/node_modules/package-{n}/index.js": source.randbytes(source.randrange(9000)) for n in range(count)}


def sent(new: bytes, bases: list[bytes], contents: bool = True) -> int:
    batches, _, _ = encoded(new, [known(base, contents) for base in bases])
    assert rebuilt(new, bases, 0, contents) == new
    return sum(map(len, batches))


def test_new_times_alone_cost_next_to_nothing() -> None:
    files = some_files(2000)
    assert sent(tree(files, 1_700_000_000), [tree(files, 1_600_000_000)]) < 100


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_one_changed_line_costs_its_bytes(form: int) -> None:
    files = {**some_files(300), "x" * 150 + ".html": b"<p>%s</p>" % random.Random(1).randbytes(20_000).hex().encode()}
    new = {name: body.replace(b"</p>", b" said again</p>") for name, body in files.items()}
    assert sent(tree(new, 9, form), [tree(files, 8, form)]) < 600


def test_a_new_name_is_compared_with_its_old_neighbour() -> None:
    """As a bundler names files by their content."""
    old = {f"static/{n}-{n:08x}.js": b"self.chunks.push(" + random.Random(n).randbytes(9000) for n in range(9)}
    new = dict(old)
    body = new.pop("static/4-00000004.js")
    new["static/4-123abcde.js"] = body[:5000] + b"changed" + body[5000:]
    assert sent(tree(dict(sorted(new.items()))), [tree(old)]) < 1_000


def test_a_neighbour_that_begins_otherwise_is_another_file() -> None:
    new = {"in both": b"x"} | {f"usr/{n}": random.Random(-n).randbytes(600) for n in range(30)}
    others = {"in both": b"x"} | {f"app/{n}": random.Random(n + 99).randbytes(600) for n in range(30)}
    assert sent(tree(new), [tree(others)]) == sent(tree(new), [tree(others)], contents=False)


def test_files_that_moved_are_found_by_their_content() -> None:
    files = some_files(300)
    moved = {name.replace("node_modules", "modules"): body for name, body in files.items()}
    assert sent(tree(moved), [tree(files)]) < 10_000


def test_an_insertion_into_a_big_file_costs_a_chunk_or_two() -> None:
    big = random.Random(3).randbytes(9 << 20)
    new = big[: 5 << 20] + b"put in" + big[5 << 20 :]
    assert sent(tree({"model.bin": new}), [tree({"model.bin": big})], contents=False) < 3 * chunks.CHUNK_MOST
    assert sent(tree({"model.bin": new, "more": b"x"}), [tree({"model.bin": big})], False) < 3 * chunks.CHUNK_MOST


@pytest.mark.parametrize(("size", "more"), [(0, b""), (2000, b""), (200_000, b"more")])
def test_a_recipe_names_so_many_bases_at_most(size: int, more: bytes) -> None:
    """Found by their heads, bodies, or chunks; what only others have is sent."""
    bodies = [random.Random(n).randbytes(size) for n in range(recipe.MOST_BASES + 2)]
    bases = [tree({f"app/{n}": body}) for n, body in enumerate(bodies)]
    folder = "srv" if size else "app"
    new = tree({f"{folder}/{n}": body + more for n, body in enumerate(bodies)}, 9)
    taken = sent(new, bases, contents=False)
    assert 2 * size < taken < size * len(bodies) // 2 + 3000


@pytest.mark.parametrize("codec", unpack.codecs())
def test_many_batches_may_have_no_data(codec: str) -> None:
    control, data = pack.packer(codec), pack.packer(codec)
    batches = [recipe.framed(control.pack(bytes([recipe.VERSION, recipe.DATA, 4])), data.pack(b"body"))]
    batches += [recipe.framed(control.pack(bytes([recipe.NEW, 4]) + b"head"), b"") for _ in range(50)]
    made = bytearray()
    assert decoded(batches, [], 4 * len(batches), made.extend, codec) == 0
    assert made == b"body" + b"head" * 50


@given(st.data(), CODECS)
@settings(max_examples=300)
def test_damaged_recipes_are_refused_or_make_other_bytes(draw: st.DataObject, codec: str) -> None:
    """Bytes of a batch are changed, cut or put in a row: `BadRecipe` or wrong bytes, and never more than were asked."""
    old = draw.draw(tars())
    new = draw.draw(changed(old))
    batches, _, _ = encoded(new, [known(old)], codec=codec)
    damaged = [draw.draw(changed(batch)) for batch in batches + batches]
    made = bytearray()
    with contextlib.suppress(BadRecipe):
        decoded(damaged, [old], len(new), made.extend, codec)
    assert len(made) <= len(new)


def packed(plain: bytes) -> bytes:
    import zlib

    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(plain) + packer.flush(zlib.Z_SYNC_FLUSH)


@given(st.data())
@settings(max_examples=300)
def test_hostile_steps_are_refused_or_stay_within_bounds(draw: st.DataObject) -> None:
    """Steps that no encoder would write, well packed."""
    numbers = st.one_of(st.integers(0, 20), st.integers(0, 2**63), st.sampled_from([2**32, 2**31 - 1]))
    step = st.builds(
        lambda kind, values: bytes([kind]) + b"".join(map(recipe.pack_number, values)),
        st.integers(0, 15),
        st.lists(numbers, max_size=2),
    )
    there = tree(some_files(3))
    named = bytes([recipe.BASE]) + name(there)
    control = (
        bytes([recipe.VERSION]) + named + b"".join(draw.draw(st.lists(st.one_of(step, st.just(named)), max_size=30)))
    )
    data = draw.draw(st.binary(max_size=100))
    made = bytearray()
    with contextlib.suppress(BadRecipe):
        decoded([recipe.framed(packed(control), packed(data))], [there], 50_000, made.extend)
    assert len(made) <= 50_000


@pytest.mark.parametrize("version", [1, recipe.VERSION - 1, recipe.VERSION + 1])
def test_a_recipe_of_another_version_is_refused(version: int) -> None:
    """Whose first step may mean something else."""
    batch = recipe.framed(packed(bytes([version, recipe.DATA, 4])), packed(b"body"))
    made = bytearray()
    with pytest.raises(BadRecipe, match=f"of version {version}, and not {recipe.VERSION}"):
        decoded([batch], [], 4, made.extend)
    assert not made


@given(st.binary(max_size=3000), CODECS)
def test_garbage_is_refused(garbage: bytes, codec: str) -> None:
    for batch in (garbage, recipe.framed(garbage, b""), recipe.framed(b"", garbage)):
        made = bytearray()
        with contextlib.suppress(BadRecipe):
            decoded([batch], [], 100, made.extend, codec)
        assert len(made) <= 100


def test_a_bomb_is_refused_before_it_takes_memory() -> None:
    bomb = packed(bytes(200 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(BadRecipe, match="too large"):
            decoded([recipe.framed(b"", bomb)], [], 1 << 40, lambda data: None)
        assert tracemalloc.get_traced_memory()[1] < 4 * recipe.LIMIT
    finally:
        tracemalloc.stop()


@given(tars())
def test_an_index_travels(data: bytes) -> None:
    made = index.build(io.BytesIO(data).read)
    again = opened(made.to_bytes())
    assert again is not None
    assert again.to_bytes() == made.to_bytes()
    assert [again.head(n) for n in range(len(again))] == [made.head(n) for n in range(len(made))]
    assert again.size == len(data)


def opened(data: bytes) -> index.Index | None:
    """What a packed index holds, None where it is refused; it holds together."""
    try:
        found = index.Index.from_bytes(data)
    except index.BadIndex:
        return None
    assert all(found.body(part)[1] >= 0 for part in range(len(found)))
    assert [len(head) for head in found.heads] == [*found.heads.sizes]
    assert len(list(found.chunks())) * chunks.KEY == len(found.chunk_keys)
    return found


@given(st.data())
def test_a_damaged_index_is_refused(draw: st.DataObject) -> None:
    packed_index = index.build(io.BytesIO(draw.draw(tars())).read).to_bytes()
    damaged = draw.draw(changed(packed_index))
    assert opened(damaged) is None or damaged == packed_index


@given(st.data())
@settings(max_examples=300)
def test_an_index_that_somebody_made_up_is_refused_or_holds_together(draw: st.DataObject) -> None:
    """Its check is right, and its columns are what they like."""
    made = index.build(io.BytesIO(draw.draw(tars())).read)
    for column in draw.draw(st.sets(st.sampled_from(["starts", "sizes", "counts", "chunk_sizes"]), max_size=2)):
        numbers = {"sizes": made.heads.sizes, "counts": made.chunk_counts}.get(column) or getattr(made, column, None)
        if numbers:
            numbers[draw.draw(st.integers(0, len(numbers) - 1))] = draw.draw(st.integers(0, 2**32 - 1))
    try:
        whole = made.to_bytes()
    except OverflowError:  # a part that is smaller than nothing
        return
    opened(whole)
    packed_index = draw.draw(changed(whole))
    opened(packed_index[:1] + index._check(packed_index) + packed_index[9:])
