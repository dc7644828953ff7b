"""From the options of a command to a context whose server is being connected to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from allfast.cli.common import Terminal
from allfast.config.load import load, place
from allfast.errors import ConfigError
from allfast.remote.server import connect

if TYPE_CHECKING:
    from allfast.config.model import Config
    from allfast.pipeline.context import Context


@contextmanager
def connected(
    terminal: Terminal, config: Path | None, target: str | None, *, may_ask: bool = False
) -> Iterator[Context]:
    """The context of the chosen target, as soon as ssh was started: whoever asks the server first waits for it.

    Raises:
        ConfigError: allfast.toml is missing or wrong.
        UsageError: no such target.
    """
    loaded = load(config, start=Path.cwd())
    name = loaded.target_name(target)
    chosen = loaded.target(name)
    with connect(
        chosen.host,
        deployment=loaded.deployment(name),
        app=loaded.toml.app,
        target=name,
        state_dir=chosen.state_dir or "",
        ssh_config=_ssh_config(loaded, name),
    ) as server:
        # Heavy, and only needed from here on: ssh connects meanwhile.
        from allfast.pipeline.context import Context, Project

        confirm = terminal.confirm if may_ask and terminal.interactive else None
        yield Context(Project(loaded, name), server, terminal.emit, terminal.redactor, confirm)


def _ssh_config(config: Config, target: str) -> Path | None:
    """The target's own ssh configuration file, None for the user's; ALLFAST_SSH_CONFIG stands before both."""
    named = config.target(target).ssh_config
    if named is None or "ALLFAST_SSH_CONFIG" in os.environ:
        return None
    file = config.folder / named
    if not file.is_file():
        where = place(config, "targets", target, "ssh_config")
        raise ConfigError(f"{where}: there is no file {named}", hint="make it, or remove the key to use ~/.ssh/config")
    return file
