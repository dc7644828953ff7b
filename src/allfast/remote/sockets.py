"""Private folders for unix sockets, whose paths must be short: 104 bytes on macOS, of which ssh takes 17 for itself."""

from __future__ import annotations

import itertools
import os
import shutil
import stat
import tempfile
from pathlib import Path

_LONGEST = 60
_counter = itertools.count()


class Folder:
    """A folder of this process alone, named by its number; what dead processes left behind is swept away."""

    def __init__(self) -> None:
        base = _base()
        _sweep(base)
        self.path = base / f"{os.getpid()}-{next(_counter)}"
        shutil.rmtree(self.path, ignore_errors=True)
        self.path.mkdir(mode=0o700)

    def remove(self) -> None:
        """Remove it with its sockets."""
        shutil.rmtree(self.path, ignore_errors=True)


def _base() -> Path:
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime and len(runtime) < _LONGEST and Path(runtime).is_dir() and os.access(runtime, os.W_OK):
        wanted = Path(runtime) / "allfast"
    else:
        wanted = Path("/tmp") / f"allfast-{os.getuid()}"  # noqa: S108 - checked below to be ours
    try:
        wanted.mkdir(mode=0o700)
    except FileExistsError:
        status = wanted.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
            return Path(tempfile.mkdtemp(prefix="allfast-", dir="/tmp"))  # somebody else's: not for us
    return wanted


def _sweep(base: Path) -> None:
    for folder in base.iterdir():
        number = folder.name.partition("-")[0]
        if number.isdigit() and not _alive(int(number)):
            shutil.rmtree(folder, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
