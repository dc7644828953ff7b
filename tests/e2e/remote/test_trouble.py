"""What is said when the door to a server is shut."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import pytest

from allfast.errors import AllfastError, RemoteError
from allfast.remote import server as remote
from testbed import trouble
from testbed.common import run, wait_until
from testbed.server import Server
from tests.e2e.remote.doors import connect

pytestmark = pytest.mark.e2e


def shut(server: Server, login: str = "deploy") -> AllfastError:
    """The error that the first question raises."""
    with connect(server, login) as one, pytest.raises(AllfastError) as caught:
        one.facts()
    return caught.value


@pytest.mark.parametrize(
    ("what", "words", "hint"),
    [
        (trouble.without_python, "no python3", "apt-get install python3"),
        (trouble.without_sqlite, "no sqlite3", "libpython3-stdlib"),
        (trouble.without_docker, "no Docker engine", "install Docker"),
        (trouble.stopped_engine, "Docker", "systemctl"),
        (trouble.changed_host_key, "host key", "ssh-keygen -R '[127.0.0.1]:"),
    ],
)
def test_each_trouble_has_its_words_and_its_next_step_and_changes_nothing(
    server: Server, what: Callable[[Server], AbstractContextManager[None]], words: str, hint: str
) -> None:
    with what(server):
        before = files(server)
        error = shut(server)
        assert words in error.message
        assert hint in error.hint
        assert error.exit_code == 1
        assert files(server) == before


def files(server: Server) -> str:
    """All files where state could be, with their times; needs no engine and no Python on the server."""
    return server.exec(
        ["find", "/var/lib/allfast", "/home", "/root", "/tmp", "-printf", "%p %M %s %T@\n"], check=False
    ).stdout


def test_a_login_without_permission_is_told_the_command(server: Server) -> None:
    before = server.snapshot()
    error = shut(server, "guest")
    assert "guest may not use Docker's socket" in error.message
    assert error.hint.endswith("sudo usermod -aG docker guest")
    assert before.changes(server.snapshot()) == []


def test_a_refused_login(server: Server) -> None:
    with reach(server, {"User": "nosuchuser"}) as one, pytest.raises(RemoteError, match="refused the login") as caught:
        one.facts()
    assert "BatchMode" in caught.value.hint


@contextmanager
def reach(server: Server, settings: dict[str, object]) -> Iterator[remote.Server]:
    """Connect with another ssh config than the server's own."""
    values = {"HostName": "127.0.0.1", "Port": server.port(22), "User": "root", **settings}
    text = server.ssh_config.read_text()
    lines = "\n".join(f"{key} {value}" for key, value in values.items())
    config = server.ssh_config.with_name("other-config")
    config.write_text(f"Host other\n{lines}\n{text.replace(f'Host {server.name} ', 'Host other ')}")
    with remote.connect("other", deployment="chat", app="chat", target="production", ssh_config=config) as connected:
        yield connected


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"Port": 0}, "refused"),
        ({"HostName": "no-such-name.invalid"}, "cannot be resolved"),
        ({"UserKnownHostsFile": "/dev/null"}, "not known"),
        ({"NoSuchOption": "1"}, "does not accept its configuration"),
    ],
)
def test_what_ssh_says_becomes_a_cause_and_a_next_step(server: Server, settings: dict[str, object], words: str) -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))  # nobody listens there, and nobody else can
        if "Port" in settings:
            settings = {"Port": mute.getsockname()[1]}
        with reach(server, settings) as one, pytest.raises(RemoteError, match=words) as caught:
            one.facts()
    assert caught.value.hint
    assert caught.value.evidence


def test_a_server_that_does_not_forward_is_told_which_setting_to_change(server: Server) -> None:
    reload_sshd(server, "echo 'AllowStreamLocalForwarding no' >/etc/ssh/sshd_config.d/no.conf")
    try:
        with connect(server) as one, pytest.raises(RemoteError, match="does not forward") as caught:
            _ = one.engine
        assert "AllowStreamLocalForwarding yes" in caught.value.hint
    finally:
        reload_sshd(server, "rm /etc/ssh/sshd_config.d/no.conf")


def reload_sshd(server: Server, change: str) -> None:
    """Change sshd's settings; who connects while it reads them is sent away, so wait until it answers again."""
    server.exec(["sh", "-c", f"{change}; pkill -HUP -o sshd"])
    ssh = ["ssh", "-F", str(server.ssh_config), "-o", "BatchMode=yes", f"{server.name}-deploy", "true"]
    wait_until(lambda: run(ssh, check=False).returncode == 0, "sshd with its new settings", 60)


def test_a_talkative_login_shell_does_no_harm(server: Server) -> None:
    server.exec(["sh", "-c", "echo 'echo Welcome to this server; echo -n no newline' >/home/deploy/.bashrc"])
    try:
        with connect(server) as one:
            assert one.facts().store == "overlay2"
    finally:
        server.exec(["sh", "-c", ": >/home/deploy/.bashrc"])


def test_who_is_interrupted_while_ssh_connects_does_not_wait_for_it(server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, ExitStack() as accepted:
        with pytest.raises(KeyboardInterrupt), reach(server, {"Port": silent.getsockname()[1]}):
            accepted.enter_context(silent.accept()[0])  # ssh is there, and gets no word
            began = time.monotonic()
            raise KeyboardInterrupt
        assert time.monotonic() - began < 9  # ssh itself would wait for 10 s
