"""One build as words for `docker buildx`, and what it reports as it goes.

`--progress=rawjson` (buildx 0.13 and later) writes one JSON value after the other, BuildKit's own SolveStatus
(https://github.com/moby/buildkit/blob/master/client/graph.go): vertexes are steps, logs belong to a vertex. buildx 0.13
spreads a value over lines, later ones do not; the end of a failed build is plain text.
"""

from __future__ import annotations

import base64
import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from allfast.config.secrets import looks_secret
from allfast.errors import BuildError
from allfast.events import BuildLog, BuildStep, Event
from allfast.model import labels
from allfast.model.service import COMMIT_ARGUMENT, Build, Method

EVIDENCE_LINES = 20
#: Names that lead docker, or a program that it starts, elsewhere when they are in its environment.
_STEERING = re.compile(
    r"PATH|HOME|TMPDIR|ENV|SHELL|SOURCE_DATE_EPOCH|KUBECONFIG|HOSTALIASES|LOCALDOMAIN|RES_OPTIONS|GCONV_PATH"
    r"|[A-Z]+_PROXY|.*_CA_(BUNDLE|CERTS)|GO[A-Z]+|NODE_OPTIONS|PERL5[A-Z]+|PYTHON[A-Z]+|RUBY(OPT|LIB)|GLIBC_TUNABLES"
    r"|(DOCKER|BUILDX|BUILDKIT|COMPOSE|LD|DYLD|XDG|GIT|SSH|SSL|BASH|OTEL|MALLOC)_.*",
    re.IGNORECASE,
)
_ELSEWHERE = re.compile(r"^([a-z][a-z0-9+.-]*:|/|git@)")


@dataclass(frozen=True, slots=True)
class BuildJob:
    """One image to build.

    `secret_values` gives the values of build secrets that come from the environment (`env=NAME`), by NAME. `hidden` are
    values that no process list may show.
    `uses` maps a name that the build takes an image from (a `FROM`, an additional context) to the service of the same
    release that builds it; contexts of the form `service:NAME` count without being listed.
    `pull` asks the registry for newer bases: only where one answers.
    """

    deployment: str
    service: str
    build: Build
    method: Method
    platform: str
    commit: str
    inputs: str
    pull: bool = False
    uses: tuple[tuple[str, str], ...] = ()
    secret_values: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    hidden: frozenset[str] = field(default=frozenset(), repr=False)

    @property
    def labels(self) -> dict[str, str]:
        """The labels that its image gets (model/labels.py)."""
        return {
            labels.DEPLOYMENT: self.deployment,
            labels.SERVICE: self.service,
            labels.COMMIT: self.commit,
            labels.INPUTS: self.inputs,
            labels.METHOD: str(self.method),
        }

    @property
    def sources(self) -> dict[str, str]:
        """Name that the build takes an image from -> service that builds that image."""
        by_context = {name: value.removeprefix("service:") for name, value in self.build.contexts if _by_service(value)}
        return dict(self.uses) | by_context


def command(
    job: BuildJob, checkout: Path, builder: str, tag: str, images: Mapping[str, str], metadata: Path
) -> tuple[list[str], dict[str, str]]:
    """The words of the build and the variables that it needs besides; nothing secret is a word.

    Args:
        tag: the local name of the image.
        images: service -> local name of its image, of those that `job.sources` needs.
        metadata: the file in which buildx leaves the digests.

    Raises:
        BuildError: an argument that would lead docker elsewhere, with a value that looks secret.
    """
    build, environment = job.build, dict[str, str]()
    words = ["docker", "buildx", "build", "--builder", builder, "--progress=rawjson", "--load"]
    words += ["--provenance=false", "--sbom=false", f"--platform={job.platform}"]
    words += [f"--metadata-file={metadata}", f"--tag={tag}"]
    words += [f"--label={key}={value}" for key, value in job.labels.items()]
    words += ["--no-cache"] if job.method is Method.CLEAN else []
    # What another service builds is on this engine only: with --pull the registry would be asked for it.
    words += ["--pull"] if job.pull and not job.sources else []
    words += [f"--target={build.target}"] if build.target else []
    words += list(_arguments(job, environment))
    words += list(_secrets(job, checkout, environment))
    words += [f"--ssh={value}" for value in build.ssh]
    words += list(_contexts(job, checkout, images))
    words += [f"--add-host={value}" for value in build.extra_hosts]
    words += [f"--network={build.network}"] if build.network else []
    words += [f"--shm-size={build.shm_size}"] if build.shm_size else []
    words += ["--file", "-" if build.dockerfile_inline is not None else _place(checkout, build.dockerfile)]
    return [*words, _place(checkout, build.context)], environment


def _arguments(job: BuildJob, environment: dict[str, str]) -> Iterator[str]:
    values = dict(job.build.args)
    values.pop(COMMIT_ARGUMENT, None)
    if job.build.offers_commit:
        values[COMMIT_ARGUMENT] = job.commit
    for key, value in values.items():
        secret = looks_secret(key, value)
        if secret and _STEERING.fullmatch(key):
            raise _steers(job.service, key)
        # The commit chooses the names, and no list has all that some program obeys: only what may be secret is one.
        if secret or (not _STEERING.fullmatch(key) and any(one in value for one in job.hidden)):
            environment[key] = value
            yield f"--build-arg={key}"
        else:
            yield f"--build-arg={key}={value}"


def _steers(service: str, key: str) -> BuildError:
    return BuildError(
        f"services.{service}.build.args.{key}: it looks secret, and docker would take it for a variable of its own",
        hint="give it to the build as a build secret, or under another name; a proxy with a password belongs into"
        " `proxies` of ~/.docker/config.json",
    )


def _secrets(job: BuildJob, checkout: Path, environment: dict[str, str]) -> Iterator[str]:
    for number, (name, source) in enumerate(job.build.secrets):
        kind, _, value = source.partition("=")
        if kind == "env":
            # A name of our own: the user's may be that of a build argument, too.
            variable = f"ALLFAST_BUILD_SECRET_{number}"
            environment[variable] = job.secret_values[value]
            yield f"--secret=id={name},env={variable}"
        else:
            yield f"--secret=id={name},src={_place(checkout, value)}"


def _contexts(job: BuildJob, checkout: Path, images: Mapping[str, str]) -> Iterator[str]:
    for name, service in job.sources.items():
        yield f"--build-context={name}=docker-image://{images[service]}"
    for name, value in job.build.contexts:
        if name not in job.sources:
            yield f"--build-context={name}={_place(checkout, value)}"


def _place(checkout: Path, value: str) -> str:
    """A path of the checkout as an absolute one; URLs, image references and absolute paths as they are."""
    return value if _ELSEWHERE.match(value) else str(checkout / value)


def _by_service(value: str) -> bool:
    return value.startswith("service:")


@dataclass(slots=True)
class _Vertex:
    name: str
    error: str = ""
    began: bool = False
    cached: bool = False
    partial: str = ""
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=EVIDENCE_LINES))

    @property
    def internal(self) -> bool:
        return self.name.startswith("[internal]")


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a build failed: the step ("" where none is to blame), its error, and its last lines."""

    step: str
    error: str
    lines: tuple[str, ...]


class Progress:
    """Turns what buildx writes into events, and remembers what a failure needs."""

    def __init__(self, service: str, emit: Callable[[Event], None]) -> None:
        self._service = service
        self._emit = emit
        self._vertexes: dict[str, _Vertex] = {}
        self._text: deque[str] = deque(maxlen=EVIDENCE_LINES)

    def read(self, lines: Iterable[str]) -> None:
        """Read all that buildx writes, to its end."""
        for value in _values(lines):
            if isinstance(value, str):
                self._text.append(value)
                continue
            for vertex in value.get("vertexes") or ():
                self._vertex(vertex)
            for log in value.get("logs") or ():
                self._log(log)

    def failure(self) -> Failure:
        """What to say of a build that failed."""
        failed = [vertex for vertex in self._vertexes.values() if vertex.error]
        # Steps beside the failed one are cancelled, and say so; the first in time is the cause.
        blamed = next((vertex for vertex in failed if "context canceled" not in vertex.error), None)
        if blamed is None:
            return Failure("", "", tuple(self._text))
        lines = [*blamed.lines, *([blamed.partial] if blamed.partial else [])]
        return Failure(blamed.name, blamed.error, tuple(lines or self._text)[-EVIDENCE_LINES:])

    def _vertex(self, value: Mapping[str, Any]) -> None:
        vertex = self._vertexes.setdefault(value["digest"], _Vertex(value.get("name", "")))
        if value.get("error") and not vertex.error:
            # Moved to the end, so that errors stand in the order in which they happened.
            self._vertexes[value["digest"]] = self._vertexes.pop(value["digest"])
            vertex.error = value["error"]
        begins = bool(value.get("started")) and not vertex.began
        hits = bool(value.get("cached")) and not vertex.cached
        if not (begins or hits) or vertex.internal:
            return
        vertex.began, vertex.cached = True, vertex.cached or hits
        steps = [each for each in self._vertexes.values() if not each.internal]
        count = sum(each.began for each in steps)
        self._emit(BuildStep(self._service, vertex.name, count, len(steps), vertex.cached))

    def _log(self, value: Mapping[str, Any]) -> None:
        vertex = self._vertexes.setdefault(value["vertex"], _Vertex(""))
        text = vertex.partial + base64.b64decode(value.get("data") or "").decode(errors="replace")
        *lines, vertex.partial = text.split("\n")
        for line in lines:
            # A progress bar overwrites its line: the last state is what a terminal would show.
            shown = line.rstrip("\r").rpartition("\r")[2]
            vertex.lines.append(shown)
            self._emit(BuildLog(self._service, shown))


def _values(lines: Iterable[str]) -> Iterator[dict[str, Any] | str]:
    """JSON objects, on one line or spread over several, and plain lines between them."""
    pending: list[str] = []
    for line in lines:
        text = line.rstrip("\n")
        if not pending and not text.startswith("{"):
            if text.strip():
                yield text
            continue
        pending.append(text)
        if text == "}" or (len(pending) == 1 and text.endswith("}")):
            try:
                yield json.loads("\n".join(pending))
            except ValueError:
                yield from pending
            pending.clear()
    yield from pending
