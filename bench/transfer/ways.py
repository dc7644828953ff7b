"""The three ways of bringing an image to the server, each as a person or a tool does it."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from bench.transfer.bed import REGISTRY_NAME, Bed
from bench.transfer.images import Source
from bench.transfer.meter import Mark, Meter, between
from bench.transfer.model import ALLFAST, REGISTRY, SAVE, Sample
from testbed.common import run

COMMAND = (sys.executable, "-m", "allfast")
SAVE_SCRIPT = 'set -o pipefail; image=$1; shift; docker save "$image" | gzip | "$@" docker load -q'
PULL_SCRIPT = 'image=$1; shift; docker push -q "$image" && "$@" docker pull -q "$image"'


@dataclass(frozen=True)
class Journey:
    """One trip by one way: what is brought, and from where to where."""

    bed: Bed
    source: Source
    images: Mapping[str, str]  # version -> id on the laptop's engine
    registry: int = 0  # process id, where there is one


class Way(Protocol):
    """How an image gets there."""

    def bring(self, journey: Journey, version: str) -> Sample:
        """Bring a version, and measure it."""


class FailedError(Exception):
    """A way did not succeed; the message has what its command said."""


class Save:
    """`docker save | gzip | ssh docker load`: whole images."""

    def bring(self, journey: Journey, version: str) -> Sample:
        """As it is done by hand."""
        words = [journey.images[version], *journey.bed.ssh, journey.bed.server.name]
        return measured(journey, ["bash", "-c", SAVE_SCRIPT, "bash", *words])


class Pull:
    """A registry on the laptop, which the server reaches through the SSH connection: changed layers, compressed."""

    def bring(self, journey: Journey, version: str) -> Sample:
        """Push, then pull."""
        bed = journey.bed
        name = f"{REGISTRY_NAME}/bench:{version}"
        run(["docker", "tag", journey.images[version], name], env=bed.environment)
        socket = bed.laptop.host.removeprefix("unix://").replace("docker.sock", "registry.sock")
        forward = ["-o", "ExitOnForwardFailure=yes", "-R", f"{REGISTRY_NAME}:{socket}"]
        return measured(journey, ["bash", "-c", PULL_SCRIPT, "bash", name, *bed.ssh, *forward, bed.server.name])


class Allfast:
    """`allfast deploy` of images that are built already: its stage `ship`, and the whole command besides."""

    def bring(self, journey: Journey, version: str) -> Sample:
        """Where there is nothing to ship the whole command is what is measured."""
        commit = journey.source.commits[version]
        return measured(journey, [*COMMAND, "deploy", "--commit", commit, "--reuse", "--yes", "--json"], stage="ship")


def way(name: str) -> Way:
    """By its name in `model.WAYS`."""
    return Allfast() if name == ALLFAST else Save() if name == SAVE else Pull()


def build(bed: Bed, source: Source, app: str) -> dict[str, str]:
    """Build all versions on the laptop: version -> image id there."""
    images = {}
    for version, commit in source.commits.items():
        argv = [*COMMAND, "build", "--commit", commit, "--quick", "--json"]
        done = subprocess.run(
            argv, cwd=source.path, env=bed.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        if done.returncode:
            raise FailedError(f"{version} could not be built:\n{done.stdout[-4000:]}\n{done.stderr[-2000:]}")
        labels = ("--filter", f"label=allfast.commit={commit}", "--filter", f"label=allfast.deployment={app}")
        found = run(["docker", "images", "--quiet", "--no-trunc", *labels], env=bed.environment).stdout.split()
        images[version] = found[0]
    return images


@dataclass
class _Watched:
    """The marks around what is measured of a command."""

    first: Mark
    last: Mark | None = None
    began: Mark | None = None
    ended: Mark | None = None

    def sample(self, stage: str) -> Sample:
        """Of the stage, where it was there; else of the whole."""
        assert self.last is not None
        whole = between(self.first, self.last)
        if stage and self.began and self.ended:
            return between(self.began, self.ended, whole.wire, whole.seconds)
        return whole


def measured(journey: Journey, argv: list[str], stage: str = "") -> Sample:
    """Run a command that must succeed; what it used, or what a `stage` of its events used.

    Raises:
        FailedError: it did not succeed.
    """
    bed = journey.bed
    laptop, server = bed.roots()
    with Meter(bed.link, laptop, server) as meter, tempfile.TemporaryFile("w+") as errors:
        if journey.registry:
            meter.add(journey.registry)
        watched = _Watched(dataclasses.replace(meter.mark(), moment=time.monotonic()))  # the command begins here
        process = subprocess.Popen(
            argv,
            cwd=journey.source.path,
            env=bed.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        meter.add(process.pid)
        try:
            said = list(_read(process, meter, watched, stage))
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # ended, and its counters are still there
        except BaseException:
            process.kill()
            raise
        watched.last = meter.mark()
        if process.wait():
            errors.seek(0)
            words = f"{''.join(said)[-3000:]}{errors.read()[-3000:]}"
            raise FailedError(f"{' '.join(argv)[:200]} ended with {process.returncode}:\n{words}")
        return watched.sample(stage)


def _read(process: subprocess.Popen[str], meter: Meter, watched: _Watched, stage: str) -> Iterator[str]:
    """The lines of output; marks are made where the stage begins and ends."""
    assert process.stdout is not None
    for line in process.stdout:
        yield line
        if not stage:
            continue
        event = json.loads(line)
        if event.get("stage") == stage:
            if event["event"] == "stage-began":
                watched.began = meter.mark()
            elif event["event"] == "stage-ended":
                watched.ended = meter.mark()


@contextmanager
def journey(bed: Bed, source: Source, images: Mapping[str, str], way_name: str) -> Iterator[Journey]:
    """From the state at hand, with the registry where the way needs it."""
    if way_name != REGISTRY:
        yield Journey(bed, source, images)
        return
    with bed.registry() as pid:
        yield Journey(bed, source, images, pid)
