"""The engine of this machine, where images are built.

It is asked through the `docker` command, so that contexts, DOCKER_HOST and TLS settings of the user's shell count as
they do for the user.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any

from allfast.agent.asking import timestamp
from allfast.errors import AllfastError, RefusedError
from allfast.model import labels
from allfast.model.server import ImageAtHand
from allfast.transfer.documents import normal_platform

#: Variables of the shell that would lead a build to another builder, or change what it does.
_BUILD_VARIABLES = (
    "BUILDX_",
    "BUILDKIT_",
    "EXPERIMENTAL_BUILDKIT_",
    "DOCKER_BUILDKIT",
    "DOCKER_DEFAULT_PLATFORM",
    "COMPOSE_",
    "SOURCE_DATE_EPOCH",
)
#: Instructions that make no layer, as BuildKit ("ENV A=1") and older builders ("/bin/sh -c #(nop)  ENV A=1") note them.
_NO_LAYER = re.compile(
    r"^(?:/bin/sh -c #\(nop\)\s+)?"
    r"(?:ARG|CMD|ENTRYPOINT|ENV|EXPOSE|HEALTHCHECK|LABEL|MAINTAINER|ONBUILD|SHELL|STOPSIGNAL|USER|VOLUME)\b"
)
EVIDENCE_LINES = 20


@dataclass(frozen=True, slots=True)
class LocalImage:
    """An image as the local engine describes it; `size` is bytes, about, of all its layers."""

    engine_id: str
    platform: str
    diff_ids: tuple[str, ...]
    labels: Mapping[str, str]
    tags: tuple[str, ...]
    created: float  # epoch seconds
    size: int


@dataclass(frozen=True, slots=True)
class LocalEngine:
    """The local engine. `environment` is what the `docker` command sees; it may hold secrets."""

    environment: Mapping[str, str] = field(repr=False)

    @classmethod
    def of_shell(cls, environment: Mapping[str, str] = os.environ) -> LocalEngine:
        """The engine that `docker` uses in this shell, without the variables that change builds."""
        kept = {key: value for key, value in environment.items() if not key.startswith(_BUILD_VARIABLES)}
        return cls(kept)

    def run(self, *argv: str) -> str:
        """The standard output of a `docker` command.

        Raises:
            RefusedError: there is no `docker` command, or no engine answers it.
            AllfastError: the command failed; the evidence is its last lines.
        """
        done = self._run(argv)
        if done.returncode == 0:
            return done.stdout
        self.require_engine()
        lines = tuple(done.stderr.strip().splitlines()[-EVIDENCE_LINES:])
        raise AllfastError(
            f"docker {' '.join(argv[:2])} failed on this machine (exit {done.returncode})",
            hint="correct what the lines above say, then run the same command again",
            evidence=lines,
        )

    def succeeds(self, *argv: str) -> bool:
        """Whether a `docker` command ends well."""
        return self._run(argv).returncode == 0

    def require_engine(self) -> None:
        """Raises `RefusedError` unless an engine answers."""
        done = self._run(("version", "--format", "{{.Server.Version}}"))
        if done.returncode != 0:
            lines = tuple(done.stderr.strip().splitlines()[-3:])
            hint = "start Docker on this machine (docker version must work), or choose another docker context"
            raise RefusedError("no Docker engine answers on this machine", hint=hint, evidence=lines)

    def image(self, reference: str) -> LocalImage | None:
        """The image of that id or name, None where the engine has none."""
        found = self._inspect([reference])
        return found[0] if found else None

    def images(self, deployment: str) -> tuple[ImageAtHand, ...]:
        """All images that allfast built for a deployment, newest first."""
        label = f"label={labels.DEPLOYMENT}={deployment}"
        ids = self.run("image", "ls", "--all", "--quiet", "--no-trunc", "--filter", label).split()
        found = self._inspect(sorted(set(ids))) if ids else []
        return tuple(sorted(map(_at_hand, found), key=lambda image: -image.created))

    def layer_sizes(self, image: LocalImage) -> tuple[int, ...]:
        """About how many bytes each layer's files have, in the order of `diff_ids`.

        Good for progress and estimates. Where the engine cannot tell them apart, each has its share of the image.
        """
        return self.counted_sizes(image) or shares(image)

    def counted_sizes(self, image: LocalImage) -> tuple[int, ...]:
        """The same as the engine counts them (file bodies, not the tar); empty where it cannot tell them apart."""
        text = self.run("image", "history", "--no-trunc", "--human=false", "--format", "{{json .}}", image.engine_id)
        entries = [json.loads(line) for line in reversed(text.splitlines())]
        sizes = tuple(int(entry["Size"]) for entry in entries if not _NO_LAYER.match(entry["CreatedBy"]))
        return sizes if len(sizes) == len(image.diff_ids) else ()

    def prune(self, deployment: str, prefix: str, keep: int) -> None:
        """Remove images that allfast built for a deployment, all but the newest `keep` of each service.

        An image with a name that does not begin with `prefix`, or in use, stays; that it stays is no error.
        """
        seen: dict[str, int] = {}
        for image in self.images(deployment):
            seen[image.service] = seen.get(image.service, 0) + 1
            ours = all(tag.startswith(prefix) for tag in image.tags)
            if seen[image.service] > keep and ours:
                self.succeeds("image", "rm", *(image.tags or (image.engine_id,)))

    def builder(self) -> str:
        """The name of the builder that is this very engine (the docker driver's builder has the context's name)."""
        return self.run("context", "show").strip()

    def socket(self) -> str:
        """The path of the unix socket by which the engine is reached, "" where it is another way."""
        host = self.environment.get("DOCKER_HOST", "")
        if not host or self.environment.get("DOCKER_CONTEXT"):
            host = self.run("context", "inspect", "--format", "{{.Endpoints.docker.Host}}").strip()
        return host.removeprefix("unix://") if host.startswith("unix://") else ""

    @contextmanager
    def saved(self, reference: str) -> Iterator[IO[bytes]]:
        """The stream of `docker save`; raises `AllfastError` where the engine fails before its end."""
        argv = ("docker", "image", "save", reference)
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(self.environment))
        assert process.stdout is not None
        assert process.stderr is not None
        complete = False
        try:
            yield process.stdout
            complete = True
        finally:
            process.stdout.close()
            if not complete:
                process.kill()
            words = process.stderr.read().decode(errors="replace").strip()
            process.stderr.close()
            process.wait()
        if process.returncode != 0:
            lines = tuple(words.splitlines()[-EVIDENCE_LINES:])
            raise AllfastError(
                f"docker image save {reference} failed on this machine",
                hint="correct what the lines above say (`docker system df` shows the room), then run the same again",
                evidence=lines,
            )

    def _inspect(self, references: Sequence[str]) -> list[LocalImage]:
        done = self._run(("image", "inspect", *references))
        if done.returncode != 0:
            # It fails when one is not there, and still prints the others; an engine that is gone is another thing.
            self.require_engine()
        return [_local_image(value) for value in json.loads(done.stdout or "[]")]

    def _run(self, argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                ("docker", *argv),
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
            )
        except OSError as error:
            hint = "install the Docker CLI with buildx, and an engine, on this machine"
            raise RefusedError(f"the docker command cannot be run: {error}", hint=hint) from error


def shares(image: LocalImage) -> tuple[int, ...]:
    """Bytes for each layer of an image where they are not told apart: of all the same share."""
    count = len(image.diff_ids)
    return (image.size // max(1, count),) * count


def platform_of(description: Mapping[str, Any]) -> str:
    """The platform in an engine's description of an image (`/images/{id}/json`)."""
    parts = (description.get("Os"), description.get("Architecture"), description.get("Variant"))
    return normal_platform("/".join(part or "" for part in parts).rstrip("/"))


def _local_image(value: dict[str, Any]) -> LocalImage:
    return LocalImage(
        engine_id=value["Id"],
        platform=platform_of(value),
        diff_ids=tuple((value.get("RootFS") or {}).get("Layers") or ()),
        labels=(value.get("Config") or {}).get("Labels") or {},
        tags=tuple(value.get("RepoTags") or ()),
        created=timestamp(value.get("Created") or ""),
        size=value.get("Size", 0),
    )


def _at_hand(image: LocalImage) -> ImageAtHand:
    return ImageAtHand(
        engine_id=image.engine_id,
        service=image.labels.get(labels.SERVICE, ""),
        commit=image.labels.get(labels.COMMIT, ""),
        inputs=image.labels.get(labels.INPUTS, ""),
        method=image.labels.get(labels.METHOD, ""),
        platform=image.platform,
        diff_ids=image.diff_ids,
        tags=image.tags,
        created=image.created,
    )
