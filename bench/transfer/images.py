"""The images of the works, as Git repositories that allfast builds: each version is a commit."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from bench.transfer.model import Trip
from testbed.tiny_app import TEMPLATE, TinyApp

RECIPES = Path(__file__).resolve().parent / "recipes"
WEB = TEMPLATE.parent.parent / "examples" / "chat" / "web"
NOT_COPIED = shutil.ignore_patterns("node_modules", ".next", "__pycache__")

TOML = """\
app = "{app}"
compose = ["compose.yaml"]
keep = 2

[targets.production]
host = "{host}"
strategy = "recreate"
"""
# A container that only waits: what is measured ends before it starts
COMPOSE = """\
services:
  app:
    build: image
    command: {command}
    init: true
    restart: always
    stop_signal: SIGKILL
    healthcheck:
      test: ["CMD", "true"]
      interval: 1h
      start_period: 60s
      start_interval: 1s
"""
NODE_WAITS = ["node", "-e", "setInterval(() => {}, 1e9)"]
PYTHON_WAITS = ["python3", "-c", "import time; time.sleep(1e9)"]

#: Trip -> the layers of a made image, one after the other: what `make_files.py` is asked for in each.
MIXED = (("mixed {bytes} /data", "change 1 /data '{changed}'"), ("mixed 20000000 /app", "change 1 /app '{above}'"))
LAYERS = {
    "python": (("packages {packages} /opt/venv",), ("mixed {app} /app", "change 1 /app '{changed}'")),
    "mixed": MIXED,
    "large": MIXED,
    "files": (("small {small} /data", "change 10 /data '{changed}'"),),
}

#: The web's trips whose Dockerfile copies all that was built at once.
IN_ONE_LAYER = ("usual", "other")
#: What the work "a dependency added" adds to the example's web: a package without dependencies of its own.
PACKAGE = ("zod", "4.1.12")


@dataclass(frozen=True)
class Source(TinyApp):
    """The repository of a trip; `commits` are its versions."""

    commits: dict[str, str]


def make_source(trip: Trip, path: Path, *, app: str, host: str) -> Source:
    """Make the repository of a trip at `path`, which must not exist, for the deployment `app` on the server `host`."""
    path.mkdir()
    source = Source(path, None, {})
    source.write("allfast.toml", TOML.format(app=app, host=host))
    command = NODE_WAITS if trip.real else PYTHON_WAITS
    source.write("compose.yaml", COMPOSE.format(command=json.dumps(command)))
    source.git("init", "--quiet", "--initial-branch=main")
    for key, value in (("user.name", "Bench"), ("user.email", "bench@example.org"), ("commit.gpgsign", "false")):
        source.git("config", key, value)
    for version in trip.versions:
        (_write_web if trip.real else _write_made)(source, trip, version)
        source.commits[version] = source.commit(version)
    return source


def _write_made(source: Source, trip: Trip, version: str) -> None:
    image = source.path / "image"
    image.mkdir(exist_ok=True)
    shutil.copy(RECIPES / "make_files.py", image)
    values = {
        "bytes": trip.size,
        # A tar has a header of 512 bytes for each file, and rounds bodies up: that much less is content
        "small": int(trip.size * 0.44),
        "packages": int(trip.size * 0.8),
        "app": int(trip.size * 0.12),
        # The change of what is below comes last: what is above it is by then as it was left
        "changed": version if version == "changed" else "base",
        "above": trip.versions[-2] if version == "changed" else version,
    }
    layers = (
        " && ".join(f"python3 -B /make_files.py {part.format(**values)}" for part in one) for one in LAYERS[trip.name]
    )
    lines = ("FROM python:3.13-slim", "COPY make_files.py /", *(f"RUN {layer}" for layer in layers))
    source.write("image/Dockerfile", "\n".join(lines) + "\n")


def _write_web(source: Source, trip: Trip, version: str) -> None:
    image = source.path / "image"
    if version == trip.versions[0]:
        shutil.copytree(WEB, image, ignore=NOT_COPIED)
        if trip.name in IN_ONE_LAYER:
            _in_one_layer(source)
    elif version == "line":
        line = (image / "app" / "tagline.ts").read_text()
        source.write("image/app/tagline.ts", line.replace('"', '"Now: ', 1))
    else:
        _add_package(source)


def _in_one_layer(source: Source) -> None:
    """The Dockerfile copies the whole `standalone` folder at once."""
    lines = (source.path / "image" / "Dockerfile").read_text().splitlines(keepends=True)
    parts = [number for number, line in enumerate(lines) if "/.next/standalone/" in line]
    whole = ["COPY --from=build /app/.next/standalone ./\n"]
    source.write("image/Dockerfile", "".join([*lines[: parts[0]], *whole, *lines[parts[-1] + 1 :]]))


def _add_package(source: Source) -> None:
    name, release = PACKAGE
    for file in ("package.json", "package-lock.json"):
        document = json.loads((source.path / "image" / file).read_text())
        top = document if file == "package.json" else document["packages"][""]
        top["dependencies"][name] = release
        if file == "package-lock.json":
            document["packages"][f"node_modules/{name}"] = {"version": release}
        source.write(f"image/{file}", json.dumps(document, indent=2) + "\n")
    page = (source.path / "image" / "app" / "login" / "page.tsx").read_text()
    used = page.replace("{tagline}", "{z.string().parse(tagline)}")
    source.write("image/app/login/page.tsx", f'import {{ z }} from "{name}";\n{used}')
    # As packages are that cannot be bundled: it lies in the image's node_modules
    config = (source.path / "image" / "next.config.ts").read_text()
    external = f'  serverExternalPackages: ["{name}"],\n'
    source.write("image/next.config.ts", config.replace("  output:", f"{external}  output:"))
