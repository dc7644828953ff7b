"""Layers that the cache lost, or never could hold, out of the images that the engine has.

By the engine's store where it can be read layer by layer (image_store.py), else out of the stream of `docker save`:
there a layer that allfast sent is a plain tar that is named by its digest, or (engines to 24) one of the `layer.tar`.
"""

from __future__ import annotations

import hashlib
from typing import Any, Callable, Iterable, Iterator, List

from allfast.agent import parts
from allfast.agent.answer import Answer
from allfast.agent.archive import blob_path
from allfast.agent.engine import Engine, EngineError, EngineUnreachable
from allfast.agent.engine_store import NoRoom, Unreadable, body, file_of, unreadable
from allfast.agent.image_store import open_image
from allfast.agent.telling import Tell


def fetch(
    engine: Engine,
    image: str,
    diff_ids: List[str],
    layer: str,
    file: Any,
    room: Callable[[int], bool],
    tell: Tell = lambda *_: None,
) -> None:
    """Write a layer of an image into a file that is open and empty.

    `room` is asked whether so many bytes have room. `tell` is called for each piece that is read. Raises `Unreadable`
    where the layer is not to be had, `NoRoom` where there is none for it, or for the whole image where only
    `docker save` has it: that may write all of it.
    """
    try:
        _from_store(engine, image, diff_ids, layer, file, room, tell)
        return
    except Unreadable:
        file.seek(0)
        file.truncate()
    _require(room, _image_size(engine, image))
    try:
        with engine.stream("GET", f"/images/{image}/get") as answer:
            _from_archive(answer, layer, file, room, tell)
    except (EngineError, EngineUnreachable) as error:
        raise Unreadable(str(error)) from error


def _told(chunks: Iterable[bytes], size: int, tell: Tell) -> Iterator[bytes]:
    done = 0
    for chunk in chunks:
        done += len(chunk)
        tell(min(done, size), size)
        yield chunk


def _passed(chunks: Iterable[bytes], tell: Tell) -> int:
    """Read what is of no use here; how many bytes that were."""
    size = 0
    for chunk in chunks:
        tell(0, 0)
        size += len(chunk)
    return size


def _from_store(
    engine: Engine, image: str, diff_ids: List[str], layer: str, file: Any, room: Callable[[int], bool], tell: Tell
) -> None:
    number = diff_ids.index(layer)
    with open_image(engine, image, diff_ids) as stored:
        size = stored.size(number)
        if size is None:
            size = sum(_passed(chunks, tell) for _, chunks in stored.layers([number]))
        _require(room, size)
        for _, chunks in stored.layers([number]):
            file.writelines(_told(chunks, size, tell))


def _from_archive(answer: Answer, layer: str, file: Any, room: Callable[[int], bool], tell: Tell) -> None:
    read = file_of(answer).read
    while True:
        part = parts.next_part(read)
        if part is None or part.size == parts.REST:
            raise Unreadable(f"{layer} is not in the archive")
        name = parts.name_of(part.head)
        if name != blob_path(layer) and not name.endswith("/layer.tar"):
            _passed(body(read, part.size), tell)
            continue
        size = parts.number(part.head[-parts.BLOCK :][parts.SIZE])
        if size is None:
            raise Unreadable(f"the size of {name} cannot be read")
        _require(room, size)
        hashed = hashlib.sha256()
        right = size if name == blob_path(layer) else 0  # of others it is only known when they are read
        for data in _told(body(read, part.size), right, tell):
            data = data[: max(0, size)]
            size -= len(data)
            hashed.update(data)
            file.write(data)
        if "sha256:" + hashed.hexdigest() == layer:
            return
        file.seek(0)
        file.truncate()


def _image_size(engine: Engine, image: str) -> int:
    """Bytes of an image with all its layers, as the engine tells them."""
    with unreadable():
        return int(engine.get(f"/images/{image}/json")["Size"])


def _require(room: Callable[[int], bool], size: int) -> None:
    if not room(size):
        raise NoRoom(f"no room for {size} bytes")
