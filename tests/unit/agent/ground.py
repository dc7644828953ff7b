"""A server's state that streams come to, and what none of them may do there."""

import io
import re
from pathlib import Path
from typing import Any

from allfast.agent.engine import Engine
from allfast.agent.protocol import AgentError, Kind
from allfast.agent.receive import Receiver
from tests.unit.agent.hostile import COLD, NO_LAYERS, OLD, Stream, diff_id
from tests.unit.agent.ways import codec_of, server_with

#: How a stream may be refused; anything else is a fault. A disk may lack room for what says that it is so large.
REFUSALS = {Kind.BAD_DIGEST, Kind.BAD_REQUEST, Kind.NOT_FOUND}
LARGE = 1 << 31
#: The files of a layer cache.
FILE = re.compile(r"([0-9a-f]{64})\.(tar|part|index)")


class Ground:
    """A server's state in a folder, with a receiver's layer cache in it, and other files beside it."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._state = folder, folder / "state" / "chat"
        self._cache = self._state / "layers"
        self._cache.mkdir(parents=True)
        for path in ("elsewhere/file", "state/other/ledger.sqlite3", "state/chat/ledger.sqlite3"):
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_text(path)
        self._around = self._look_around()

    def take(self, stream: Stream) -> None:
        """Have a stream received. Raises `AssertionError`, or what it was not refused by, where that went wrong."""
        self._fill(stream)
        receiver = Receiver(Engine("/nowhere"), self._state, lambda: {"sha256:image": [diff_id(COLD)]}, fetch)
        to_come = iter(stream.batches)

        def come(_: Any) -> None:
            receiver.batch(1, io.BytesIO(next(to_come, b"")))

        come(None)
        words = (stream.layer, stream.size, stream.begin, codec_of(stream.way))
        with server_with(stream.way):
            try:
                receiver.receive(1, *words, come)
            except AgentError as error:
                if error.kind not in REFUSALS | ({Kind.DISK_FULL} if stream.size >= LARGE else set()):
                    raise
        receiver._indexing.finish()
        self._check(stream)

    def layers(self) -> set[str]:
        """The layers that are there as a whole."""
        return {f"sha256:{path.stem}" for path in self._cache.glob("*.tar")}

    def _fill(self, stream: Stream) -> None:
        """What the cache has before."""
        old = self._cache / f"{diff_id(OLD)[7:]}.tar"
        for path in self._cache.iterdir():
            if path != old:
                path.unlink()
        if not old.exists():
            old.write_bytes(OLD)
        if stream.part is not None and stream.layer not in NO_LAYERS:
            (self._cache / f"{stream.layer[7:]}.part").write_bytes(stream.part)

    def _check(self, stream: Stream) -> None:
        """Nothing is there that should not be."""
        assert self._look_around() == self._around, "something outside of the cache has changed"
        for path in self._cache.iterdir():
            assert path.is_file() and not path.is_symlink(), path
            found = FILE.fullmatch(path.name)
            assert found, f"{path} is no file of a cache"
            if found[2] == "tar":
                assert diff_id(path.read_bytes()) == f"sha256:{found[1]}", f"{path} has other bytes"
            if found[2] == "part":
                most = max(stream.size, len(stream.part or b""))
                assert path.stat().st_size <= most, f"{path} is larger than its layer"

    def _look_around(self) -> dict[str, tuple[int, int, bytes]]:
        """All that is there but the files of the cache: mode, time of change, content."""
        found = {}
        for path in [self._folder, *self._folder.rglob("*")]:
            if path.parent != self._cache and path != self._cache:
                status = path.lstat()
                content = path.read_bytes() if path.is_file() else b""
                found[str(path)] = status.st_mode, status.st_mtime_ns, content
        return found


def fetch(_engine: Engine, _image: str, _layers: list[str], _layer: str, file: Any, *_: Any) -> None:
    """What the engine has."""
    file.write(COLD)
