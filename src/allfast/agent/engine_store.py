"""Files out of an engine's own store: a container that is never started, with folders of it as read-only mounts.

`docker save` gives all layers of an image. Such a container makes the engine itself hand out single files: no root, no
path that must be readable here, also where the engine is in a VM. What the files mean: graph_store.py (overlay2),
content_store.py (containerd); which of them it is: image_store.py.

Nobody promised that a store looks like this, so nothing rests on it: what is read is hashed, and there is `docker save`
as the other way.
"""

from __future__ import annotations

import contextlib
import io
import os
import time
from typing import Any, Callable, Dict, Iterator, List

from allfast.agent import owner, parts
from allfast.agent.answer import Answer
from allfast.agent.engine import Engine, EngineError, EngineUnreachable

#: The label of the containers: which process made it (owner.py).
LABEL = "allfast.reader"
#: Seconds after which one is left over whose process cannot be looked at from here: more than any layer takes to read.
LEFT_OVER = 24 * 3600
PIECE = 1 << 18
#: Bytes of one file that is read into memory, at most.
FILE_LIMIT = 64 << 20

Read = Callable[[int], bytes]


class Unreadable(Exception):  # noqa: N818 - it reads better where it is caught
    """The store is not as it is known here."""


class NoRoom(Exception):  # noqa: N818 - it reads better where it is caught
    """What is to be read has no room here, in whichever way it would be read."""


class EngineStore:
    """The store of an engine, looked at through `image`, one that is in it. A context manager; for one thread.

    Its methods raise `Unreadable`. `info` is what the engine says of itself.
    """

    def __init__(self, engine: Engine, image: str) -> None:
        self._engine = engine
        self._image = image
        self._made: List[str] = []
        self._open: List[contextlib.ExitStack] = []  # what is being read
        self.info: Dict[str, Any] = {}

    def __enter__(self) -> EngineStore:
        with unreadable():
            self.info = self._engine.get("/info")
            self._sweep()
        return self

    def __exit__(self, *_: object) -> None:
        for stream in self._open:  # the engine would wait for its reader before it removes a container
            stream.close()
        for container in self._made:
            with contextlib.suppress(EngineError, EngineUnreachable):
                self._engine.delete(f"/containers/{container}", force=True, v=True)

    def mount(self, folders: Dict[str, str]) -> str:
        """A container that is never started, with these folders of the engine's machine in it: source -> target."""
        # Of the type "bind", which refuses a source that is not there: `Binds` would make it, as an empty folder
        mounts = [
            {"Type": "bind", "Source": source, "Target": target, "ReadOnly": True} for source, target in folders.items()
        ]
        wanted = {
            "Image": self._image,
            "Cmd": ["never-started"],
            "Labels": {LABEL: owner.of(os.getpid())},
            "HostConfig": {"Mounts": mounts, "NetworkMode": "none", "SecurityOpt": ["label=disable"]},
        }
        with unreadable():
            container = str(self._engine.post("/containers/create", wanted)["Id"])
        self._made.append(container)
        return container

    def file(self, container: str, path: str) -> bytes:
        """A file of a container, as a whole; neither an empty one nor one of more than `FILE_LIMIT` bytes."""
        with self.archive(container, path) as read:
            part = parts.next_part(read)
            size = parts.number(part.head[-parts.BLOCK :][parts.SIZE]) if part else None
            if part is None or size is None or not 0 < part.size <= FILE_LIMIT:
                raise Unreadable(f"{path} is not what it should be")
            return read(part.size)[:size]

    @contextlib.contextmanager
    def archive(self, container: str, path: str) -> Iterator[Read]:
        """The tar of a path in a container, read as `parts.next_part` wants it."""
        with unreadable(), contextlib.ExitStack() as stream:
            self._open.append(stream)
            path = f"/containers/{container}/archive?path={path}"
            yield file_of(stream.enter_context(self._engine.stream("GET", path, timeout=120.0))).read
        self._open.remove(stream)

    def _sweep(self) -> None:
        """Remove the containers of processes that were killed."""
        filters = {"label": [LABEL], "status": ["created"]}
        for one in self._engine.get("/containers/json", all=True, filters=filters):
            if _is_left(one):
                self._made.append(one["Id"])


def _is_left(container: Dict[str, Any]) -> bool:
    """Whether nobody is at work with a container any more: a line may be so slow that a layer takes hours."""
    alive = owner.is_alive(container["Labels"][LABEL])
    return not alive if alive is not None else container["Created"] + LEFT_OVER < time.time()


class _Body(io.RawIOBase):
    """An engine's answer as a file."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._answer.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def file_of(answer: Answer) -> io.BufferedReader:
    """An engine's answer as a file."""
    return io.BufferedReader(_Body(answer), PIECE)


def body(read: Read, size: int) -> Iterator[bytes]:
    """The next `size` bytes, in pieces. Raises `Unreadable` where they are cut."""
    while size:
        data = read(min(PIECE, size))
        if not data:
            raise Unreadable("what the engine gives is cut")
        size -= len(data)
        yield data


@contextlib.contextmanager
def unreadable() -> Iterator[None]:
    """Turns what a store of another form leads to into `Unreadable`."""
    try:
        yield
    except (EngineError, EngineUnreachable, OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise Unreadable(f"{type(error).__name__}: {error}") from error
