"""Layers to a real agent over real SSH: cut at any byte, frozen, killed, onto a full disk, from another machine."""

import hashlib
import os
import random
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from allfast.agent.archive import Layer
from allfast.agent.receive import WINDOW
from allfast.errors import AllfastError, RemoteError
from allfast.images.sending import Fate, Sender
from allfast.remote import server as remote
from allfast.transfer.errors import TransferError
from allfast.transfer.known import KnownLayers
from allfast.transfer.steps import CONTROL, DATA
from testbed.common import wait_until
from testbed.link import Link
from testbed.server import Server
from testbed.trouble import full_disk
from tests.unit.transfer.recipes import tree

pytestmark = pytest.mark.e2e

MIB = 1 << 20
CACHE = "/var/lib/allfast/chat/layers"
#: What a cut may cost. The laptop has so many batches under way, wherever their bytes lie: one ends with the piece of
#: new bytes by which it has enough of them. Besides those of batches, bytes of the login, the agent and the requests
#: have passed.
UNDER_WAY = WINDOW * (DATA + CONTROL) + MIB


def layer_of(files: dict[str, bytes], mtime: int = 0) -> bytes:
    return tree(files, mtime)


def files(count: int, size: int = 100_000) -> dict[str, bytes]:
    return {f"app/{n}.bin": random.Random(n).randbytes(size) for n in range(count)}


def name_of(layer: bytes) -> str:
    return "sha256:" + hashlib.sha256(layer).hexdigest()


@contextmanager
def laptop(
    server: Server, link: Link, cache: Path, login: str = "deploy", silence: float = 30.0, state_dir: str = ""
) -> Iterator[Sender]:
    """A command that holds the lock, and sends by way of the line."""
    config = link.ssh_config(server)
    with (
        remote.connect(
            f"{server.name}-{login}",
            deployment="chat",
            app="chat",
            target="production",
            ssh_config=config,
            silence=silence,
            state_dir=state_dir,
        ) as one,
        one.lock("send", wait=True),  # a session that was cut may end a moment later
    ):
        yield Sender(one.cache, KnownLayers(cache))


def send(sender: Sender, *layers: bytes) -> int:
    """Send layers as a deploy does, what is there already not; how many of their bytes were there when it began."""
    there = 0
    for layer in layers:
        stock = sender.prepare({name_of(layer): len(layer)})
        begun = stock.begun.get(name_of(layer), 0)
        there += begun
        if name_of(layer) not in stock.whole:
            chunks = (layer[at : at + 300_000] for at in range(0, len(layer), 300_000))
            fate = sender.send(Layer(name_of(layer), len(layer), chunks), begun, lambda _: None)
            assert fate is Fate.ARRIVED
    return there


def cached(server: Server) -> set[str]:
    """The files of the cache without the indexes, which are made when there is time for them."""
    return {name for name in server.exec(["ls", CACHE]).stdout.split() if not name.endswith(".index")}


@pytest.mark.parametrize("cuts", [(24 * MIB + 1,), (47 * MIB + 54_321,), (31 * MIB, 25 * MIB + 12_345)])
def test_a_cut_line_costs_what_was_under_way(cuts: tuple[int, ...], server: Server, tmp_path: Path) -> None:
    """Of 24 MiB that have passed three quarters are kept, of more a larger share. What is kept is not sent again."""
    layer = layer_of(files(640))
    with Link(server.port(22)) as link:
        for cut_at in cuts:
            link.cut_after(cut_at)
            with pytest.raises(AllfastError, match=r"lost|closed|ended"), laptop(server, link, tmp_path) as sender:
                send(sender, layer)
        assert link.cuts == len(cuts)
        before = link.up
        with laptop(server, link, tmp_path) as sender:
            there = send(sender, layer)
        assert there > sum(cuts) - len(cuts) * UNDER_WAY
        assert link.up - before < len(layer) - there + MIB
        assert cached(server) == {f"{name_of(layer)[7:]}.tar"}


def test_a_frozen_line_is_named_and_the_transfer_goes_on_later(server: Server, tmp_path: Path) -> None:
    layer = layer_of(files(320))
    with Link(server.port(22)) as link:
        link.stall(24 * MIB)
        with pytest.raises(RemoteError, match="stalled"), laptop(server, link, tmp_path, silence=6.0) as sender:
            send(sender, layer)
        link.go_on()
        link.cut()
        with laptop(server, link, tmp_path) as sender:
            assert send(sender, layer) > 24 * MIB - UNDER_WAY


def test_an_agent_that_is_killed_leaves_what_had_come(server: Server, tmp_path: Path) -> None:
    layer = layer_of(files(200))
    with Link(server.port(22), rate=20e6) as link:
        with (
            ThreadPoolExecutor(1) as pool,
            pytest.raises(AllfastError),
            laptop(server, link, tmp_path) as sender,
        ):
            work = pool.submit(send, sender, layer)
            part = f"{CACHE}/{name_of(layer)[7:]}.part"
            wait_until(lambda: int("0" + server.exec(["stat", "-c%s", part], check=False).stdout) > 5 * MIB, part, 60)
            server.exec(["pkill", "-9", "-f", "python3 -I -S -B"])  # the agent and its guard
            work.result(60)
        link.rate = None
        with laptop(server, link, tmp_path) as sender:
            assert send(sender, layer) > 5 * MIB


def test_a_change_is_small_from_any_machine_and_after_damage(server: Server, tmp_path: Path) -> None:
    """By the index that this machine has; by the server's; with a base that a disk has changed; with an empty cache."""
    old = files(400, 20_000)
    text = random.Random(1).randbytes(100_000).hex().encode()
    versions = [layer_of({**old, "index.html": text + b"%d" % n}, n) for n in range(5)]
    with Link(server.port(22)) as link:
        with laptop(server, link, tmp_path / "a") as sender:
            send(sender, versions[0])
            first = sender.wire
            send(sender, versions[1])
            assert sender.wire - first < 1000
        with laptop(server, link, tmp_path / "b", "ops") as sender:
            before = link.up
            send(sender, versions[2])
            assert link.up - before < 250_000, "the changed file as a whole, and no list of hashes"
        newest = f"{CACHE}/{name_of(versions[2])[7:]}.tar"
        flip = f"printf X | dd of={newest} bs=1 seek=5000 conv=notrunc status=none"
        server.exec(["sh", "-c", flip])
        with laptop(server, link, tmp_path / "b") as sender:
            stock = sender.prepare({name_of(versions[3]): len(versions[3])})
            assert not stock.whole
            layer = Layer(name_of(versions[3]), len(versions[3]), [versions[3]])
            assert sender.send(layer, 0, lambda _: None) is Fate.DAMAGED, "the base is not what it was"
            assert newest.rpartition("/")[2] not in cached(server)
            before = link.up
            send(sender, versions[3])
            assert link.up - before < 250_000
        server.exec(["sh", "-c", f"rm -r {CACHE}"])
        with laptop(server, link, tmp_path / "b") as sender:
            send(sender, versions[4])
        assert cached(server) == {f"{name_of(versions[4])[7:]}.tar"}


def test_two_layers_at_once(server: Server, tmp_path: Path) -> None:
    layers = [layer_of(files(80), mtime) for mtime in (1, 2)] + [layer_of({"other": os.urandom(6 * MIB)})]
    with Link(server.port(22)) as link, laptop(server, link, tmp_path) as sender:
        more = Sender(sender._cache, KnownLayers(tmp_path / "more"))
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda pair: send(*pair), ((sender, layers[0]), (more, layers[2]))))
        send(sender, layers[1])
        assert len(cached(server)) == 3


def test_a_full_disk_is_named_and_gets_its_space_back(tmp_path: Path) -> None:
    server = Server(f"remote-layers-full-{os.getpid()}", disk="300m").start()
    state = "/var/lib/docker/state"  # the disk that can be full
    try:
        with Link(server.port(22)) as link, laptop(server, link, tmp_path, "root", state_dir=state) as sender:
            with full_disk(server, 8 * MIB), pytest.raises(AllfastError, match="disk is full"):
                send(sender, layer_of(files(300)))
            assert server.exec(["ls", f"{state}/chat/layers"]).stdout == ""
            send(sender, layer_of(files(10)))
    finally:
        server.stop()


def test_an_interrupt_leaves_the_connection_whole(server: Server, tmp_path: Path) -> None:
    """Ctrl-C comes while batches leave: the lock is still ours, and things can be put right. What was there stays."""
    layer = layer_of(files(400))
    with Link(server.port(22), rate=160e6) as link, laptop(server, link, tmp_path) as sender:
        stock = sender.prepare({name_of(layer): len(layer)})
        assert not stock.begun

        pressed: list[int] = []

        def made(at: int) -> None:
            if at > 4 * MIB and not pressed:
                pressed.append(at)
                os.kill(os.getpid(), signal.SIGINT)

        with pytest.raises(KeyboardInterrupt):
            sender.send(Layer(name_of(layer), len(layer), [layer]), 0, made)
        assert send(sender, layer) >= pressed[0] > 4 * MIB
        assert cached(server) == {f"{name_of(layer)[7:]}.tar"}


def test_a_layer_that_is_given_up_is_left_alone_at_once(server: Server, tmp_path: Path) -> None:
    """Nothing more of it goes than what is under way, and nobody writes to it when that is said."""
    layer = layer_of(files(200))

    def chunks() -> Iterator[bytes]:
        for at in range(0, len(layer), MIB):
            if at > 8 * MIB:
                raise TransferError("not any more")
            yield layer[at : at + MIB]

    with Link(server.port(22), rate=80e6) as link, laptop(server, link, tmp_path) as sender:
        sender.prepare({name_of(layer): len(layer)})
        with pytest.raises(TransferError):
            sender.send(Layer(name_of(layer), len(layer), chunks()), 0, lambda _: None)
        part = f"{CACHE}/{name_of(layer)[7:]}.part"
        opened = f"find /proc/[0-9]*/fd -lname {part} 2>/dev/null"
        assert server.exec(["sh", "-c", opened], check=False).stdout == ""
        assert link.up < len(layer)
        assert send(sender, layer) > 9 * MIB - UNDER_WAY, "of the nine that were read"
        assert cached(server) == {f"{name_of(layer)[7:]}.tar"}


def test_a_recipe_is_compressed_by_what_the_server_has(each: Server, tmp_path: Path) -> None:
    """zstd by its system's library, also on the oldest server; zlib, which does not look back as far, without it.

    sshd itself needs the library: so the login alone may not read it.
    """
    twice = random.Random(5).randbytes(MIB)
    layers = [layer_of({"one": twice, "two": b"%d" % n + twice}) for n in range(2)]
    library = each.exec(["sh", "-c", "readlink -f /usr/lib/*/libzstd.so.1"]).stdout.strip()
    with Link(each.port(22)) as link:
        with laptop(each, link, tmp_path / "a") as sender:
            assert sender.prepare({}).codecs == ("zstd", "zlib")
            send(sender, layers[0])
            assert sender.wire < 1.1 * MIB
        each.exec(["chmod", "600", library])
        try:
            with laptop(each, link, tmp_path / "b") as sender:
                each.exec(["sh", "-c", f"rm {CACHE}/*"])
                assert sender.prepare({}).codecs == ("zlib",)
                send(sender, layers[1])
                assert sender.wire > 2 * MIB
        finally:
            each.exec(["chmod", "644", library])
    assert cached(each) == {f"{name_of(layers[1])[7:]}.tar"}
