"""The Docker CLI's configuration for a server's engine: the user's plug-ins, and nothing else of the user's.

With the user's own the CLI hands a login at a registry to whatever engine it speaks to, whenever Compose wants an image
pulled. Nothing is pulled that way here, and a server that finds a way to have it asked for gets no password.
Format: https://docs.docker.com/reference/cli/docker/#docker-cli-configuration-file-configjson-properties
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

#: With no login at all the CLI would look for a keychain of the system.
_NO_LOGIN: dict[str, Any] = {"auths": {"none": {}}}


def without_logins(folder: Path) -> Path:
    """Write it below `folder`, which belongs to this user alone; the value for DOCKER_CONFIG."""
    made = folder / "docker"
    made.mkdir(mode=0o700, exist_ok=True)
    user = Path(os.environ.get("DOCKER_CONFIG") or "~/.docker").expanduser()
    plugins = [str(user / "cli-plugins"), *_extra_plugins(user / "config.json")]
    (made / "config.json").write_text(json.dumps({**_NO_LOGIN, "cliPluginsExtraDirs": plugins}))
    return made


def _extra_plugins(config: Path) -> list[str]:
    """The folders of plug-ins that the user's configuration names."""
    try:
        found = json.loads(config.read_text())["cliPluginsExtraDirs"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [str(one) for one in found] if isinstance(found, list) else []
