"""Images made from Debian packages, where no registry can be reached: the bases of apps, and the servers themselves.

They bear the public names that Compose files use, and behave as the public ones in what Compose files use of them. An
image of such a name that is not ours (pulled, say) is left alone and used. Each of ours has a label with the hash of
all that it is made from; one whose recipe has changed is made anew.
"""

import hashlib
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

from testbed.common import HOST_ENV, RECIPE_LABEL, TestbedError, docker, machine_lock, run

RECIPES = Path(__file__).resolve().parent / "recipes"
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
#: Programs inside builds must trust what this machine trusts: it may sit behind a proxy with an authority of its own.
CA_ENV = ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "PIP_CERT", "NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO")

Say = Callable[[str], None]


def say_nothing(_line: str) -> None:
    """The `Say` of who does not want to be told."""


@dataclass(frozen=True)
class Image:
    """One image to make: `tag` from the folder `recipe` on top of `root`'s Debian suite."""

    tag: str
    recipe: str
    suite: str = "trixie"
    args: tuple[tuple[str, str], ...] = ()


PYTHON = Image("python:3.13-slim", "python")
NODE = Image("node:20-slim", "node")
POSTGRES = Image("postgres:17", "postgres")
REDIS = Image("redis:8", "redis")
CADDY = Image("caddy:2", "caddy")
#: What the Compose files of apps may name as a base or a data service, and the proxy.
BASES = (PYTHON, NODE, POSTGRES, REDIS, CADDY)
#: Debian suite -> the image of a throwaway server. bullseye is the oldest to support: Engine 20.10 and Python 3.9.
SERVERS = {
    "trixie": Image("allfast-testbed/server:trixie", "server", args=(("PACKAGES", "docker.io docker-cli"),)),
    "bullseye": Image("allfast-testbed/server:bullseye", "server", "bullseye", (("PACKAGES", "docker.io"),)),
}


def ensure(images: Iterable[Image], say: Say = say_nothing) -> None:
    """Have all `images` on the machine's engine; make what is missing or of an old recipe. Raises `TestbedError`."""
    wanted = list(images)
    if all(_current(image) for image in wanted):
        return
    with machine_lock("images"):
        missing = [image for image in wanted if not _current(image)]
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda suite: make_root(suite, say), sorted({image.suite for image in missing})))
            list(pool.map(lambda image: _build(image, say), missing))


def recipe_of(tag: str) -> str | None:
    """The recipe hash in the label of the image `tag`; empty where the image is not ours, None where there is none."""
    found = docker("image", "inspect", "-f", f'{{{{index .Config.Labels "{RECIPE_LABEL}"}}}}', tag, check=False)
    return found.stdout.strip() if found.returncode == 0 else None


def remove_all() -> int:
    """Remove all images of ours but those that a container of another checkout uses; returns how many there were.

    By name: an app's image inherits the label of the base that it is built on.
    """
    others = docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "allfast-testbed/*").stdout.split()
    ours = [tag for tag in (*(image.tag for image in BASES), *others) if recipe_of(tag)]
    if ours:
        docker("image", "rm", "-f", *ours, check=False)
    return len(ours)


def _current(image: Image) -> bool:
    return recipe_of(image.tag) in ("", _recipe_hash(image))


def _recipe_hash(image: Image) -> str:
    digest = hashlib.sha256(f"{_root_hash(image.suite)} {image.tag} {image.args}".encode())
    folder = RECIPES / image.recipe
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(f"\0{path.relative_to(folder)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _build(image: Image, say: Say) -> None:
    """Build one image on its suite's root."""
    with _told(f"image {image.tag}", say):
        args = [("BASE", _root_tag(image.suite)), *image.args]
        words = [word for name, value in args for word in ("--build-arg", f"{name}={value}")]
        label = f"{RECIPE_LABEL}={_recipe_hash(image)}"
        # The default builder, whatever builder the user has selected: only that one sees local images.
        docker(
            "buildx",
            "build",
            "--builder",
            "default",
            "--provenance=false",
            "-t",
            image.tag,
            "--label",
            label,
            *words,
            RECIPES / image.recipe,
        )


# The root of a suite: Debian without documentation, with this machine's certificates


def _root_tag(suite: str) -> str:
    return f"allfast-testbed/debian:{suite}"


def _mmdebstrap(suite: str) -> list[str]:
    excluded = ("path-exclude=/usr/share/man/*", "path-exclude=/usr/share/locale/*", "path-exclude=/usr/share/doc/*")
    options = [
        f"--dpkgopt={option}" for option in ("force-unsafe-io", *excluded, "path-include=/usr/share/doc/*/copyright")
    ]
    # The second copy survives a later run of update-ca-certificates, which writes the bundle anew.
    hooks = [
        f'--customize-hook=cp {CA_BUNDLE} "$1/usr/local/share/ca-certificates/host.crt"',
        f'--customize-hook=cp {CA_BUNDLE} "$1{CA_BUNDLE}"',
    ]
    languages = '--aptopt=Acquire::Languages "none"'
    return [
        "mmdebstrap",
        "--quiet",
        "--variant=minbase",
        "--include=ca-certificates",
        languages,
        *options,
        *hooks,
        suite,
        "-",
    ]


def _root_hash(suite: str) -> str:
    digest = hashlib.sha256(repr((_mmdebstrap(suite), CA_ENV)).encode())
    digest.update(CA_BUNDLE.read_bytes())
    return digest.hexdigest()[:16]


def make_root(suite: str, say: Say = say_nothing) -> str:
    """Have the root image of a suite, and return its tag. Raises `TestbedError`."""
    recipe = _root_hash(suite)
    if recipe_of(_root_tag(suite)) == recipe:
        return _root_tag(suite)
    with _told(f"Debian {suite}", say):
        changes = [f"LABEL {RECIPE_LABEL}={recipe}", 'CMD ["bash"]', *(f"ENV {name}={CA_BUNDLE}" for name in CA_ENV)]
        words = [word for change in changes for word in ("-c", change)]
        _import(["docker", "import", *words, "-", _root_tag(suite)], [*_mmdebstrap(suite), _mirror()])
    return _root_tag(suite)


def _import(taker: list[str], maker: list[str]) -> None:
    """Run `maker` and give its output to `taker`. Raises `TestbedError` when either fails."""
    with TemporaryFile() as errors:
        with subprocess.Popen(maker, stdout=subprocess.PIPE, stderr=errors, env=HOST_ENV) as made:
            taken = subprocess.run(taker, stdin=made.stdout, capture_output=True, text=True, env=HOST_ENV)
        if made.returncode == 0 and taken.returncode == 0:
            return
        errors.seek(0)
        said = errors.read().decode(errors="replace")[-2000:]
    docker("image", "rm", taker[-1], check=False)
    raise TestbedError(f"{taker[-1]} could not be made: {said}{taken.stderr}")


def _mirror() -> str:
    """The Debian mirror that this machine itself uses: that of the first plain suite (not -updates) in its sources."""
    fields = "$(ORIGIN)|$(COMPONENT)|$(RELEASE)|$(REPO_URI)"
    for first in (True, False):
        if not first:  # a machine that has no lists yet names no sources
            run(["apt-get", "-qq", "update"], check=False)
        for line in run(["apt-get", "indextargets", "--format", fields, "Created-By: Packages"]).stdout.splitlines():
            origin, component, release, uri = line.split("|")
            if (origin, component) == ("Debian", "main") and "-" not in release:
                return uri
    raise TestbedError("no Debian mirror in this machine's apt sources")


@contextmanager
def _told(what: str, say: Say) -> Iterator[None]:
    """Say that something is being made, and how long it took."""
    begun = time.monotonic()
    say(f"making {what}")
    yield
    say(f"made {what} in {time.monotonic() - begun:.1f} s")
