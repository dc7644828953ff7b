"""Where allfast keeps files of its own on this machine."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """allfast's folder in the user's cache: below `XDG_CACHE_HOME` where that is absolute, else below `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".cache") / "allfast"
