"""The proxy's state on this server: what runs, what each app has put there, the switch of one app.

`<base>/_proxy/` (no deployment's name begins with `_`), which the proxy's container mounts at /state:
`caddy.json` the whole configuration · `apps/<deployment>/part.json` what it is composed from · `apps/<deployment>/live`
the switch, `canary` beside it · `run/admin.sock` Caddy's admin API · `data/` certificates · `log/`. Where a container
exists, its mount says where the folder is, for apps may have different `state_dir`s.

The configuration is changed only with the server-wide lock on `lock`, held from `take` to `release`: two apps never
lose each other's part. An app's switch is its own, and needs only the app's lock.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from allfast.agent import assets, state
from allfast.agent.asking import inspecting
from allfast.agent.docker import Docker
from allfast.agent.engine import UnixConnection
from allfast.agent.protocol import AgentError, Kind

Json = Dict[str, Any]

FOLDER = "_proxy"
LABEL = "allfast.proxy"
#: In an app's folder while it is closed for maintenance: the page that visitors get, and the key of who may in.
PAGE_FILE = "closed.html"
KEY_FILE = "key"
#: In an app's folder while a canary gets a share of its visitors (proxy/canary.py).
CANARY_FILE = "canary"
SWITCH_FILE = "live"
#: With its digest, and `.pem` or `.key`: a certificate of the user's own. The proxy reads by the folder's group.
CERTIFICATE = "certificate-"
KEY_MODE = 0o640
MOUNT = "/state"
#: With this setting (Linux 5.14) the kernel hands connections that wait at a closed listener to the one beside it.
MIGRATES = Path("/proc/sys/net/ipv4/tcp_migrate_req")
#: Seconds: a proxy that has just been started opens its admin socket within this time.
START = 5.0
#: Seconds that Caddy may need to load a configuration.
LOAD = 60.0


def look(docker: Docker, base: Path, deployment: str = "") -> Json:
    """All there is: folder, containers (the running one first), parts, switches, the configuration in use.

    `running` is None where no proxy answers; `key` is the named deployment's own, "" where it is not closed.
    """
    found = containers(docker)
    folder = _folder(found, base)
    apps = folder / "apps"
    names = sorted(entry.name for entry in apps.iterdir()) if apps.is_dir() else []
    parts = {name: _text(apps / name / "part.json") for name in names}
    switches = {name: _text(apps / name / SWITCH_FILE) for name in names}
    canaries = {name: _text(apps / name / CANARY_FILE) for name in names}
    return {
        "folder": str(folder),
        "group": None if docker.rootless else docker.gid,
        "ipv6": _forwards_ipv6(),
        "migrates": MIGRATES.exists(),
        "containers": found,
        "parts": {name: json.loads(text) for name, text in parts.items() if text is not None},
        "live": {name: text for name, text in switches.items() if text is not None},
        "canaries": {name: text for name, text in canaries.items() if text is not None},
        "closed": [name for name in names if (apps / name / PAGE_FILE).exists()],
        "key": (_text(apps / deployment / KEY_FILE) or "") if deployment else "",
        "running": _answering(folder) if found and found[0]["running"] else None,
    }


def containers(docker: Docker) -> List[Json]:
    """The proxy's containers: one, or two in the middle of an exchange; the running one first."""
    listed = docker.engine.get("/containers/json", all=True, filters={"label": [LABEL]})
    # another app's exchange may remove one meanwhile
    found = [inspecting(docker.engine, "containers", one["Id"])() for one in listed]
    return sorted((_describe(one) for one in found if one), key=lambda one: (not one["running"], one["name"]))


def _describe(found: Json) -> Json:
    bindings = found["HostConfig"]["PortBindings"] or {}
    return {
        "id": found["Id"],
        "name": found["Name"].lstrip("/"),
        "running": bool(found["State"]["Running"]),
        "exit_code": found["State"]["ExitCode"],
        "image": found["Config"]["Image"],
        "ports": sorted([b["HostIp"], int(b["HostPort"])] for all_of in bindings.values() for b in all_of),
        "state": next((m["Source"] for m in found["Mounts"] if m["Destination"] == MOUNT), ""),
    }


def _folder(found: List[Json], base: Path) -> Path:
    mounted = [one["state"] for one in found if one["state"]]
    return Path(mounted[0]) if mounted else base / FOLDER


def folder(docker: Docker, base: Path) -> Path:
    """The state folder of this server's proxy, made with all that Caddy expects in it."""
    place = _folder(containers(docker), base)
    if not place.is_dir():
        state.make(place.parent, place.name, docker)
    for name in ("apps", "run", "data", "log"):
        state.make_folder(place / name)
    return place


def apply(docker: Docker, place: Path, deployment: str, part: Json, config: Json, files: Dict[str, str]) -> Json:
    """Put an app's part and the configuration composed with it; the configuration in use from now on.

    Caddy loads the configuration before anything of it is written, so what it refuses is never there at its next
    start. `files` (name -> text) are what the part names in the app's folder. Raises `AgentError` proxy.
    """
    app = _app(place, deployment)
    for name, text in files.items():
        state.write(app / _name(name), text.encode(), KEY_MODE if name.endswith(".key") else 0o660)
    started = next((one for one in containers(docker) if one["running"]), None)
    reloaded = started is not None and _load(place, config)
    state.write(app / "part.json", _bytes(part))
    state.write(place / "caddy.json", _bytes(config))
    for former in app.glob(f"{CERTIFICATE}*"):
        if former.stem != f"{CERTIFICATE}{part.get('certificate', '')}":
            former.unlink()
    return {"reloaded": reloaded, "running": _running(place) if started else None}


def remove(docker: Docker, place: Path, deployment: str, config: Json) -> Json:
    """Take an app's part away; as `apply` for the configuration without it."""
    started = next((one for one in containers(docker) if one["running"]), None)
    reloaded = started is not None and _load(place, config)
    state.write(place / "caddy.json", _bytes(config))
    shutil.rmtree(place / "apps" / _name(deployment), ignore_errors=True)
    return {"reloaded": reloaded, "running": _running(place) if started else None}


def switch(docker: Docker, base: Path, deployment: str, content: Optional[str]) -> Optional[str]:
    """Replace the switch file by one rename, or remove it (requests are held then); what it held, None without one."""
    return _replace(_app(_folder(containers(docker), base), deployment) / SWITCH_FILE, content)


def canary(docker: Docker, base: Path, deployment: str, line: Optional[str]) -> Optional[str]:
    """Replace the canary's file by one rename, or remove it (the canary gets no more visitors); what it held."""
    return _replace(_app(_folder(containers(docker), base), deployment) / CANARY_FILE, line)


def _replace(path: Path, content: Optional[str]) -> Optional[str]:
    former = _text(path)
    if content is not None:
        state.write(path, content.encode())
    elif former is not None:
        path.unlink()
        state.sync(path.parent)
    return former


def keep_assets(docker: Docker, base: Path, deployment: str, release: str, container: str, path: str, url: str) -> int:
    """See `assets.keep`."""
    app = _app(_folder(containers(docker), base), deployment)
    return assets.keep(docker.engine, app, release, container, path, url)


def prune_assets(docker: Docker, base: Path, deployment: str, keep: List[str]) -> None:
    """See `assets.prune`."""
    place = _folder(containers(docker), base)
    assets.prune(place / "apps" / _name(deployment), keep)


def close(docker: Docker, base: Path, deployment: str, page: str, token: str) -> None:
    """Give all visitors this page (HTML) from now on, but those who bear the key `token` (proxy/rules.py, KEY)."""
    app = _app(_folder(containers(docker), base), deployment)
    state.write(app / KEY_FILE, token.encode())  # first: without it nobody could be told apart
    state.write(app / PAGE_FILE, page.encode())


def open_again(docker: Docker, base: Path, deployment: str) -> None:
    """End what `close` began; nothing happens where the app is not closed."""
    app = _app(_folder(containers(docker), base), deployment)
    for name in (PAGE_FILE, KEY_FILE):
        (app / name).unlink(missing_ok=True)
    state.sync(app)


def _app(place: Path, deployment: str) -> Path:
    app = place / "apps" / _name(deployment)
    state.make_folder(app)
    return app


def _load(place: Path, config: Json) -> bool:
    """Have Caddy take the configuration, unless it is the one in use, or nobody answers; whether it took it."""
    found = _answering(place)
    if found is None or found == config:
        return False
    status, answer = _ask(place, "POST", "/load", _bytes(config))
    if status >= 400:
        raise AgentError(
            Kind.PROXY,
            f"the proxy refuses the configuration and keeps the one in use: {_words(answer)}",
            "correct what it names; nothing was changed",
        )
    _sweep(place, config)
    return True


def _sweep(place: Path, config: Json) -> None:
    """Remove the sockets that a killed Caddy left."""
    text = json.dumps(config)
    for entry in (place / "run").glob("*.sock"):
        if entry.name not in text:
            entry.unlink(missing_ok=True)


def _answering(place: Path) -> Optional[Json]:
    """The configuration in use, from a proxy that may have been started just now; None where it does not answer."""
    deadline = time.monotonic() + START
    while True:
        found = _running(place)
        if found is not None or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


def _running(place: Path) -> Optional[Json]:
    try:
        return _get(place)
    except OSError:
        return None


def _get(place: Path) -> Json:
    """The configuration that Caddy has in use. Raises `OSError` where none answers."""
    status, answer = _ask(place, "GET", "/config/", None)
    found = json.loads(answer) if status == 200 else None
    return found if isinstance(found, dict) else {}


def _ask(place: Path, method: str, path: str, body: Optional[bytes]) -> Tuple[int, bytes]:
    """One request to the admin API. Raises `OSError` where none answers."""
    connection = UnixConnection(str(place / "run" / "admin.sock"), LOAD)
    try:
        connection.request(method, path, body=body, headers={"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read()
    except http.client.HTTPException as error:
        raise ConnectionError(f"{type(error).__name__}: {error}") from error
    finally:
        connection.close()


def _words(answer: bytes) -> str:
    try:
        return str(json.loads(answer)["error"])
    except (ValueError, KeyError, TypeError):
        return answer.decode(errors="replace")


def _bytes(value: Json) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True).encode()


def _forwards_ipv6() -> bool:
    """Whether this machine passes IPv6 on, as a network with IPv6 would make it do.

    A machine that learns its own routes from router advertisements stops to do so with that setting, so it is only
    used where it is in force.
    """
    place = Path("/proc/sys/net/ipv6/conf")
    try:
        settings = [(place / name).read_text().strip() for name in ("all/forwarding", "default/disable_ipv6")]
    except OSError:  # no IPv6 in the kernel
        return False
    return settings == ["1", "0"]


def _text(path: Path) -> Optional[str]:
    try:
        return path.read_text()
    except FileNotFoundError:
        return None


def _name(text: str) -> str:
    """A name that is one path component and not a hidden one."""
    if not text or os.sep in text or "\0" in text or text.startswith("."):
        raise AgentError(Kind.BAD_REQUEST, f"{text!r}: not a name")
    return text
