"""The base images behave as the public ones whose names they bear, on the machine's own engine and on others."""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed import bases
from testbed.common import HOST_ENV, docker, full_name, label_args, run, wait_until
from testbed.engine import Engine
from testbed.server import Server
from testbed.tiny_app import make_repo_for

PYTHON_BUILD = """\
FROM python:3.13-slim
RUN python -c 'import sys; assert sys.version_info[:2] == (3, 13)'
RUN pip install --no-cache-dir six==1.16.0 && python -c 'import six'
RUN python -m venv /venv && /venv/bin/pip --version
"""
NODE_BUILD = """\
FROM node:20-slim
USER node
WORKDIR /home/node
RUN npm init -y && npm install is-number@7.0.0 && rm -r node_modules && npm ci && node -e 'require("is-number")'
"""


@pytest.fixture(scope="module", autouse=True)
def _bases() -> None:
    bases.ensure(bases.BASES)


@pytest.fixture
def container(request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of a container on the machine's engine, which is removed after the test."""
    name = full_name(f"test-{request.node.name.replace('[', '-').replace(']', '')}")
    docker("rm", "-fv", name, check=False)
    yield name
    docker("rm", "-fv", name, check=False)


@pytest.mark.parametrize("dockerfile", [PYTHON_BUILD, NODE_BUILD], ids=["pip", "npm"])
def test_packages_can_be_installed_in_a_build(dockerfile: str, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(dockerfile)
    docker("buildx", "build", "--no-cache", "--output", "type=cacheonly", tmp_path)


def test_node_has_the_public_images_user_and_entrypoint() -> None:
    assert docker("run", "--rm", "node:20-slim", "-p", "process.version").stdout.startswith("v20.")
    assert docker("run", "--rm", "-u", "node", "node:20-slim", "id", "-u").stdout == "1000\n"


def test_postgres_takes_the_password_and_no_other(container: str) -> None:
    settings = ("POSTGRES_USER=chat", "POSTGRES_PASSWORD=s3cret", "POSTGRES_DB=talk")
    environment = [word for setting in settings for word in ("-e", setting)]
    docker("run", "-d", "--name", container, *label_args(), *environment, "postgres:17")

    def ask(password: str, url: str = "postgresql://chat@{address}/talk") -> str:
        address = docker("inspect", "-f", "{{.NetworkSettings.IPAddress}}", container).stdout.strip()
        command = ["exec", "-e", f"PGPASSWORD={password}", container, "psql", "-Atc", "SELECT current_user"]
        answer = docker(*command, url.format(address=address), check=False)
        return answer.stdout.strip() or answer.stderr

    wait_until(lambda: ask("s3cret") == "chat", "PostgreSQL", 60, lambda: docker("logs", container).stderr)
    assert "password authentication failed" in ask("wrong")
    assert docker("exec", container, "pg_isready").returncode == 0
    docker("restart", container)
    wait_until(lambda: ask("s3cret") == "chat", "PostgreSQL, started again on its data", 60)


def test_redis_takes_its_options_from_the_command_and_serves_other_containers(container: str) -> None:
    docker("run", "-d", "--name", container, *label_args(), "redis:8", "redis-server", "--requirepass", "s3cret")
    address = docker("inspect", "-f", "{{.NetworkSettings.IPAddress}}", container).stdout.strip()

    def ask(*options: str) -> str:
        return docker("run", "--rm", "redis:8", "redis-cli", "-h", address, *options, "ping", check=False).stdout

    wait_until(lambda: "PONG" in ask("--no-auth-warning", "-a", "s3cret"), "Redis", 60)
    assert "NOAUTH" in ask()
    assert docker("exec", container, "stat", "-c", "%U", "/data").stdout == "redis\n"


@pytest.mark.parametrize("store", ["overlay2", "containerd"])
def test_a_throwaway_engine_builds_on_the_bases_and_keeps_them(
    store: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    engine = Engine(store, f"engine-probe-{store}")
    request.addfinalizer(engine.remove)
    engine.start(images := (bases.PYTHON, bases.REDIS))
    assert (engine.exec(["docker", "info", "-f", "{{.Driver}}"]).stdout.strip() == "overlay2") == (store == "overlay2")
    (tmp_path / "Dockerfile").write_text("FROM python:3.13-slim\nRUN pip --version\n")
    env = {**HOST_ENV, "DOCKER_HOST": engine.host}
    run(["docker", "buildx", "build", "--provenance=false", "-t", "testbed-probe", tmp_path], env=env)
    run(["docker", "image", "rm", "testbed-probe"], env=env)
    engine.stop()
    assert not Path(engine.host.removeprefix("unix://")).exists()
    engine.start(images)
    assert "redis:8" in run(["docker", "images", "--format", "{{.Repository}}:{{.Tag}}"], env=env).stdout


def test_the_tiny_app_runs_on_a_server_and_says_what_was_committed(server: Server, tmp_path: Path) -> None:
    app = make_repo_for(server, tmp_path / "tiny")
    assert app.git("rev-parse", "origin/main") == app.head()
    app.say("web", "web two")
    server.load("python:3.13-slim", "redis:8")
    env = {**server.env(), "DOCKER_HOST": f"ssh://{server.name}", "DOCKER_BUILDKIT": "1"}
    files = ["--project-directory", str(app.path), "--env-file", str(app.path / "envs/production.env")]
    compose = ["docker", "compose", *files]
    run([*compose, "build", "--build-arg", f"ALLFAST_COMMIT={app.head()}"], env=env)
    # A bind mount's source is looked for on the server
    run(["ssh", server.name, f"mkdir -p {app.path}/config && echo hello >{app.path}/config/greeting.txt"], env=env)
    run([*compose, "up", "--detach", "--wait", "--no-build", "web", "worker"], env=env, timeout=120)

    def page() -> dict[str, Any]:
        with urllib.request.urlopen(server.url(80), timeout=10) as answer:
            parts: dict[str, Any] = json.load(answer)
            return parts

    wait_until(lambda: page()["worker"] is not None, "the worker's first sign", 20)
    served = page()
    assert [served[name]["text"] for name in ("web", "api", "worker")] == ["web two", "api one", "worker one"]
    assert {served[name]["commit"] for name in ("web", "api", "worker")} == {app.head()}
    assert served["api"]["env"] == {"TINY_COLOUR": "green", "TINY_SIZE": "small"}
    assert served["migrations"] == 1
    for kind in ("kv", "file"):
        urllib.request.urlopen(f"{server.url(80)}/api/{kind}/x", data=b"kept", timeout=10).close()
        with urllib.request.urlopen(f"{server.url(8000)}/{kind}/x", timeout=10) as answer:
            assert answer.read() == b"kept"
    server.reset()
