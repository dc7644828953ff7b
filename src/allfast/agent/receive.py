"""Layers that come as recipes, and images that are loaded from them.

A layer is made in the cache, hashed, and only then given to the engine. It comes in batches, one request each, which
wait here for the thread that carries them out: reading what the laptop says must never wait for a disk.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import json
import queue
import threading
from pathlib import Path
from typing import IO, Any, Callable, Dict, List, Optional, Set

from allfast.agent import archive, cold, gentle, images, layer_cache, loading, recipe, unpack
from allfast.agent.awaited import Awaited
from allfast.agent.engine import Engine, is_out_of_space
from allfast.agent.indexing import Indexing
from allfast.agent.layer_files import RESERVE
from allfast.agent.protocol import AgentError, Kind, disk_full
from allfast.agent.telling import Note, Telling, unheard
from allfast.agent.warming import Fetch, Warming

Json = Dict[str, Any]

#: Batches of one layer that wait; a laptop sends no more before it hears that one was carried out.
WINDOW = 8
#: Whole layers that a laptop is told of, the newest first.
TOLD = 64
#: Bytes of an image's configuration, at most.
CONFIG = 4 << 20


def short(layer: str) -> str:
    """How a laptop is told of a layer: the first digits of its diff id."""
    return layer[7 : 7 + 2 * recipe.NAME]


def text(config: bytes) -> str:
    """An image's configuration as it stands in a message; any bytes come out of it as they were."""
    return config.decode("utf-8", "surrogateescape")


class Receiver:
    """The layers of one deployment on their way into one engine; for several threads."""

    def __init__(
        self, engine: Engine, folder: Path, images: Callable[[], Dict[str, List[str]]], fetch: Fetch = cold.fetch
    ) -> None:
        """`images` tells the deployment's images in the engine, the newest first: id -> diff ids."""
        self._engine = engine
        self._images = images
        self.cache = layer_cache.LayerCache(folder / layer_cache.FOLDER)
        self._indexing = Indexing(self.cache)
        self._awaited = Awaited()
        self._warming = Warming(engine, self.cache, images, fetch, self._awaited.layers)
        self._mutex = threading.Lock()
        self._receiving: Set[str] = set()  # layers that are made out of batches just now
        self._waiting: Dict[int, queue.Queue[bytes]] = {}
        self._ended: Set[int] = set()
        self._checked: Set[str] = set()  # by this process, when they came

    def expect(self, diff_ids: List[str], chain: str) -> None:
        """What is there of these layers is used, and stays until the image whose layers are that `chain` is loaded."""
        self._awaited.add(chain, diff_ids)
        self.cache.count_as_used(diff_ids)

    def stock(self, diff_ids: List[str], chain: str = "") -> Json:
        """What is there of these layers (`whole`, `begun`: {diff id: bytes}), and of any (`cached`: [id, bytes]).

        `cold` are layers that are not in the cache, and could be had from the engine's images ([id, bytes]), those that
        were asked for first. Either has 0 bytes where no index of it is to be had. `codecs`: in which recipes may come,
        the best first. `free`: bytes on the disk of the cache.

        They are expected (see there) for the image whose layers are that `chain`; none: nobody awaits them.
        """
        if chain:
            self.expect(diff_ids, chain)
        layers, indexed = self.cache.layers(), self.cache.indexed()
        there = {layer for layer, _ in layers}
        begun = {layer: self.cache.begun(layer) for layer in diff_ids if layer not in there}
        whole = [layer for layer in diff_ids if layer in there]
        cold = [layer for layer in self._warming.cold() if layer not in there]
        cold.sort(key=lambda layer: layer not in diff_ids)
        return {
            "whole": whole,
            "begun": {layer: size for layer, size in begun.items() if size},
            "cached": [[short(layer), indexed.get(layer, size)] for layer, size in layers[:TOLD]],
            "cold": [[short(layer), indexed.get(layer, 0)] for layer in cold[:TOLD]],
            "codecs": unpack.codecs(),
            "free": self.cache.free(),
        }

    def index(self, layer: str) -> str:
        """The packed index of a layer (base 64); `layer` as it was told. Raises `AgentError` not-found."""
        gentle.yield_to_others()
        indexed = [one for one in self.cache.indexed() if one[7:].startswith(layer)]
        full = indexed[0] if len(indexed) == 1 else self.cache.named(layer)
        if full is None:
            raise AgentError(Kind.NOT_FOUND, f"{layer} is not in the layer cache")
        with self._indexing.waits():
            return base64.b64encode(self.cache.packed_index(full)).decode()

    def warm(self, layer: str, note: Note = unheard) -> None:
        """Have a layer in the cache that the engine has, so that it need not come. Raises `AgentError` not-found.

        Notes how far it is (telling.py).
        """
        gentle.yield_to_others()
        try:
            with self._indexing.waits():
                self._warming.open(layer[7:], note)[1].close()
        except OSError as error:
            self._full(error)
            raise

    def batch(self, stream: int, body: IO[bytes]) -> None:
        """Take a batch of the layer that comes as that stream; an empty one says that no more comes."""
        data = body.read(recipe.BATCH)  # one that has more is cut here, and refused when it is unpacked
        with self._mutex:
            if stream not in self._ended:
                waiting = self._waiting.setdefault(stream, queue.Queue())
                if waiting.qsize() < 2 * WINDOW:
                    waiting.put(data)

    def receive(self, stream: int, layer: str, size: int, begin: int, codec: str, note: Note) -> Json:
        """Make a layer, from its byte `begin` on, out of the batches of a stream and the bases that they name.

        Notes `{"at": bytes}` for each batch, and how far a base is read (telling.py). `damaged` are bases that proved
        to be and are gone: then it has to be sent anew. Raises `AgentError` bad-digest where the bases are right and
        the layer is not, disk-full where it has no room besides the reserve, bad-request where the batches' `codec` is
        not here.
        """
        gentle.yield_to_others()
        with self.cache.making(layer):
            with self._mutex:
                self._receiving.add(layer)
            try:
                return self._received(stream, layer, size, begin, codec, note)
            finally:
                with self._mutex:
                    self._receiving.discard(layer)

    def find(self, ids: List[str], diff_ids: List[str]) -> Optional[Json]:
        """See `images.find`."""
        return images.find(self._engine, ids, diff_ids)

    def name(self, names: Dict[str, str]) -> None:
        """See `images.name`."""
        images.name(self._engine, names)

    def load(self, config: str, sizes: List[int], layers: List[int], limit: int, note: Note = unheard) -> Json:
        """Give the engine an image's archive with layers of the cache, and look whether the image is there then.

        Args:
            config: the image's configuration (see `text`).
            sizes: bytes of the tars of its layers, in order.
            layers: the numbers of those that go into the archive.
            limit: bytes of the cache afterwards, at most.
            note: hears how far it is (telling.py).

        Answers `refused`, what the engine said ("" where it took it), and `image` (see `images.find`).
        Raises `AgentError` bad-digest where a layer of the cache is not what it was: it is gone then, and has to be
        sent again; disk-full where the cache's disk has not the reserve, or the image is not there because of a full
        disk, or nothing more should be sent; bad-request where the configuration is too large.
        """
        gentle.yield_to_others()
        self.cache.make()
        document = config.encode("utf-8", "surrogateescape")
        if len(document) > CONFIG:
            raise AgentError(Kind.BAD_REQUEST, f"an image's configuration of {len(document)} bytes")
        diff_ids = list(json.loads(document)["rootfs"]["diff_ids"])
        manifest = archive.manifest(document, diff_ids, dict(zip(diff_ids, sizes)))  # noqa: B905 - Python 3.9

        documents = archive.write_documents(document, manifest, diff_ids)
        given = {diff_ids[number]: sizes[number] for number in layers}
        try:
            self.cache.require(0, self._awaited.layers().union(diff_ids))
            with Telling(note, "loading") as telling:
                refused = loading.give(self._engine, self.cache, given, documents, self._checked, telling)
        finally:
            free = self.cache.free()
            if free <= RESERVE:
                self._is_over(diff_ids, limit)
        image = self.find([archive.digest(document), archive.digest(manifest)], diff_ids)
        if image is not None:
            self._is_over(diff_ids, limit)
        if image is None and is_out_of_space(refused):
            raise disk_full(refused)
        if image is None and free < RESERVE:
            raise self.cache.full(f"{free} bytes are free; of the image the engine said: {refused or 'nothing'}")
        return {"refused": refused, "image": image}

    def trim(self, limit: int, since: Optional[float] = None) -> None:
        """Hold the cache to `limit` bytes when nothing is on its way any more: what was never loaded counts, too.

        After an attempt that failed and began at `since` (seconds since the epoch), what that has used does not count:
        the next one goes on with it. A disk without its reserve gets back all the same.
        """
        asked = self._awaited.clear()
        self._indexing.stop()
        if since is None or self.cache.free() <= RESERVE:
            self._trim(limit)
        else:
            self.cache.trim_unused(limit, since, asked=asked)

    def forget(self) -> None:
        """Remove the indexes of layers that the engine has no more, either."""
        self.cache.forget_indexes({layer for diff_ids in self._images().values() for layer in diff_ids})

    def end(self) -> None:
        """Before this process ends: what is being read from the engine is given up, and nothing more is read."""
        self._warming.end()

    def _trim(self, limit: int) -> None:
        self.cache.trim(limit if self.cache.free() > RESERVE else 0, self._awaited.layers())

    def _is_over(self, diff_ids: List[str], limit: int) -> None:
        """The layers of an image are not awaited any more, and give way as all others."""
        self._awaited.is_over(archive.chain_id(diff_ids))
        self._trim(limit)

    def _full(self, error: OSError) -> None:
        """Raises `AgentError` disk-full where that was the error; such a disk gets back what the cache takes."""
        self.cache.give_back()
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise self.cache.full(str(error)) from error

    def _received(self, stream: int, layer: str, size: int, begin: int, codec: str, note: Note) -> Json:
        bases: List[str] = []
        try:
            with self._indexing.waits():
                self._make(stream, layer, size, begin, codec, bases, note)
            self._indexing.want(layer)
        except (recipe.BadRecipe, AgentError) as error:
            if isinstance(error, AgentError) and error.kind != Kind.BAD_DIGEST:
                if error.kind == Kind.DISK_FULL:
                    self.cache.give_back(layer)
                raise
            self.cache.drop(layer)
            damaged = self.cache.damaged(bases)
            if not damaged:
                raise AgentError(Kind.BAD_DIGEST, f"{layer} did not arrive as it is: {error}") from error
            return {"damaged": damaged}
        except OSError as error:
            self.cache.drop(layer)
            self._full(error)
            raise
        finally:
            with self._mutex:
                self._waiting.pop(stream, None)
                self._ended.add(stream)
        return {"damaged": []}

    def _make(self, stream: int, layer: str, size: int, begin: int, codec: str, bases: List[str], note: Note) -> None:
        """Make a layer; `bases` are those that were used."""
        if not 0 <= begin < size:
            raise AgentError(Kind.BAD_REQUEST, f"{begin}: not an offset in {size} bytes")
        with self._mutex:
            waiting = self._waiting.setdefault(stream, queue.Queue())
        with contextlib.ExitStack() as opened:
            streams = opened.enter_context(unpack.streams(codec))
            self.cache.make()
            self.cache.require(size - begin, self._awaited.layers())
            file, hashed = self.cache.open_part(layer, begin)
            with file:

                def write(data: bytes) -> None:
                    hashed.update(data)
                    file.write(data)

                def find(name: bytes) -> recipe.Base:
                    if layer[7:].startswith(name.hex()):
                        raise recipe.BadRecipe("a layer that is made of itself")
                    found, layer_file = self._warming.open(name.hex(), note, self._receiving)
                    bases.append(found)
                    return self.cache.base(found, opened.enter_context(layer_file))

                decoder = recipe.Decoder(find, size - begin, write, streams)
                while decoder.left:
                    batch = waiting.get()
                    if not batch:
                        raise AgentError(Kind.BAD_REQUEST, f"{layer} was given up")
                    decoder.batch(*recipe.unframed(batch))
                    file.flush()
                    note({"at": size - decoder.left})
                    if decoder.left:  # others write, too
                        self.cache.require(decoder.left, self._awaited.layers().union(bases))
        if "sha256:" + hashed.hexdigest() != layer:
            raise recipe.BadRecipe("its bytes have another digest")
        self.cache.finish(layer, self.cache.part(layer))
        self._checked.add(layer)
