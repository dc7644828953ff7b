"""What a server is at while nothing travels, as its agent notes it over SSH: an engine that loads, a cold layer."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from allfast.agent.archive import Layer
from allfast.agent.labels import DEPLOYMENT
from allfast.remote.hearing import Work
from testbed.link import Link
from testbed.server import Server
from tests.e2e.remote.test_layers import CACHE, laptop

pytestmark = pytest.mark.e2e

#: Of zeros, which travel as nearly nothing, and cost the server's disk and its engine as much as others.
SIZE = 800 << 20
PIECE = 1 << 20


def zeros() -> Iterator[bytes]:
    """A layer with one large file."""
    member = tarfile.TarInfo("zeros")
    member.size = SIZE
    yield member.tobuf(tarfile.GNU_FORMAT)
    for _ in range(SIZE // PIECE):
        yield bytes(PIECE)
    yield bytes(2 * tarfile.BLOCKSIZE)


def test_a_server_tells_what_it_is_at(server: Server, tmp_path: Path) -> None:
    hashed, size = hashlib.sha256(), 0
    for piece in zeros():
        hashed.update(piece)
        size += len(piece)
    layer = "sha256:" + hashed.hexdigest()
    rootfs = {"type": "layers", "diff_ids": [layer]}
    labels = {"Labels": {DEPLOYMENT: "chat"}}
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": labels, "rootfs": rootfs}).encode()
    heard: list[Work] = []
    with Link(server.port(22)) as link, laptop(server, link, tmp_path) as sender:
        sender.prepare({layer: size})
        sender.send(Layer(layer, size, zeros()), 0, lambda _: None)
        loaded = sender._cache.load(config, [size], [0], 2 * size, heard.append)
        assert loaded.image is not None
        names = [work.name for work in heard]
        assert names == sorted(names, key=["loading", "unpacking"].index)
        assert set(names) <= {"loading", "unpacking"}
        assert [work.over for work in heard] == [False] * (len(heard) - 1) + [True]
        assert all(0 <= work.done <= work.total for work in heard)
        assert heard[-1].total == size

        heard.clear()
        server.exec(["sh", "-c", f"rm -f {CACHE}/*.tar"])
        sender._cache.warm(layer, lambda: None, heard.append)
        assert {work.name for work in heard} == {"reading"}
        assert [work.over for work in heard] == [False] * (len(heard) - 1) + [True]
        assert max(work.total for work in heard) == size
