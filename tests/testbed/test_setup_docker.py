"""`scripts/setup-docker` on a bare Debian 12: no init, no engine, and a docker client without plugins in front."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed import bases
from testbed.common import CHECKOUT, docker
from testbed.container import EngineContainer

MOUNTS = Path(bases.RECIPES) / "server" / "bin"


@pytest.fixture(scope="module")
def machine() -> Iterator[EngineContainer]:
    """A bare machine, with the script at /scripts."""
    machine = EngineContainer("bare", "overlay2")
    docker("rm", "-fv", machine.container, check=False)
    client = Path(shutil.which("docker") or "").resolve()
    folders = (f"{CHECKOUT / 'scripts'}:/scripts:ro", f"{MOUNTS}:/testbed:ro", f"{client}:/usr/local/bin/docker:ro")
    shared = [word for folder in (*folders, "/var/lib/docker") for word in ("-v", folder)]
    image = bases.make_root("bookworm")
    started = machine.run_container(image, "--init", *shared, environment={}, command=("sleep", "infinity"))
    assert started.returncode == 0, started.stderr
    machine.exec(["/testbed/server-mounts"])
    yield machine
    docker("rm", "-fv", machine.container)


def test_a_bare_machine_gets_an_engine_and_a_second_run_leaves_it_alone(machine: EngineContainer) -> None:
    libc = machine.exec(["dpkg-query", "-W", "-f", "${Version}", "libc6"]).stdout
    lacking = machine.exec(["/scripts/setup-docker", "--check"], check=False)
    assert lacking.returncode == 1
    assert "missing: a running Docker engine\n" in lacking.stdout
    assert "missing: mmdebstrap\n" in lacking.stdout

    first = machine.exec(["/scripts/setup-docker"], timeout=300).stdout
    assert "installing docker.io docker-cli docker-buildx docker-compose from trixie" in first
    assert machine.exec(["docker", "version", "-f", "{{.Server.Version}}"]).stdout.startswith("26.")
    assert machine.exec(["dpkg-query", "-W", "-f", "${Version}", "libc6"]).stdout == libc
    assert not machine.exec(["sh", "-c", "ls /usr/sbin/policy-rc.d /tmp/allfast-* 2>/dev/null"], check=False).stdout

    second = machine.exec(["/scripts/setup-docker"]).stdout
    assert "left alone" in second
    assert "installing" not in second


OLD_PLUGIN = """\
#!/bin/sh
metadata='{"SchemaVersion": "0.1.0", "Vendor": "a test", "Version": "VERSION"}'
case "$1" in docker-cli-plugin-metadata) echo "$metadata" ;; *) echo "WORDS VERSION" ;; esac
"""


def old_plugins(machine: EngineContainer, folder: str) -> None:
    """Put a buildx and a Compose into a folder of plugins that say how old they are."""
    for name, version, words in (("buildx", "0.10.4", "buildx"), ("compose", "2.17.3", "")):
        text = OLD_PLUGIN.replace("VERSION", version).replace("WORDS ", f"{words} " if words else "")
        machine.exec(["mkdir", "-p", folder])
        machine.exec(["sh", "-c", f"printf '%s' \"$1\" >{folder}/docker-{name}", "sh", text])
        machine.exec(["chmod", "+x", f"{folder}/docker-{name}"])


def test_old_plugins_are_replaced(machine: EngineContainer) -> None:
    machine.exec(["dpkg", "--remove", "docker-buildx", "docker-compose"])
    old_plugins(machine, "/usr/libexec/docker/cli-plugins")
    lacking = machine.exec(["/scripts/setup-docker", "--check"], check=False)
    assert lacking.returncode == 1
    assert "missing: buildx 0.13 or newer (there is 0.10.4)\n" in lacking.stdout
    assert "missing: Compose 2.24 or newer (there is 2.17.3)\n" in lacking.stdout
    assert "a running Docker engine" not in lacking.stdout

    told = machine.exec(["/scripts/setup-docker"], timeout=300).stdout
    assert "installing docker-buildx docker-compose from trixie" in told
    assert machine.exec(["docker", "compose", "version", "--short"]).stdout.startswith("2.")
    assert machine.exec(["/scripts/setup-docker", "--check"]).returncode == 0


def test_old_plugins_that_stand_before_the_installed_ones_are_named(machine: EngineContainer) -> None:
    folder = "/usr/local/lib/docker/cli-plugins"
    old_plugins(machine, folder)
    refused = machine.exec(["/scripts/setup-docker"], check=False, timeout=300)
    assert refused.returncode == 1
    assert f"still takes {folder}/docker-buildx 0.10.4, {folder}/docker-compose 2.17.3: remove" in refused.stderr
    machine.exec(["rm", "-r", folder])
    assert "left alone" in machine.exec(["/scripts/setup-docker"]).stdout


def test_a_killed_engine_is_started_again(machine: EngineContainer) -> None:
    machine.exec(["bash", "-c", "kill -9 $(cat /var/run/docker.pid)"])
    # The next process with that id must not be taken for the engine
    machine.exec(["bash", "-c", "echo 1 >/var/run/docker.pid"])
    assert "starting dockerd in its own session" in machine.exec(["/scripts/setup-docker"]).stdout
    assert machine.engine_answers()


def test_an_engine_of_the_users_that_does_not_answer_is_not_hidden(machine: EngineContainer) -> None:
    refused = machine.exec(["env", "DOCKER_HOST=tcp://127.0.0.1:1", "/scripts/setup-docker"], check=False)
    assert refused.returncode == 1
    assert "DOCKER_HOST=tcp://127.0.0.1:1 is set, but no engine answers there" in refused.stderr
