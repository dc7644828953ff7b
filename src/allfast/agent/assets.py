"""Assets of releases that are not live any more, for pages that visitors still have open.

`_proxy/apps/<deployment>/assets/<release>/<url>` what each kept release brought · `assets/all/<url>` all of it,
with which the proxy answers where the live release says 404. Equal names are one file: the newest release's.
"""

from __future__ import annotations

import os
import shutil
import tarfile
from pathlib import Path, PurePosixPath
from typing import IO, List, cast
from urllib.parse import quote

from allfast.agent.engine import Engine, EngineError
from allfast.agent.protocol import AgentError, Kind

FOLDER = "assets"
ALL = "all"
#: The proxy's program is not a member of any group of the server.
_SEEN = 0o2775
_READABLE = 0o664


def keep(engine: Engine, app: Path, release: str, container: str, path: str, url: str) -> int:
    """Keep what a container has below `path` as what its release answers below `url`; how many files.

    `app` is the app's folder of the proxy's state. Raises `AgentError` not-found where the container has no such path.
    """
    top = app / FOLDER
    place = top / _name(release) / _inside(url)
    _make(place, app)
    count = 0
    try:
        asked = engine.stream("GET", f"/containers/{container}/archive?path={quote(path)}", timeout=60)
        with asked as answer, tarfile.open(fileobj=cast("IO[bytes]", answer), mode="r|") as archive:
            for member in archive:
                count += _unpack(archive, member, place, app)
    except EngineError as error:
        if error.status == 404:
            raise AgentError(
                Kind.NOT_FOUND, f"the container has no {path}", "correct `assets` of the service in allfast.toml"
            ) from error
        raise
    _link(top, release)
    return count


def has(app: Path, release: str) -> bool:
    """Whether a release's assets are kept already."""
    return (app / FOLDER / _name(release)).is_dir()


def prune(app: Path, kept: List[str]) -> None:
    """Forget the assets of all releases but `kept` (ids, the newest last where two have files of one name)."""
    top = app / FOLDER
    if not top.is_dir():
        return
    for one in top.iterdir():
        if one.name not in (*kept, ALL):
            shutil.rmtree(one, ignore_errors=True)
    for folder, _, files in os.walk(top / ALL):
        for name in files:
            file = Path(folder) / name
            if file.stat().st_nlink == 1:  # no release has it any more
                file.unlink()
    for release in kept:
        if has(app, release):
            _link(top, release)


def _unpack(archive: tarfile.TarFile, member: tarfile.TarInfo, place: Path, app: Path) -> int:
    """One entry of the archive, whose names begin with the last part of the path that was asked for."""
    relative = PurePosixPath(*PurePosixPath(member.name).parts[1:])
    source = archive.extractfile(member) if member.isfile() else None
    if source is None or ".." in relative.parts or relative.is_absolute():
        return 0
    target = place / relative if relative.parts else place
    _make(target.parent, app)
    temporary = target.with_name(f".{target.name}.new")
    with temporary.open("wb") as file:
        shutil.copyfileobj(source, file)
        os.fchmod(file.fileno(), _READABLE)
    temporary.replace(target)
    return 1


def _link(top: Path, release: str) -> None:
    """Have a release's files among all; a newer file of the same name takes the place of an older one."""
    source = top / release
    for folder, _, files in os.walk(source):
        target = top / ALL / Path(folder).relative_to(source)
        _make(target, top.parent)
        for name in files:
            temporary = target / f".{name}.new"
            if temporary.exists():
                temporary.unlink()
            os.link(Path(folder) / name, temporary)
            temporary.replace(target / name)
            if temporary.exists():  # it was the same file already: a rename does nothing then
                temporary.unlink()


def _make(folder: Path, root: Path) -> None:
    """Make the folders from `root` down to `folder`, open to everybody who may enter the state."""
    place = root
    for part in folder.relative_to(root).parts:
        place = place / part
        if not place.is_dir():
            place.mkdir(exist_ok=True)
            place.chmod(_SEEN)


def _inside(url: str) -> PurePosixPath:
    path = PurePosixPath(url.strip("/"))
    if ".." in path.parts or not path.parts:
        raise AgentError(Kind.BAD_REQUEST, f"{url!r}: not a path of a URL")
    return path


def _name(text: str) -> str:
    if not text or "/" in text or text.startswith(".") or text == ALL:
        raise AgentError(Kind.BAD_REQUEST, f"{text!r}: not a release")
    return text
