"""Folders under the deployment's state: file sets that containers mount, data folders, and releases.

`files/<digest>/` a set of files, never changed once it is there · `data/<path>` bind-mounted data, never removed ·
`releases/<id>/compose.json` a release's rendered Compose file, which holds secrets.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tarfile
import tempfile
from pathlib import Path, PurePosixPath
from typing import IO, Any, List, Optional, cast

from allfast.agent import state
from allfast.agent.protocol import AgentError, Kind

#: Folders that containers see: everybody may read them there (the state folder keeps other logins of the server out),
#: and the group may remove what another login of it made.
_SEEN = 0o2775
_AS_DOCKER = 0o755
COMPOSE = "compose.json"


def have(folder: Path, digests: List[str]) -> List[str]:
    """Those of the file sets that are there."""
    return [digest for digest in digests if (folder / "files" / _name(digest)).is_dir()]


def put(folder: Path, digest: str, tar: IO[bytes]) -> str:
    """Unpack a tar, whose SHA-256 (hex) is `digest`, to `files/<digest>/`, as a whole or not at all; the path.

    Takes files, folders and symbolic links; files keep their modes. Raises `AgentError` bad-digest or bad-request.
    """
    target = folder / "files" / _name(digest)
    state.make_folder(target.parent)
    if target.is_dir():
        return str(target)
    temporary = Path(tempfile.mkdtemp(prefix=".incoming-", dir=target.parent))
    try:
        hashing = _Hashing(tar)
        with tarfile.open(fileobj=cast("IO[bytes]", hashing), mode="r|") as archive:
            for member in archive:
                _unpack(archive, member, temporary)
        if hashing.finish() != digest:
            raise AgentError(Kind.BAD_DIGEST, f"the files arrived with another digest than {digest}", "try again")
        temporary.chmod(_SEEN)
        os.sync()  # a file set is many small files: one sync of all beats one for each
        temporary.replace(target)
    except tarfile.TarError as error:
        raise AgentError(Kind.BAD_REQUEST, f"the files are no tar: {error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    state.sync(target.parent)
    return str(target)


def ensure_data(folder: Path, paths: List[str]) -> List[str]:
    """Make the data folders that are missing, as Docker would; what is there stays as it is. Their full paths."""
    made = []
    for text in paths:
        place = folder / "data"
        state.make_folder(place)
        for part in _relative(text).parts:
            place = place / part
            if not place.exists():
                place.mkdir()
                place.chmod(_AS_DOCKER)
        made.append(str(place))
    return made


def put_compose(folder: Path, release: str, text: str) -> None:
    """Keep a release's rendered Compose file."""
    place = folder / "releases" / _name(release)
    state.make_folder(place.parent)
    state.make_folder(place)
    state.write(place / COMPOSE, text.encode())


def release_folder(folder: Path, release: str) -> Path:
    """Where what belongs to a release lies, whether it is there or not."""
    return folder / "releases" / _name(release)


def compose(folder: Path, release: str) -> str:
    """A release's rendered Compose file. Raises `AgentError` not-found."""
    path = release_folder(folder, release) / COMPOSE
    try:
        return path.read_text()
    except FileNotFoundError as error:
        hint = "put the file back from a copy, or deploy the release's commit again: allfast deploy --commit REV"
        raise AgentError(Kind.NOT_FOUND, f"{path} is gone: the release cannot be started again", hint) from error


def secrets(folder: Path, text: str) -> List[str]:
    """The contents of the Compose secrets in a release's rendered Compose file, as far as they are kept here."""
    listed = [str(one.get("file") or "") for one in (json.loads(text).get("secrets") or {}).values()]
    ours = [Path(file) for file in listed if Path(file).parent.parent == folder / "files"]
    return [file.read_bytes().decode(errors="replace") for file in ours if file.is_file()]


def keep_only(folder: Path, kind: str, names: List[str]) -> List[str]:
    """Remove all of `releases/` or `files/` but those; the names of what was removed."""
    place = folder / kind
    if not place.is_dir():
        return []
    gone = sorted(entry for entry in place.iterdir() if entry.name not in names)
    for entry in gone:
        shutil.rmtree(entry)
    return [entry.name for entry in gone]


class _Hashing:
    """A stream that hashes what is read from it."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self._hash = hashlib.sha256()

    def read(self, size: int) -> bytes:
        data = self._source.read(size)
        self._hash.update(data)
        return data

    def finish(self) -> str:
        """The digest of all, also of what tar leaves unread behind its end."""
        while self.read(1 << 16):
            pass
        return self._hash.hexdigest()


def _unpack(archive: tarfile.TarFile, member: tarfile.TarInfo, root: Path) -> None:
    target = root.joinpath(*_relative(member.name).parts)
    _make_parents(target.parent, root)
    if member.isdir():
        _make_parents(target, root)
    elif member.issym():
        target.symlink_to(member.linkname)
    elif member.isfile():
        source: Optional[Any] = archive.extractfile(member)
        assert source is not None  # isfile() says so
        fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(fd, "wb") as file:
            shutil.copyfileobj(source, file)
            os.fchmod(fd, member.mode & 0o777)
    else:
        raise AgentError(Kind.BAD_REQUEST, f"{member.name}: only files, folders and symbolic links can be sent")


def _make_parents(folder: Path, root: Path) -> None:
    """Make the folders down to `folder`; a link on the way would lead out of `root`."""
    place = root
    for part in folder.relative_to(root).parts:
        place = place / part
        if place.is_symlink() or (place.exists() and not place.is_dir()):
            raise AgentError(Kind.BAD_REQUEST, f"{folder.relative_to(root)}: {part} is not a folder")
        if not place.exists():
            place.mkdir()
            place.chmod(_SEEN)


def _relative(text: str) -> PurePosixPath:
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts:
        raise AgentError(Kind.BAD_REQUEST, f"{text}: not a path inside the folder")
    return path


def _name(text: str) -> str:
    """A name that is one path component and not a hidden one."""
    if not text or "/" in text or "\0" in text or text.startswith("."):
        raise AgentError(Kind.BAD_REQUEST, f"{text!r}: not a name")
    return text
