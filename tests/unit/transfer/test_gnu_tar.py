"""Tars as GNU tar writes them, of files of every kind: taken apart entry by entry, and made again byte for byte."""

from __future__ import annotations

import contextlib
import io
import os
import random
import subprocess
from pathlib import Path

import pytest

from allfast.agent import chunks, index, parts
from tests.unit.transfer.recipes import decoded, encoded, known

FORMS = {
    "gnu": ("--format=gnu",),
    "old sparse files": ("--format=gnu", "--sparse"),
    "sparse 0.1": ("--format=pax", "--sparse", "--sparse-version=0.1"),
    "sparse 1.0": ("--format=pax", "--sparse", "--sparse-version=1.0"),
    "a header for all": ("--format=pax", "--pax-option=globexthdr.name=all,comment=said"),
    "v7": ("--format=v7",),
}
HOLES = 30  # more than a header and one more block of the map have room for


def is_gnu() -> bool:
    with contextlib.suppress(OSError):
        return "GNU tar" in subprocess.run(["tar", "--version"], capture_output=True, text=True, check=False).stdout
    return False


pytestmark = pytest.mark.skipif(not is_gnu(), reason="tar is not GNU tar")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files with holes, a pipe, a link, names in and out of UTF-8, and where it is allowed a device."""
    made = tmp_path / "t"
    made.mkdir()
    for number in range(5):
        with (made / f"sparse-{number}").open("wb") as file:
            for hole in range(HOLES):
                file.seek(hole * 65536 + number)
                file.write(random.Random(hole).randbytes(3000))
            file.truncate(HOLES * 65536 * 2)
    (made / ("é" * 40)).write_bytes(b"x" * 700)
    Path(os.fsdecode(os.fsencode(made) + b"/\xff\xfe-bad")).write_bytes(b"y")
    os.link(made / "sparse-0", made / "z-link")
    (made / "z-symlink").symlink_to("sparse-1")
    os.mkfifo(made / "pipe")
    with contextlib.suppress(PermissionError):
        os.mknod(made / "device", 0o20666, os.makedev(1, 3))
    return made


def packed(folder: Path, form: str) -> bytes:
    """The folder as a tar; the oldest form has no pipes and devices, and tar says so by its exit code."""
    command = ["tar", "--sort=name", "-C", str(folder.parent), *FORMS[form], "-cf", "-", folder.name]
    return subprocess.run(command, capture_output=True, check=form != "v7").stdout


def heads(data: bytes) -> list[bytes]:
    """The heads of a tar's parts."""
    made = index.build(io.BytesIO(data).read)
    return [made.head(part) for part in range(len(made))]


def remade(new: bytes, old: bytes) -> int:
    """Bytes that a tar takes against another one."""
    batches, _, _ = encoded(new, [known(old)])
    made = bytearray()
    assert decoded(batches, [old], len(new), made.extend) == 0
    assert made == new
    return sum(map(len, batches))


@pytest.mark.parametrize("form", FORMS)
def test_a_tar_whose_times_changed_costs_next_to_nothing(folder: Path, form: str) -> None:
    old = packed(folder, form)
    for number in range(5):
        os.utime(folder / f"sparse-{number}", (1_700_000_000, 1_700_000_000))
    new = packed(folder, form)
    assert new != old
    assert remade(new, old) < 1500
    assert remade(old + new, new + old) < 3000 + 2 * chunks.CHUNK_MOST, "one behind the other"


@pytest.mark.parametrize("form", FORMS)
def test_every_entry_of_a_tar_is_a_part(folder: Path, form: str) -> None:
    data = packed(folder, form)
    listed = subprocess.run(["tar", "-tf", "-"], input=data, capture_output=True, check=True).stdout.splitlines()
    left_out = ("pipe", "device") if form == "v7" else ()
    assert len(listed) == 1 + len([one for one in folder.iterdir() if one.name not in left_out])
    assert len(heads(data)) == len(listed) + 1, "the end is one more"


def test_the_maps_of_old_sparse_files_are_read_to_their_end(folder: Path) -> None:
    """They go over two more blocks here."""
    found = [len(head) for head in heads(packed(folder, "old sparse files")) if head[156:157] == b"S"]
    assert found == [3 * parts.BLOCK] * 5
