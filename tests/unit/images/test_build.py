"""The words of a build, and what becomes of the words that buildx writes."""

import base64
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from allfast.errors import BuildError
from allfast.events import BuildLog, BuildStep, Event
from allfast.images.build import image_name, local_name
from allfast.images.buildx import BuildJob, Progress, command
from allfast.images.server_images import split_reference
from allfast.model.service import Build, Method

JOB = BuildJob("chat", "web", Build("web", "web/Dockerfile"), Method.QUICK, "linux/amd64", "c0ffee", "sha256:abc")


def words(job: BuildJob) -> tuple[list[str], dict[str, str]]:
    return command(job, Path("/tree"), "default", "chat/web:abc", {"base": "chat/base:123"}, Path("/metadata"))


def with_build(**changes: object) -> BuildJob:
    return replace(JOB, build=replace(JOB.build, **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        (JOB, ["--builder", "default", "--progress=rawjson", "--load", "--provenance=false", "--sbom=false"]),
        (JOB, ["--platform=linux/amd64", "--metadata-file=/metadata", "--tag=chat/web:abc"]),
        (JOB, ["--label=allfast.deployment=chat", "--label=allfast.service=web", "--label=allfast.commit=c0ffee"]),
        (JOB, ["--label=allfast.inputs=sha256:abc", "--label=allfast.method=quick"]),
        (JOB, ["--file", "/tree/web/Dockerfile", "/tree/web"]),
        (replace(JOB, method=Method.CLEAN), ["--no-cache"]),
        (replace(JOB, pull=True), ["--pull"]),
        (with_build(target="prod"), ["--target=prod"]),
        (with_build(ssh=("default",)), ["--ssh=default"]),
        (with_build(network="host"), ["--network=host"]),
        (with_build(shm_size="64000000"), ["--shm-size=64000000"]),
        (with_build(extra_hosts=("db=10.0.0.1",)), ["--add-host=db=10.0.0.1"]),
        (with_build(secrets=(("key", "src=keys/a"),)), ["--secret=id=key,src=/tree/keys/a"]),
        (with_build(secrets=(("key", "src=/home/u/a"),)), ["--secret=id=key,src=/home/u/a"]),
        (with_build(contexts=(("lib", "lib"),)), ["--build-context=lib=/tree/lib"]),
        (
            with_build(contexts=(("img", "docker-image://redis:8"),)),
            ["--build-context=img=docker-image://redis:8"],
        ),
        (with_build(contexts=(("b", "service:base"),)), ["--build-context=b=docker-image://chat/base:123"]),
        (replace(JOB, uses=(("b:1", "base"),)), ["--build-context=b:1=docker-image://chat/base:123"]),
        (with_build(dockerfile_inline="FROM scratch"), ["--file", "-", "/tree/web"]),
        (with_build(context="https://example.com/repo.git"), ["https://example.com/repo.git"]),
    ],
)
def test_words(job: BuildJob, expected: list[str]) -> None:
    found, _ = words(job)
    starts = [index for index, word in enumerate(found) if word == expected[0]]
    assert any(found[start : start + len(expected)] == expected for start in starts), found


@pytest.mark.parametrize(
    ("job", "absent"),
    [
        (JOB, "--no-cache"),
        (JOB, "--pull"),
        (replace(JOB, pull=True, uses=(("b", "base"),)), "--pull"),
        (JOB, "--build-arg=ALLFAST_COMMIT"),
    ],
)
def test_words_that_must_not_be_there(job: BuildJob, absent: str) -> None:
    assert absent not in words(job)[0]


def test_values_travel_in_the_environment() -> None:
    job = with_build(args=(("TOKEN", "hidden"), ("ALLFAST_COMMIT", "users")), offers_commit=True)
    job = replace(job, build=replace(job.build, secrets=(("key", "env=KEY"),)), secret_values={"KEY": "secret"})
    found, environment = words(job)
    assert environment == {"TOKEN": "hidden", "ALLFAST_BUILD_SECRET_0": "secret"}
    assert {"--build-arg=TOKEN", "--secret=id=key,env=ALLFAST_BUILD_SECRET_0"} < {*found}
    assert "--build-arg=ALLFAST_COMMIT=c0ffee" in found
    assert not {"hidden", "secret"} & {*" ".join(found).replace("=", " ").split()}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTPS_PROXY", "http://proxy:3128"),
        ("http_proxy", "http://from-env-file:3128"),
        ("SSL_CERT_FILE", "/tree/evil.pem"),
        ("BASH_ENV", "/tree/evil"),
        ("GIT_TRACE", "/home/u/.profile"),
        ("GIT_SHA", "from-env-file"),
        ("DYLD_INSERT_LIBRARIES", "/tree/evil.dylib"),
        ("WHAT_NO_LIST_HAS", "/tree/evil"),
    ],
)
def test_no_name_of_an_argument_steers_docker(name: str, value: str) -> None:
    """The commit says it, and docker's environment would have it for all that docker is and starts."""
    found, environment = words(replace(with_build(args=((name, value),)), hidden=frozenset({"from-env-file"})))
    assert environment == {}
    assert f"--build-arg={name}={value}" in found


@pytest.mark.parametrize(
    ("name", "value"),
    [("DATABASE", "postgres://u:p4ss@db/app"), ("DATABASE", "it is from-env-file!"), ("API_TOKEN", "hunter2")],
)
def test_no_process_list_has_a_secret_argument(name: str, value: str) -> None:
    found, environment = words(replace(with_build(args=((name, value),)), hidden=frozenset({"from-env-file"})))
    assert environment == {name: value}
    assert f"--build-arg={name}" in found
    assert value not in " ".join(found)


@pytest.mark.parametrize(
    ("name", "value"), [("https_proxy", "http://u:p4ss@evil:80"), ("GIT_TOKEN", "p4ss"), ("DOCKER_AUTH_CONFIG", "p4ss")]
)
def test_a_secret_argument_that_would_steer_docker_is_refused(name: str, value: str) -> None:
    with pytest.raises(BuildError, match=rf"^services\.web\.build\.args\.{name}: it looks secret") as raised:
        words(with_build(args=((name, value),)))
    assert "build secret" in raised.value.hint
    assert "p4ss" not in str(raised.value)


def vertex(name: str, **more: object) -> dict[str, object]:
    return {"vertexes": [{"digest": f"sha256:{name}", "name": name, **more}]}


def log(name: str, text: str) -> dict[str, object]:
    return {"logs": [{"vertex": f"sha256:{name}", "data": base64.b64encode(text.encode()).decode()}]}


def told(lines: Iterable[str]) -> tuple[list[Event], Progress]:
    events: list[Event] = []
    progress = Progress("web", events.append)
    progress.read(lines)
    return events, progress


@pytest.mark.parametrize("indent", [None, 2], ids=["one line each (0.14 and later)", "indented (0.13)"])
def test_steps_and_logs(indent: int | None) -> None:
    values = [
        vertex("[internal] load .dockerignore", started="t"),
        {"vertexes": [{"digest": "sha256:a", "name": "[1/2] FROM x"}, {"digest": "sha256:b", "name": "[2/2] RUN y"}]},
        {"vertexes": [{"digest": "sha256:a", "name": "[1/2] FROM x", "started": "t", "cached": True}]},
        {"vertexes": [{"digest": "sha256:b", "name": "[2/2] RUN y", "started": "t"}]},
        {"logs": [{"vertex": "sha256:b", "data": base64.b64encode(b"one\ntw").decode()}]},
        {"logs": [{"vertex": "sha256:b", "data": base64.b64encode(b"o\n10%\r20%\r\n").decode()}]},
        {"vertexes": [{"digest": "sha256:b", "name": "[2/2] RUN y", "started": "t", "completed": "t"}]},
    ]
    lines = [line + "\n" for value in values for line in json.dumps(value, indent=indent).splitlines()]
    events, _ = told(lines)
    assert events == [
        BuildStep("web", "[1/2] FROM x", 1, 2, True),
        BuildStep("web", "[2/2] RUN y", 2, 2, False),
        BuildLog("web", "one"),
        BuildLog("web", "two"),
        BuildLog("web", "20%"),
    ]


def test_failure_blames_the_step_that_failed_and_not_those_it_cancelled() -> None:
    values = [
        vertex("[a] RUN slow", started="t"),
        vertex("[b] RUN bad", started="t"),
        log("[a] RUN slow", "slow line\n"),
        log("[b] RUN bad", "first\nlast without an end"),
        vertex("[a] RUN slow", error="context canceled"),
        vertex("[b] RUN bad", error="exit code: 2"),
    ]
    _, progress = told([*(json.dumps(value) for value in values), "ERROR: failed to solve", ""])
    failure = progress.failure()
    assert (failure.step, failure.error) == ("[b] RUN bad", "exit code: 2")
    assert failure.lines == ("first", "last without an end")


def test_failure_without_a_step_has_the_plain_lines() -> None:
    _, progress = told(["ERROR: no builder found\n", "\n", "see docker buildx ls\n"])
    assert progress.failure().lines == ("ERROR: no builder found", "see docker buildx ls")


def test_plain_text_that_looks_like_json_is_kept() -> None:
    _, progress = told(["{not json}\n", "after\n"])
    assert progress.failure().lines == ("{not json}", "after")


def test_names_of_images() -> None:
    assert image_name("Chat_app-staging", "Web.API", "1") == "chat-app-staging/web-api:1"
    assert local_name(JOB) == "chat/web:abc"
    assert local_name(replace(JOB, inputs="")) == "chat/web:built"


def test_job_hides_its_secret_values() -> None:
    assert "hidden" not in repr(replace(JOB, secret_values={"KEY": "hidden"}))


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("redis", ("redis", "latest")),
        ("redis:8", ("redis", "8")),
        ("host:5000/a/redis", ("host:5000/a/redis", "latest")),
        ("host:5000/a/redis:8", ("host:5000/a/redis", "8")),
        ("redis:8@sha256:00", ("redis", "sha256:00")),
    ],
)
def test_references(reference: str, parts: tuple[str, str]) -> None:
    assert split_reference(reference) == parts
