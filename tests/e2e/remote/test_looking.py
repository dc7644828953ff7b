"""What a server of each kind tells, and what it is left with."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from allfast.model.server import HealthCheck
from allfast.remote import server as remote
from allfast.remote.failures import AgentRefusal
from allfast.remote.http import CouldNotAsk
from testbed import bases
from testbed.common import docker, run, wait_until
from testbed.server import Server
from tests.e2e.remote.doors import connect, release

pytestmark = pytest.mark.e2e


def test_facts_of_a_running_application(each: Server) -> None:
    each.load(bases.PYTHON.tag)
    dockerfile = f"FROM {bases.PYTHON.tag}\nLABEL allfast.deployment=chat allfast.service=web allfast.commit=abc"
    dockerfile += " allfast.inputs=i1\nEXPOSE 80\nHEALTHCHECK --interval=1s --start-period=4m CMD echo fine\n"
    dockerfile += 'CMD ["sleep", "100"]\n'
    each.exec(["docker", "build", "-q", "-t", "chat/web:1", "-"], stdin=dockerfile)
    labels = ["--label", "com.docker.compose.project=chat", "--label", "com.docker.compose.service=web"]
    each.docker("run", "-d", "--init", "--name", "chat-web-1", *labels, "-p", "8000:80", "chat/web:1")
    each.docker("run", "-d", "--name", "other", "-p", "127.0.0.1:8080:80", bases.PYTHON.tag, "sleep", "100")
    each.docker("volume", "create", "chat_data")
    with connect(each) as one:
        facts = one.facts()
        (image,) = facts.images
        assert (image.service, image.commit, image.inputs, image.tags) == ("web", "abc", "i1", ("chat/web:1",))
        assert (image.platform, image.stale, image.config_digest) == ("linux/amd64", False, "")
        assert image.engine_id == each.docker("image", "inspect", "-f", "{{.Id}}", "chat/web:1").stdout.strip()
        assert abs(image.created - time.time()) < 600
        (container,) = facts.containers
        assert (container.name, container.service, container.state) == ("chat-web-1", "web", "running")
        assert (container.image, container.exposed) == (image.engine_id, (80,))
        assert container.check == HealthCheck(interval=1.0, timeout=30.0, retries=3, start_period=240.0)
        assert "0.0.0.0:8000->80/tcp" in container.ports
        assert abs(container.started - time.time()) < 600
        assert one.containers()[0].id == container.id
        ports = [(port.host_ip, port.port, port.container, port.project) for port in facts.ports]
        assert {("0.0.0.0", 8000, "chat-web-1", "chat"), ("127.0.0.1", 8080, "other", "")} <= set(ports)
        made = {(resource.kind, resource.name, resource.driver) for resource in facts.resources}
        assert {("volume", "chat_data", "local"), ("network", "bridge", "bridge")} <= made
        assert dict(facts.image_refs)["chat/web:1"] == image.engine_id
        assert facts.store == each.store
        assert facts.platform == "linux/amd64"
        assert facts.engine == one.engine.version()["Version"]
        assert (facts.live, facts.unfinished, facts.lock) == (None, None, None)
        assert facts.free_bytes > 10**9
        assert one.layers(image.diff_ids) == len(image.diff_ids)
        assert one.layers((*image.diff_ids[:1], "sha256:other")) == 1
        assert one.layers(("sha256:other",)) == 0


def test_an_image_that_allfast_did_not_ship_gives_no_layers_in_the_containerd_store(
    servers: Callable[[str], Server],
) -> None:
    server = servers("containerd")
    server.load(bases.PYTHON.tag)
    inspected = json.loads(server.docker("image", "inspect", bases.PYTHON.tag).stdout)[0]
    with connect(server) as one:
        assert one.layers(inspected["RootFS"]["Layers"]) == 0


def test_the_health_checks_words(server: Server) -> None:
    server.load(bases.PYTHON.tag)
    labels = ["--label", "com.docker.compose.project=chat"]
    check = ["--health-cmd", "echo it is broken; exit 1", "--health-interval", "1s", "--health-retries", "1"]
    server.docker("run", "-d", *labels, *check, bases.PYTHON.tag, "sleep", "100")
    with connect(server) as one:
        wait_until(lambda: one.containers()[0].health == "unhealthy", "the check to fail", 60)
        assert one.containers()[0].health_output == "it is broken"


def test_docker_and_compose_work_over_the_forwarded_socket(each: Server) -> None:
    with connect(each) as one:
        found = run(["docker", "info", "-f", "{{.Name}}"], env=one.docker_env())
        assert found.stdout.strip() == one.hostname == each.exec(["hostname"]).stdout.strip()
        run(
            ["docker", "compose", "-p", "chat", "-f", "-", "ps"],
            env=one.docker_env(),
            stdin="services: {a: {image: b}}",
        )


def test_a_url_of_the_server(server: Server) -> None:
    server.load(bases.PYTHON.tag)
    server.docker("run", "-d", "--init", "--name", "http", bases.PYTHON.tag, "python", "-m", "http.server", "8000")
    address = server.docker("inspect", "-f", "{{.NetworkSettings.IPAddress}}", "http").stdout.strip()
    with connect(server) as one:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                status, headers, body = one.http(f"http://{address}:8000/etc/hostname", {"X": "y"})
            except CouldNotAsk:
                continue
            break
        assert (status, headers["server"].split("/")[0]) == (200, "SimpleHTTP")
        assert body.strip()
        assert one.http(f"http://{address}:8000/etc")[0] == 301
        with pytest.raises(CouldNotAsk, match="refused"):
            one.http(f"http://{address}:8001/")


def test_the_machine_itself_is_a_server(tmp_path: Path) -> None:
    with remote.connect(
        "local", deployment="chat-local", app="chat", target="local", state_dir=str(tmp_path / "state")
    ) as one:
        assert one.facts().hostname == docker("info", "-f", "{{.Name}}").stdout.strip()
        with one.lock("deploy"):
            assert one.engine.get("/version")["ApiVersion"]
            assert run(["docker", "info", "-f", "{{.Name}}"], env=one.docker_env()).stdout.strip() == one.hostname


@pytest.mark.parametrize("login", ["root", "deploy"])
def test_looking_leaves_nothing_on_the_server(each: Server, login: str) -> None:
    before = each.snapshot()
    with connect(each, login) as one:
        one.facts()
        one.layers(["sha256:a"])
        assert one.engine.get("/images/json") == []
        with pytest.raises(AgentRefusal, match="no deployment here yet"):
            one.history()
    assert before.changes(each.snapshot()) == []


def test_the_laptops_folder_of_sockets_is_gone_afterwards(server: Server) -> None:
    with connect(server) as one:
        folder = Path(one.engine.path).parent
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not folder.exists()


@pytest.mark.parametrize("login", ["root", "deploy"])
def test_the_state_belongs_to_dockers_group_whoever_makes_it(each: Server, login: str) -> None:
    with connect(each, login) as one, one.lock("make it"):
        one.put_release(release(one.new_release_id("abcdef0")), '{"secret": 1}')
    found = each.exec(["find", "/var/lib/allfast", "-printf", "%M %g %P\n"]).stdout.splitlines()
    modes = {line.split(" ", 2)[2]: line.split(" ")[:2] for line in found}
    assert modes[""] == modes["chat"] == modes["chat/releases"] == ["drwxrws---", "docker"]
    assert modes["chat/ledger.sqlite3"] == modes["chat/lock"] == ["-rw-rw----", "docker"]
    (compose,) = (mode for path, mode in modes.items() if path.endswith("compose.json"))
    assert compose == ["-rw-rw----", "docker"]
    assert each.docker("ps", "-aq").stdout == each.docker("images", "-aq").stdout == ""
