"""What tests read on a server: which containers run, with which image; and how they change the app in one commit."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

from testbed.server import Server
from testbed.tiny_app import TinyApp

#: Where a recorded run, and a connection at all, may leave a trace; all else is as it was.
LEDGER = ("/var/lib/allfast/*/ledger.sqlite3*", "/var/lib/allfast/*/lock*")


def name_of(app: TinyApp) -> str:
    """The deployment's name."""
    line = next(line for line in (app.path / "allfast.toml").read_text().splitlines() if line.startswith("app = "))
    return line.split('"')[1]


def containers(server: Server, app: TinyApp) -> dict[str, str]:
    """Service -> id of its container, also one that does not run."""
    label = f"label=com.docker.compose.project={name_of(app)}"
    form = '{{.Label "com.docker.compose.service"}} {{.ID}}'
    listed = server.docker("ps", "-a", "--no-trunc", "--filter", label, "--format", form)
    lines = listed.stdout.splitlines()
    found = dict(line.split() for line in lines)
    assert len(found) == len(lines), lines
    return found


def of_release(server: Server, release: str, *, running: bool = True) -> dict[str, str]:
    """Service -> container of a release, those that run alone unless told otherwise."""
    label, form = f"label=allfast.release={release}", '{{.Label "allfast.service"}} {{.Names}}'
    listed = server.docker("ps", "--filter", label, "--format", form, *([] if running else ["--all"])).stdout
    return dict(line.split() for line in listed.splitlines())


def inspect(server: Server, container: str) -> dict[str, Any]:
    """What the server's engine knows of a container."""
    found: dict[str, Any] = json.loads(server.docker("inspect", container).stdout)[0]
    return found


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    """Services whose container is another one, or came, or went."""
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def replace(app: TinyApp, file: str, old: str, new: str) -> None:
    """Change a text of a file of the checkout; not committed."""
    text = (app.path / file).read_text()
    assert old in text, f"{old!r} is not in {file}"
    app.write(file, text.replace(old, new))


def put(url: str, content: str) -> None:
    """Store something in the app."""
    request = urllib.request.Request(url, content.encode(), method="PUT")
    with urllib.request.urlopen(request, timeout=10) as reply:
        reply.read()


def read(url: str) -> str:
    """What a URL answers."""
    with urllib.request.urlopen(url, timeout=10) as reply:
        text: str = reply.read().decode()
        return text


def image_names(server: Server, prefix: str) -> set[str]:
    """The names of images that begin so."""
    listed = server.docker("images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
    return {name for name in listed if name.startswith(prefix)}


def folder(server: Server, app: TinyApp, name: str) -> set[str]:
    """The entries of a folder of the deployment's state."""
    return set(server.exec(["ls", str(Path("/var/lib/allfast") / name_of(app) / name)]).stdout.split())


def loose_volumes(server: Server) -> set[str]:
    """The volumes that no container has."""
    return set(server.docker("volume", "ls", "--quiet", "--filter", "dangling=true").stdout.split())
