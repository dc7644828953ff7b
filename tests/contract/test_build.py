"""Builds by the real engines, with each image store: methods, failures, order, secrets, and what they leave behind."""

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Never

import pytest

from allfast.errors import BuildError, RefusedError, ShipError, UsageError
from allfast.events import BuildLog, BuildStep, Built, Event
from allfast.images.build import BuiltImage, build, local_name
from allfast.images.buildx import BuildJob
from allfast.images.local_engine import LocalEngine
from allfast.model.service import Build, Method
from testbed.common import wait_until
from tests.gate import Gate

BASE = "FROM python:3.13-slim\n"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
SECRET = "s3cr3t-value-of-a-test"


@pytest.fixture
def own(locals_by_store: Callable[[str], LocalEngine]) -> LocalEngine:
    """The machine's own engine."""
    return locals_by_store("overlay2")


class Workshop:
    """A checkout with Dockerfiles, and builds of it; the deployment's name is its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.deployment = f"test-{uuid.uuid4().hex[:8]}"
        self.events: list[Event] = []

    def job(self, service: str, dockerfile: str, method: Method = Method.QUICK, **build: object) -> BuildJob:
        (self.folder / service).mkdir(exist_ok=True)
        (self.folder / service / "Dockerfile").write_text(dockerfile)
        (self.folder / service / "file").write_text(service)
        described = Build(service, f"{service}/Dockerfile", **build)  # type: ignore[arg-type]
        inputs = "sha256:" + uuid.uuid4().hex * 2
        return BuildJob(self.deployment, service, described, method, "linux/amd64", COMMIT, inputs)

    def logs(self) -> list[str]:
        return [event.line for event in self.events if isinstance(event, BuildLog)]


@pytest.fixture
def shop(tmp_path: Path, locals_by_store: Callable[[str], LocalEngine]) -> Iterator[Workshop]:
    shop = Workshop(tmp_path)
    yield shop
    for store in ("overlay2", "containerd"):
        engine = locals_by_store(store)
        for image in engine.images(shop.deployment):
            engine.succeeds("image", "rm", "--force", *(image.tags or (image.engine_id,)))


def output(engine: LocalEngine, image: str, *command: str) -> str:
    """What a command prints, which is not nothing: a busy engine may lose it of a container of some milliseconds."""
    tries = (engine.run("run", "--rm", "--network=none", image, *command) for _ in range(3))
    return next(filter(None, tries), "")


def test_image_has_labels_and_is_found_by_them(local: LocalEngine, shop: Workshop) -> None:
    job = shop.job("web", BASE + "COPY file /file\nRUN echo made >> /file\n")
    built = build([job], shop.folder, local, shop.events.append)["web"]

    assert output(local, built.engine_id, "cat", "/file") == "webmade\n"
    assert built.config_digest.startswith("sha256:")
    assert built.platform == "linux/amd64"
    (found,) = local.images(shop.deployment)
    assert (found.engine_id, found.service, found.commit) == (built.engine_id, "web", COMMIT)
    assert (found.inputs, found.method, found.diff_ids) == (job.inputs, "quick", built.diff_ids)
    assert found.created > 1.7e9
    assert [event.service for event in shop.events if isinstance(event, Built)] == ["web"]
    steps = [event for event in shop.events if isinstance(event, BuildStep)]
    assert any("COPY file /file" in step.text for step in steps)
    assert all(1 <= step.step <= step.steps for step in steps)


def test_quick_uses_the_cache_and_clean_uses_none_not_even_mounts(local: LocalEngine, shop: Workshop) -> None:
    mount = f"--mount=type=cache,id={shop.deployment},target=/cache"
    dockerfile = (
        BASE + f"RUN cat /proc/sys/kernel/random/uuid > /made\nRUN {mount} echo x >> /cache/n; wc -l < /cache/n > /n\n"
    )

    def run(method: Method) -> tuple[str, str]:
        job = shop.job("web", dockerfile, method)
        image = build([job], shop.folder, local, shop.events.append)["web"].engine_id
        made, count = output(local, image, "cat", "/made", "/n").split()
        return made, count

    first = run(Method.CLEAN)
    assert run(Method.QUICK) == first
    assert any(event.cached for event in shop.events if isinstance(event, BuildStep))
    clean = run(Method.CLEAN)
    assert clean[0] != first[0]
    assert clean[1] == "1", "a clean build found the old content of a cache mount"


def test_failing_step_is_told_with_its_last_lines(own: LocalEngine, shop: Workshop) -> None:
    job = shop.job("web", BASE + "RUN for i in $(seq 1 60); do echo line $i; done; echo '2 errors'; exit 7\n")
    with pytest.raises(BuildError) as caught:
        build([job], shop.folder, own, shop.events.append)
    assert "web" in caught.value.message
    assert "RUN for i in" in caught.value.message
    assert "exit code: 7" in caught.value.message
    assert caught.value.evidence == (*(f"line {number}" for number in range(42, 61)), "2 errors")
    assert caught.value.hint
    assert len(shop.logs()) == 61
    assert own.images(shop.deployment) == ()


@pytest.mark.parametrize(
    ("dockerfile", "words"),
    [
        (BASE + "COPY absent /x\n", "/absent"),
        ("FORM python\n", "FORM"),
        ("FROM allfast-no-such-image:1\n", "allfast-no-such-image"),
    ],
    ids=["missing file", "syntax", "missing base"],
)
def test_other_failures_name_their_cause(own: LocalEngine, shop: Workshop, dockerfile: str, words: str) -> None:
    with pytest.raises(BuildError) as caught:
        build([shop.job("web", dockerfile)], shop.folder, own, shop.events.append)
    assert words in "\n".join((caught.value.message, *caught.value.evidence))


def test_services_build_at_the_same_time_and_one_failure_ends_all(own: LocalEngine, shop: Workshop) -> None:
    gate = Gate()

    def emit(event: Event) -> None:
        shop.events.append(event)
        if isinstance(event, BuildLog) and event.line == "slow began":
            gate.end("bad")  # for ever closed where one waits for the end of the other

    slow = shop.job("slow", BASE + f"RUN echo slow began; echo {uuid.uuid4()}; sleep 300\n")
    bad = shop.job("bad", BASE + gate.step)
    with pytest.raises(BuildError, match="bad failed in step"):
        build([slow, bad], shop.folder, own, emit)
    assert "slow began" in shop.logs()
    assert not children_of(os.getpid())


def test_each_image_is_told_when_it_is_there(own: LocalEngine, shop: Workshop) -> None:
    """While the others are still being built; and what cannot be done with it ends them, and what is beside them."""
    told: list[BuiltImage] = []
    beside: Future[Never] = Future()

    def finished(image: BuiltImage) -> None:
        told.append(image)
        raise RefusedError("no room for it")

    slow = shop.job("slow", BASE + f"RUN echo {uuid.uuid4()}; sleep 300\n")
    soon = shop.job("soon", BASE + f"RUN echo {uuid.uuid4()}\n")
    with pytest.raises(RefusedError, match="no room for it"):
        build([slow, soon], shop.folder, own, shop.events.append, finished=finished, beside=beside)
    assert [image.service for image in told] == ["soon"]
    assert beside.cancelled()
    assert own.image(told[0].engine_id)
    assert not children_of(os.getpid())


def test_work_beside_the_builds_ends_them_when_it_fails(own: LocalEngine, shop: Workshop) -> None:
    beside: Future[Never] = Future()

    def emit(event: Event) -> None:
        if isinstance(event, BuildLog) and event.line == "slow began":
            beside.set_exception(ShipError("the line is cut"))

    slow = shop.job("slow", BASE + f"RUN echo slow began; echo {uuid.uuid4()}; sleep 300\n")
    with pytest.raises(ShipError, match="the line is cut"):
        build([slow], shop.folder, own, emit, beside=beside)
    assert not children_of(os.getpid())


def test_services_that_use_another_image_wait_for_it(local: LocalEngine, shop: Workshop) -> None:
    base = shop.job("base", BASE + "RUN echo from base > /base\n")
    web = shop.job("web", "FROM chat-base\nRUN cat /base > /web\n")
    web = replace(web, uses=(("chat-base", "base"),))
    worker = shop.job(
        "worker", "FROM python:3.13-slim\nCOPY --from=built /base /worker\n", contexts=(("built", "service:base"),)
    )
    built = build([worker, web, base], shop.folder, local, shop.events.append)
    assert output(local, built["web"].engine_id, "cat", "/web") == "from base\n"
    assert output(local, built["worker"].engine_id, "cat", "/worker") == "from base\n"

    again = build([web], shop.folder, local, shop.events.append, at_hand={"base": built["base"].engine_id})
    assert again["web"].diff_ids == built["web"].diff_ids
    with pytest.raises(UsageError, match="image of base"):
        build([web], shop.folder, local, shop.events.append)
    with pytest.raises(UsageError, match="each other"):
        build([web, replace(base, uses=(("x", "web"),))], shop.folder, local, shop.events.append)


def test_commit_is_given_to_dockerfiles_that_declare_it(own: LocalEngine, shop: Workshop) -> None:
    dockerfile = BASE + "ARG ALLFAST_COMMIT=none\nRUN echo $ALLFAST_COMMIT > /commit\n"
    for offers, expected in ((True, COMMIT), (False, "none")):
        job = shop.job("web", dockerfile, offers_commit=offers)
        built = build([job], shop.folder, own, shop.events.append)["web"]
        assert output(own, built.engine_id, "cat", "/commit").strip() == expected


def test_secrets_are_in_no_word_and_not_in_the_image(own: LocalEngine, shop: Workshop) -> None:
    dockerfile = BASE + (
        "ARG TOKEN_FOR\n"
        f"RUN --mount=type=secret,id=token --mount=type=secret,id=file echo {uuid.uuid4()} $(cat /run/secrets/token "
        "/run/secrets/file | wc -c); echo waiting; sleep 2\n"
    )
    (shop.folder / "key").write_text(SECRET)
    job = shop.job(
        "web",
        dockerfile,
        secrets=(("token", "env=TOKEN"), ("file", "src=key")),
        args=(("TOKEN_FOR", "argument value"),),
    )
    seen: list[str] = []

    def emit(event: Event) -> None:
        shop.events.append(event)
        if isinstance(event, BuildLog) and event.line == "waiting":
            seen.extend(all_words())

    job = replace(job, secret_values={"TOKEN": SECRET})
    built = build([job], shop.folder, own, emit)["web"]
    assert any(line.endswith(f" {2 * len(SECRET)}") for line in shop.logs())
    assert any("buildx" in words for words in seen)
    assert not [words for words in seen if SECRET in words or "argument value" in words]
    assert SECRET not in own.run("image", "inspect", built.engine_id)
    assert SECRET not in own.run("image", "history", "--no-trunc", built.engine_id)
    assert SECRET not in repr((job, own, shop.events))
    with pytest.raises(BuildError, match="TOKEN"):
        build([replace(job, secret_values={})], shop.folder, own, emit)


def test_argument_with_a_name_that_docker_uses_itself(own: LocalEngine, shop: Workshop) -> None:
    args = (("DOCKER_HOST", "tcp://nowhere"), ("PATH", "/usr/bin:/bin"))
    job = shop.job("web", BASE + "ARG DOCKER_HOST\nRUN echo $DOCKER_HOST > /host\n", args=args)
    built = build([job], shop.folder, own, shop.events.append)["web"]
    assert output(own, built.engine_id, "cat", "/host") == "tcp://nowhere\n"


def test_dockerfile_outside_of_the_context_and_inline(own: LocalEngine, shop: Workshop) -> None:
    job = shop.job("web", BASE + "COPY file /file\n")
    (shop.folder / "other.Dockerfile").write_text(BASE + "COPY file /outside\n")
    outside = replace(job, build=replace(job.build, dockerfile="other.Dockerfile"))
    built = build([outside], shop.folder, own, shop.events.append)["web"]
    assert output(own, built.engine_id, "cat", "/outside") == "web"
    inline = replace(job, build=replace(job.build, dockerfile_inline=BASE + "COPY file /inline\n"))
    built = build([inline], shop.folder, own, shop.events.append)["web"]
    assert output(own, built.engine_id, "cat", "/inline") == "web"


def test_shell_that_would_change_the_build(shop: Workshop) -> None:
    poison = {"BUILDX_BUILDER": "another", "BUILDKIT_PROGRESS": "plain", "DOCKER_DEFAULT_PLATFORM": "linux/s390x"}
    engine = LocalEngine.of_shell({**os.environ, **poison, "SOURCE_DATE_EPOCH": "0", "DOCKER_BUILDKIT": "0"})
    build([shop.job("web", BASE + f"RUN echo {uuid.uuid4()}\n")], shop.folder, engine, shop.events.append)
    (image,) = engine.images(shop.deployment)
    assert image.created > 1.7e9


def test_foreign_platform_without_emulation_is_refused_before_the_build(own: LocalEngine, shop: Workshop) -> None:
    job = replace(shop.job("web", BASE), platform="linux/s390x")
    with pytest.raises(RefusedError, match="linux/s390x") as caught:
        build([job], shop.folder, own, shop.events.append)
    assert "s390x" in caught.value.hint
    assert shop.events == []


def test_no_engine_and_no_buildx_are_refused(shop: Workshop, tmp_path: Path) -> None:
    job = shop.job("web", BASE)
    silent = LocalEngine.of_shell({**os.environ, "DOCKER_HOST": f"unix://{tmp_path}/none.sock"})
    with pytest.raises(RefusedError, match="no Docker engine"):
        build([job], shop.folder, silent, shop.events.append)
    nothing = LocalEngine({"PATH": str(tmp_path)})
    with pytest.raises(RefusedError, match="docker command"):
        build([job], shop.folder, nothing, shop.events.append)


def test_old_images_of_the_deployment_go_and_others_stay(own: LocalEngine, shop: Workshop) -> None:
    foreign = f"kept-{shop.deployment}:1"
    for number in range(7):
        job = shop.job("web", BASE + f"RUN echo {number}\n")
        build([job], shop.folder, own, shop.events.append)
        if number == 0:
            own.run("image", "tag", local_name(job), foreign)
    tags = [tag for image in own.images(shop.deployment) for tag in image.tags]
    assert len(own.images(shop.deployment)) == 6
    assert foreign in tags


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_no_build_outlives_its_parent(shop: Workshop, how: signal.Signals) -> None:
    marker = uuid.uuid4().hex
    shop.job("web", BASE + f"RUN echo {marker}; sleep 300\n")
    program = (
        "import json, sys\n"
        "from pathlib import Path\n"
        "from allfast.model.service import Build, Method\n"
        "from allfast.images.build import build\n"
        "from allfast.images.buildx import BuildJob\n"
        "from allfast.images.local_engine import LocalEngine\n"
        "how = Build('web', 'web/Dockerfile')\n"
        "job = BuildJob(sys.argv[2], 'web', how, Method.QUICK, 'linux/amd64', 'c', sys.argv[3])\n"
        "say = lambda event: print(json.dumps(repr(event)), flush=True)\n"
        "build([job], Path(sys.argv[1]), LocalEngine.of_shell(), say)\n"
    )
    words = [sys.executable, "-c", program, str(shop.folder), shop.deployment, marker]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "BuildLog" in json.loads(line) and marker in line:
                break
        assert any(marker in words for words in all_words() if "buildx" in words)
        process.send_signal(how)
        process.wait(60)
        process.stdout.close()
    wait_until(
        lambda: not [w for w in all_words() if marker in w and "buildx" in w], "the build's processes to end", 60
    )


def all_words() -> list[str]:
    """The command lines of all processes of this machine."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found.append((entry / "cmdline").read_text(errors="replace").replace("\0", " "))
            except OSError:
                continue
    return found


def children_of(pid: int) -> list[str]:
    """Builds that this process has begun and that still run."""
    listed = subprocess.run(["ps", "--ppid", str(pid), "-o", "args="], capture_output=True, text=True).stdout
    return [line for line in listed.splitlines() if "buildx" in line]
