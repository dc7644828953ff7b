"""A throwaway server is what it says: reached over real SSH, with a real engine, and made new by a reset."""

import shutil
import sys
from pathlib import Path

import pytest

from testbed import trouble
from testbed.common import CHECKOUT, HOST_ENV, TestbedError, run, wait_until
from testbed.server import Server


def test_ssh_reaches_the_engine_with_strict_host_key_checking(each_server: Server) -> None:
    assert "StrictHostKeyChecking yes" in each_server.ssh_config.read_text()
    assert each_server.ssh("docker version -f '{{.Server.Version}}'").stdout.startswith("26.1.")


def test_the_image_stores_are_what_they_say(server: Server, containerd_server: Server) -> None:
    form = "docker info -f '{{.Driver}} {{.DriverStatus}}'"
    assert server.ssh(form).stdout.startswith("overlay2 ")
    assert "io.containerd.snapshotter.v1" in containerd_server.ssh(form).stdout


def test_ssh_refuses_a_key_that_known_hosts_does_not_have(server: Server) -> None:
    with trouble.changed_host_key(server):
        refused = server.ssh("true", check=False)
    assert refused.returncode == 255
    assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in refused.stderr
    assert server.ssh("echo again").stdout == "again\n"


def test_each_login_may_do_what_it_should(server: Server) -> None:
    for login, allowed in (("root", True), ("deploy", True), ("ops", True), ("guest", False)):
        assert server.ssh("id -un", login=login).stdout.strip() == login
        assert (server.ssh("docker ps", login=login, check=False).returncode == 0) == allowed
        assert server.ssh("sudo -n true", login=login, check=False).returncode != 0


def test_a_plain_ssh_and_docker_reach_it_in_its_environment(containerd_server: Server) -> None:
    env = containerd_server.env()
    assert run(["ssh", containerd_server.name, "id -un"], env=env).stdout == "deploy\n"
    over_ssh = {**env, "DOCKER_HOST": f"ssh://{containerd_server.name}"}
    assert run(["docker", "info", "-f", "{{.Name}}"], env=over_ssh).stdout.strip() == containerd_server.name


def test_an_app_for_it_is_one_command_away(server: Server, tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "testbed", "app", str(tmp_path / "tiny"), server.name]
    told = run(argv).stdout
    assert f"ALLFAST_SSH_CONFIG={server.ssh_config}" in told
    assert f"cd {tmp_path / 'tiny'}\n" in told
    assert f'host = "{server.name}"' in (tmp_path / "tiny" / "allfast.toml").read_text()
    assert run(["git", "-C", tmp_path / "tiny", "status", "--porcelain"]).stdout == ""
    again = run(argv, check=False)
    assert (again.returncode, "is there already" in again.stderr) == (1, True)


def test_a_snapshot_sees_each_kind_of_change_and_a_reset_undoes_them(each_server: Server) -> None:
    new = each_server.snapshot()
    assert each_server.snapshot() == new
    each_server.load("redis:8")
    each_server.docker("run", "-d", "--name", "cache", "-v", "things:/data", "redis:8")
    each_server.docker("network", "create", "net")
    each_server.ssh("mkdir -p /tmp/one && echo two >/tmp/one/file", login="deploy")
    changes = "\n".join(new.changes(each_server.snapshot()))
    for expected in (
        "containers: /cache is new",
        "images: sha256:",
        "volumes: things",
        "networks: net",
        "/tmp/one/file",
    ):
        assert expected in changes
    each_server.reset()
    assert new.changes(each_server.snapshot()) == []


def test_a_snapshot_sees_one_changed_byte_and_a_changed_mode(server: Server) -> None:
    server.exec(["bash", "-c", "mkdir -p /srv/x && echo a >/srv/x/content && echo a >/srv/x/mode"])
    before = server.snapshot()
    server.exec(["bash", "-c", "echo b >/srv/x/content; chmod 600 /srv/x/mode"])
    changes = before.changes(server.snapshot())
    assert [line.split(" was ")[0] for line in changes] == ["files: /srv/x/content", "files: /srv/x/mode"]
    server.reset(keep_images=True)


def test_a_reset_ends_what_a_login_left_running(server: Server) -> None:
    server.ssh("nohup sleep 1234 >/dev/null 2>&1 &", login="deploy")
    assert server.exec(["pgrep", "-f", "sleep 1234"], check=False).returncode == 0
    server.reset(keep_images=True)
    assert server.exec(["pgrep", "-f", "sleep 1234"], check=False).returncode == 1
    assert server.ssh("docker ps -q").stdout == ""


def test_containers_come_back_after_a_killed_engine_a_reboot_and_a_power_cut(server: Server) -> None:
    server.load("redis:8")
    server.docker("run", "-d", "--name", "cache", "--restart", "always", "redis:8")
    server.docker("run", "-d", "--name", "once", "redis:8")

    def cache_is_back() -> bool:
        return server.docker("ps", "--format", "{{.Names}}").stdout == "cache\n"

    server.kill_dockerd()
    assert server.ssh("docker ps", check=False).returncode != 0
    server.start_dockerd()
    wait_until(cache_is_back, "the container after a killed engine", 60)
    for hard in (False, True):
        server.restart(hard=hard)
        wait_until(cache_is_back, f"the container after a reboot (hard: {hard})", 60)
    server.reset()


def test_the_engine_learns_of_an_out_of_memory_kill(server: Server) -> None:
    server.load("python:3.13-slim")
    limits = ("--memory", "32m", "--memory-swap", "32m")
    server.docker("run", "--name", "fat", *limits, "python:3.13-slim", "python", "-c", "b'x' * 2**28", check=False)
    assert server.docker("inspect", "-f", "{{.State.OOMKilled}} {{.State.ExitCode}}", "fat").stdout == "true 137\n"
    server.reset()


def test_troubles_come_and_go(server: Server) -> None:
    def works(command: str) -> bool:
        return server.ssh(command, check=False).returncode == 0

    before = server.snapshot()
    for context, command in (
        (trouble.without_python, "python3 --version"),
        (trouble.without_sqlite, "python3 -c 'import sqlite3'"),
        (trouble.without_docker, "docker --version"),
        (trouble.stopped_engine, "docker version"),
    ):
        with context(server):
            assert not works(command)
            assert works("true")
        assert works(command)
    assert before.changes(server.snapshot()) == []


def test_a_small_disk_can_be_full(request: pytest.FixtureRequest) -> None:
    server = Server("bed-small", disk="300m")
    request.addfinalizer(server.stop)
    server.start()
    server.load("redis:8")
    with trouble.full_disk(server), pytest.raises(TestbedError, match="no space left on device"):
        server.load("python:3.13-slim")
    server.load("python:3.13-slim")


def test_the_oldest_server_has_engine_20_10_and_python_3_9(request: pytest.FixtureRequest) -> None:
    server = Server("bed-old", suite="bullseye", login="deploy")
    request.addfinalizer(server.stop)
    server.start()
    assert server.ssh("docker version -f '{{.Server.Version}}'").stdout.startswith("20.10.")
    assert server.ssh("python3 --version").stdout.startswith("Python 3.9.")
    server.load("redis:8")
    assert server.docker("run", "--rm", "redis:8", "redis-server", "--version").stdout.startswith("Redis server v=8.")


def test_cleaning_one_checkout_leaves_the_servers_of_others_alone(server: Server, tmp_path: Path) -> None:
    shutil.copytree(CHECKOUT / "testbed", tmp_path / "testbed", ignore=shutil.ignore_patterns("__pycache__"))

    def other(*words: str) -> str:
        command = f"cd {tmp_path} && exec {sys.executable} -m testbed {' '.join(words)}"
        return run(["bash", "-c", command], env={**HOST_ENV, "PYTHONDONTWRITEBYTECODE": "1"}).stdout

    words = f"ssh -F {tmp_path}/.testbed/servers/{server.name}/config {server.name}"
    assert words in other("server", "up", server.name)
    assert "server:trixie" in other("list")
    other("clean")
    assert "server:trixie" not in other("list")
    assert not (tmp_path / ".testbed").exists()
    assert server.ssh("true").returncode == 0
    assert Server.existing(server.name).url(80) == server.url(80)
