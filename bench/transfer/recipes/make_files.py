"""Makes the files of a bench image, the same ones at each call; runs inside a build (standard library only).

    python3 make_files.py KIND BYTES FOLDER      KIND: mixed | small | packages
    python3 make_files.py change COUNT FOLDER TEXT

About a seventh of the bytes are text, which compresses, and the rest are random, as weights and archives are. `change`
puts TEXT before what COUNT files have, which lie far apart, and gives all of them other times, as a rebuild does.
"""

from __future__ import annotations

import os
import random
import sys
import zlib
from pathlib import Path

WORDS = [bytes(random.Random(n).choices(b"abcdefghijklmnopqrstuvwxyz", k=2 + n % 9)) for n in range(4096)]
#: Two random bytes -> a word.
PICKED = WORDS * 16
SIZES = {
    "mixed": (700, 4_000, 4_000, 60_000, 300_000, 2_000_000, 25_000_000),
    "packages": (300, 1_500, 6_000, 12_000, 40_000, 900_000),
    "small": (200, 500, 900, 1_600, 3_000),
}
WHEN = 1_700_000_000  # epoch seconds
IN_A_FOLDER = 200


def content(source: random.Random, size: int) -> bytes:
    """`size` bytes of text or of noise."""
    if size < 50_000 or source.random() < 0.15:
        picks = memoryview(source.randbytes(size // 4 * 2 + 2)).cast("H")
        return b" ".join(map(PICKED.__getitem__, picks))[:size]
    return source.randbytes(size)


def make(kind: str, total: int, folder: Path) -> None:
    """Files of together about `total` bytes."""
    source = random.Random(kind)
    made = number = 0
    while made < total:
        size = int(source.choice(SIZES[kind]) * source.uniform(0.5, 1.5))
        file = folder / f"{number // IN_A_FOLDER:04d}" / f"{number:06d}.bin"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content(source, size))
        made, number = made + size, number + 1


def change(count: int, folder: Path, text: str) -> None:
    """Another content for some files."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    for step in range(count):
        file = files[(2 * step + 1) * len(files) // (2 * count)]
        file.write_bytes(text.encode() + file.read_bytes())


def settle(folder: Path, when: int) -> None:
    """The same times everywhere."""
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (when, when))


if __name__ == "__main__":
    if sys.argv[1] == "change":
        change(int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
        settle(Path(sys.argv[3]), WHEN + zlib.crc32(sys.argv[4].encode()) % 1_000_000)
    else:
        make(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
        settle(Path(sys.argv[3]), WHEN)
