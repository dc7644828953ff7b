"""Sets of files that containers mount and that come from the commit: named by their content, sent as one tar.

An unchanged set keeps its digest, so its path on the server, so the containers that mount it stay.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath


@dataclass(frozen=True, slots=True)
class FileSet:
    """One file or folder, with `name` as the top of the tar; `digest` is the tar's SHA-256 (hex)."""

    digest: str
    name: str
    tar: bytes = field(repr=False)  # can hold secrets
    origin: str  # for people: the path in the checkout, or "config NAME"

    @property
    def path(self) -> str:
        """Where it is on the server, below the folder `files` of the deployment."""
        return f"{self.digest}/{self.name}"


def from_path(source: Path, origin: str) -> FileSet:
    """The file or folder at `source`, links as links, with Git's modes, without times and owners."""
    name = source.name
    with _Tar() as tar:
        tar.add(source, PurePosixPath(name))
        return tar.finish(name, origin)


def from_text(name: str, text: str, origin: str) -> FileSet:
    """One file of that name."""
    with _Tar() as tar:
        tar.body(PurePosixPath(name), text.encode(), executable=False)
        return tar.finish(name, origin)


class _Tar:
    """A tar that is the same on every machine."""

    def __init__(self) -> None:
        self._buffer = io.BytesIO()
        self._tar = tarfile.open(fileobj=self._buffer, mode="w", format=tarfile.PAX_FORMAT)  # noqa: SIM115 - closed below

    def __enter__(self) -> _Tar:
        return self

    def __exit__(self, *_: object) -> None:
        self._tar.close()

    def finish(self, name: str, origin: str) -> FileSet:
        self._tar.close()
        body = self._buffer.getvalue()
        return FileSet(hashlib.sha256(body).hexdigest(), name, body, origin)

    def add(self, source: Path, name: PurePosixPath) -> None:
        if source.is_symlink():
            self._entry(name, tarfile.SYMTYPE, 0o777, link=str(source.readlink()))
        elif source.is_dir():
            self._entry(name, tarfile.DIRTYPE, 0o755)
            for child in sorted(source.iterdir()):
                self.add(child, name / child.name)
        else:
            self.body(name, source.read_bytes(), executable=bool(source.stat().st_mode & 0o100))

    def body(self, name: PurePosixPath, body: bytes, *, executable: bool) -> None:
        # Git knows no other modes. Containers read these files as any user; the folder above keeps others out.
        self._entry(name, tarfile.REGTYPE, 0o755 if executable else 0o644, body=body)

    def _entry(self, name: PurePosixPath, kind: bytes, mode: int, *, link: str = "", body: bytes = b"") -> None:
        entry = tarfile.TarInfo(str(name))
        entry.type, entry.mode, entry.linkname, entry.size = kind, mode, link, len(body)
        self._tar.addfile(entry, io.BytesIO(body))
