"""The heads of a layer's parts, in pages that are compressed each by itself.

Heads are mostly alike: packed, those of 100,000 files take one or two MB in place of 50, and any of them is still at
hand. Memory holds the packed pages, and few unpacked ones.
"""

from __future__ import annotations

import zlib
from array import array
from bisect import bisect_right
from itertools import accumulate, chain
from typing import Dict, Iterable, Iterator, List

from allfast.agent import parts

#: A page ends with the head that makes it so long, unpacked.
PAGE = 1 << 16
#: The most bytes of a page, unpacked: one that ends with the longest head.
MOST = PAGE + parts.HEAD_LIMIT + 2 * parts.META_LIMIT
#: Pages that stay unpacked after they were used.
KEPT = 8


class Heads:
    """Heads in order; `sizes[n]` are the bytes of the one of part n."""

    def __init__(self) -> None:
        self.sizes = array("I")
        self.pages: List[bytes] = []
        self._firsts = array("I")  # the first part of each page
        self._open: List[bytes] = []  # the page that is being filled
        self._open_first = self._open_size = 0
        self._unpacked: Dict[int, List[bytes]] = {}  # the one used last is the last
        self._here: List[bytes] = []  # the page used last
        self._here_first = 0

    def append(self, head: bytes) -> None:
        """Append a head."""
        self.sizes.append(len(head))
        self._open.append(head)
        self._open_size += len(head)
        if self._open_size >= PAGE:
            self._close()

    def __getitem__(self, part: int) -> bytes:
        here = part - self._here_first
        if 0 <= here < len(self._here):
            return self._here[here]
        if part >= self._open_first:
            return self._open[part - self._open_first]
        page = bisect_right(self._firsts, part) - 1
        self._here, self._here_first = self._page(page), self._firsts[page]
        return self._here[part - self._here_first]

    def __iter__(self) -> Iterator[bytes]:
        """All heads, one page of them in memory at a time."""
        for page in range(len(self.pages)):
            yield from self._unpack(page)
        yield from self._open

    def end(self) -> None:
        """Put all heads into pages."""
        if self._open:
            self._close()

    @property
    def counts(self) -> Iterable[int]:
        """How many heads each page has."""
        ends = chain(self._firsts[1:], [self._open_first])
        return (end - first for first, end in zip(self._firsts, ends))  # noqa: B905 - Python 3.9

    @classmethod
    def of_pages(cls, sizes: array[int], counts: array[int], pages: List[bytes]) -> Heads:
        """Heads whose pages are there already. Raises `ValueError` where they do not agree with the sizes."""
        found = cls()
        found.sizes, found.pages = sizes, pages
        found._firsts = array("I", accumulate(counts[:-1], initial=0)) if counts else array("I")
        found._open_first = sum(counts)
        if found._open_first != len(sizes) or len(counts) != len(pages) or 0 in counts:
            raise ValueError("pages that do not agree with the number of heads")
        for page in range(len(pages)):
            found._unpack(page)
        return found

    def _close(self) -> None:
        self._firsts.append(self._open_first)
        self.pages.append(zlib.compress(b"".join(self._open), 6))
        self._open_first = len(self.sizes)
        self._open, self._open_size = [], 0

    def _page(self, page: int) -> List[bytes]:
        found = self._unpacked.pop(page, None) or self._unpack(page)
        self._unpacked[page] = found
        if len(self._unpacked) > KEPT:
            del self._unpacked[next(iter(self._unpacked))]
        return found

    def _unpack(self, page: int) -> List[bytes]:
        first = self._firsts[page]
        end = self._firsts[page + 1] if page + 1 < len(self._firsts) else self._open_first
        sizes = self.sizes[first:end]
        unpacker = zlib.decompressobj()
        try:
            plain = unpacker.decompress(self.pages[page], MOST)
        except zlib.error as error:
            raise ValueError(f"a page of heads that is damaged: {error}") from error
        if not unpacker.eof or len(plain) != sum(sizes):
            raise ValueError("a page of heads that is not as long as they are")
        ends = list(accumulate(sizes))
        return [plain[end - size : end] for size, end in zip(sizes, ends)]  # noqa: B905 - Python 3.9
