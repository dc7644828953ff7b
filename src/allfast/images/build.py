"""Build: the images of a release, on this machine's engine, for the server's platform; the server is not touched.

Services build at the same time; one that takes another's image (an additional context `service:x`, a `FROM`) waits
for it. The first failure ends all others.
"""

from __future__ import annotations

import graphlib
import json
import re
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Never

from allfast.errors import AllfastError, BuildError, RefusedError, UsageError
from allfast.events import Built, Emit
from allfast.images.buildx import BuildJob, Progress, command
from allfast.images.local_engine import LocalEngine, LocalImage
from allfast.images.processes import Processes
from allfast.transfer.documents import normal_platform

OLDEST_BUILDX = (0, 13)
_NEW_BUILDX = "install the docker-buildx plugin, 0.13 or newer"
PARALLEL = 4
#: Images of a service that stay in the local engine, for reuse.
KEEP = 5


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """An image in the local engine; `config_digest` is what it is known by everywhere (model.release.Image)."""

    service: str
    engine_id: str
    config_digest: str
    diff_ids: tuple[str, ...]
    platform: str
    seconds: float


def image_name(deployment: str, service: str, tag: str) -> str:
    """`deployment/service:tag`, in the letters that image names may have."""
    return f"{_letters(deployment)}/{_letters(service)}:{tag}"


def local_name(job: BuildJob) -> str:
    """The local name of a job's image: the same inputs, the same name."""
    return image_name(job.deployment, job.service, job.inputs.removeprefix("sha256:")[:12] or "built")


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def require_builder(local: LocalEngine, platforms: Iterable[str]) -> None:
    """Raises `RefusedError` unless buildx is there, new enough, and can build for these platforms."""
    try:
        version = local.run("buildx", "version")
    except RefusedError:
        raise
    except AllfastError as error:
        raise RefusedError("docker has no buildx here", hint=_NEW_BUILDX) from error
    numbers = re.search(r"\bv?(\d+)\.(\d+)\.", version)
    if numbers and (int(numbers[1]), int(numbers[2])) < OLDEST_BUILDX:
        raise RefusedError(f"buildx is too old: {version.strip()}", hint=_NEW_BUILDX)
    described = local.run("buildx", "inspect", local.builder())
    lines = re.findall(r"^Platforms:\s*(.*)$", described, re.MULTILINE)
    able = {normal_platform(name.strip(" *")) for line in lines for name in line.split(",") if name.strip()}
    if not able:
        local.require_engine()  # a builder whose engine does not answer has no platforms
    for platform in platforms:
        if normal_platform(platform) not in able:
            architecture = platform.split("/")[1]
            raise RefusedError(
                f"this machine cannot build for {platform}: its engine builds for {', '.join(sorted(able))}",
                hint=f"install emulation: docker run --privileged --rm tonistiigi/binfmt --install {architecture}",
            )


def build(
    jobs: Sequence[BuildJob],
    checkout: Path,
    local: LocalEngine,
    emit: Emit,
    *,
    at_hand: Mapping[str, str] | None = None,
    parallel: int = PARALLEL,
    finished: Callable[[BuiltImage], None] | None = None,
    beside: Future[Never] | None = None,
) -> dict[str, BuiltImage]:
    """Build images; the result is by service.

    Args:
        jobs: all of one deployment.
        checkout: the root of the commit's files, which contexts and Dockerfiles are relative to.
        at_hand: service -> local image id, of services that are not built now but that a job takes an image from.
        parallel: how many builds may run at the same time.
        finished: is told of each image when it is there, from any thread; what it raises is a failure of that build.
        beside: work beside the builds: they are ended when it fails, and it is cancelled when one of them does.

    Raises:
        RefusedError: buildx or the emulation of a platform is missing; nothing was begun.
        BuildError: a build failed; the evidence is its failing step's last lines. All other builds are ended.
        Exception: the first failure of `finished` or `beside`. All builds are ended.
    """
    if not jobs:
        return {}
    require_builder(local, {job.platform for job in jobs})
    deployment = jobs[0].deployment
    names = {service: image_name(deployment, service, image[-12:]) for service, image in (at_hand or {}).items()}
    for service, name in names.items():
        local.run("image", "tag", (at_hand or {})[service], name)  # a build can take an image by name only
    built = _Run(checkout, local, emit, names, finished).all(jobs, parallel, beside)
    local.prune(deployment, f"{_letters(deployment)}/", KEEP)
    return built


class _Run:
    """The builds of one call: which run, which are done, and how all of them are ended."""

    def __init__(
        self,
        checkout: Path,
        local: LocalEngine,
        emit: Emit,
        names: dict[str, str],
        finished: Callable[[BuiltImage], None] | None,
    ) -> None:
        self._checkout = checkout
        self._local = local
        self._builder = local.builder()
        self._emit = emit
        self._finished = finished
        self._names = names  # service -> local name of its image
        self._processes = Processes()

    def all(self, jobs: Sequence[BuildJob], parallel: int, beside: Future[Never] | None) -> dict[str, BuiltImage]:
        by_service = {job.service: job for job in jobs}
        order = self._order(by_service)
        built: dict[str, BuiltImage] = {}
        others = {beside} if beside is not None else set()
        with ThreadPoolExecutor(max(1, parallel), "build") as pool:
            running: set[Future[BuiltImage]] = set()
            try:
                while order.is_active():
                    running |= {pool.submit(self._one, by_service[service]) for service in order.get_ready()}
                    watched: set[Future[Any]] = {*running, *others}
                    done, _ = wait(watched, return_when=FIRST_COMPLETED)
                    running -= done
                    for image in [future.result() for future in done]:  # or the failure of what is beside
                        built[image.service] = image
                        order.done(image.service)
            except BaseException:
                for other in others:
                    other.cancel()  # before the builds, which may take their time to end
                pool.shutdown(wait=False, cancel_futures=True)
                self._processes.end()
                raise
        return built

    def _order(self, jobs: Mapping[str, BuildJob]) -> graphlib.TopologicalSorter[str]:
        order: graphlib.TopologicalSorter[str] = graphlib.TopologicalSorter()
        for job in jobs.values():
            needed = set(job.sources.values())
            lacking = sorted(needed - jobs.keys() - self._names.keys())
            if lacking:
                raise UsageError(
                    f"{job.service} is built from the image of {lacking[0]}, which is not there",
                    hint=f"run `allfast build --quick {lacking[0]}` first",
                )
            order.add(job.service, *(needed & jobs.keys()))
            self._names[job.service] = local_name(job)
        try:
            order.prepare()
        except graphlib.CycleError as error:
            raise UsageError(
                f"services are built from each other's images: {' -> '.join(error.args[1])}",
                hint="let one of them begin with another image: `additional_contexts`, and FROM in its Dockerfile",
            ) from error
        return order

    def _one(self, job: BuildJob) -> BuiltImage:
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="allfast-build-") as folder:
            metadata = Path(folder) / "metadata.json"
            try:
                words, variables = command(job, self._checkout, self._builder, local_name(job), self._names, metadata)
            except KeyError as error:
                raise BuildError(
                    f"{job.service}: a build secret takes its value from {error.args[0]}, which is not set",
                    hint=f"set {error.args[0]} for this target: in its env_file, or list it in its `env`",
                ) from None
            self._buildx(job, words, variables)
            digests = json.loads(metadata.read_text())
        image = self._confirmed(job, digests)
        seconds = time.monotonic() - began
        self._emit(Built(job.service, str(job.method), seconds))
        config_digest = digests.get("containerimage.config.digest", "")
        built = BuiltImage(job.service, image.engine_id, config_digest, image.diff_ids, image.platform, seconds)
        if self._finished is not None:
            self._finished(built)
        return built

    def _buildx(self, job: BuildJob, words: list[str], variables: Mapping[str, str]) -> None:
        progress = Progress(job.service, self._emit)
        with self._processes.started(words, {**self._local.environment, **variables}) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                process.stdin.write(job.build.dockerfile_inline or "")
                process.stdin.close()
            except BrokenPipeError:
                pass  # it ended at once; what it said is read below
            progress.read(process.stdout)
            code = process.wait()
        if code != 0:
            raise _error(job, progress, code)

    def _confirmed(self, job: BuildJob, digests: Mapping[str, str]) -> LocalImage:
        """The image as the engine has it, with the labels and the platform that it was built with."""
        image = self._local.image(digests.get("containerimage.digest") or local_name(job))
        if image is None:
            raise BuildError(f"{job.service} was built, but the engine lacks the image", hint="look at: docker info")
        if image.platform != normal_platform(job.platform):
            raise BuildError(
                f"{job.service} was built for {image.platform} instead of {job.platform}",
                hint="look for a --platform in a FROM of its Dockerfile",
            )
        if not job.labels.items() <= image.labels.items():
            raise BuildError(f"{job.service}: the engine has another image than was built", hint="build again")
        return image


def _error(job: BuildJob, progress: Progress, code: int) -> BuildError:
    failure = progress.failure()
    if not failure.step:
        what = f"building {job.service} failed (docker buildx, exit {code})"
        return BuildError(what, hint="correct what the lines above say, and try again", evidence=failure.lines)
    what = f"building {job.service} failed in step {failure.step}: {failure.error}"
    hint = "correct the step and try again; `allfast build -v` shows all that it prints. The server runs what it ran"
    base = failure.step.removeprefix("[internal] load metadata for ")
    if base != failure.step:
        hint = f"the base image {base} is not here and no registry gave it; see that `docker pull {base}` works"
    return BuildError(what, hint=hint, evidence=failure.lines)
