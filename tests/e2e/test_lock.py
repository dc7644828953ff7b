"""The lock cannot stick, and who lost it can change nothing any more (promise 6): real SSH, real signals."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from allfast.errors import LockHeldError, RemoteError
from allfast.model.server import LockHolder
from allfast.remote import server as remote
from testbed import bases
from testbed.common import CHECKOUT, run, wait_until
from testbed.server import Server

pytestmark = pytest.mark.e2e

LOGINS = ("root", "deploy")

#: Seconds of silence after which a frozen side is given up; a busy machine needs some of them for its first word.
SILENCE = 6.0


@pytest.fixture(scope="module")
def started() -> Iterator[Server]:
    server = Server(f"lock-{os.getpid()}").start()
    server.load(bases.PYTHON.tag)
    yield server
    server.stop()


@pytest.fixture
def server(started: Server) -> Server:
    started.reset(keep_images=True)
    return started


class Laptop:
    """A deployer in a process of its own; the processes that it started are its process group's and its ssh's."""

    def __init__(self, config: Path, host: str, silence: float, state_dir: str = "") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.deployer", str(config), host, str(silence), state_dir],
            cwd=CHECKOUT,
            env={**os.environ, "PYTHONPATH": "src:."},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.docker_env = {**os.environ, "DOCKER_HOST": f"unix://{self.read()}"}
        self.ssh = children(self.process.pid)

    def read(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def change(self) -> Any:
        """Try to change something; what came of it, by way."""
        assert self.process.stdin is not None
        self.process.stdin.write("change\n")
        self.process.stdin.flush()
        return self.read()

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()


@contextmanager
def laptop(server: Server, login: str = "deploy", silence: float = 30.0) -> Iterator[Laptop]:
    """A laptop that holds the lock."""
    one = Laptop(server.ssh_config, f"{server.name}-{login}", silence)
    try:
        yield one
    finally:
        one.end()


@contextmanager
def second(server: Server, login: str = "deploy") -> Iterator[remote.Server]:
    """This process's own connection."""
    with remote.connect(
        f"{server.name}-{login}", deployment="chat", app="chat", target="production", ssh_config=server.ssh_config
    ) as connected:
        yield connected


def children(pid: int) -> list[int]:
    """The process's children."""
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def agents(server: Server) -> list[str]:
    """Agents and guards on the server, and sshd's processes that serve a connection."""
    found = server.exec(["ps", "-eo", "pid,args"]).stdout.splitlines()
    return [line for line in found if "python3 -I" in line or "notty" in line]


def free(server: Server) -> bool:
    """Is the lock free? Asked by flock(1), not by allfast."""
    held = ["flock", "-n", "-E", "99", "/var/lib/allfast/chat/lock", "true"]
    return server.exec(held, check=False).returncode == 0


@pytest.mark.parametrize("login", LOGINS)
def test_a_second_deployer_is_refused_and_told_who_holds_the_lock(server: Server, login: str) -> None:
    with laptop(server, login), second(server) as other:
        with pytest.raises(LockHeldError, match="deploy of a test") as refusal, other.lock("another deploy"):
            pass
        assert refusal.value.exit_code == 3
        holder = other.facts().lock
        assert holder is not None
        assert holder.doing == "deploy of a test"


def test_waiting_for_the_lock_tells_for_whom_and_gets_it(server: Server) -> None:
    told: list[LockHolder] = []
    with second(server) as other, laptop(server) as first:
        asked = threading.Event()

        def waiting(holder: LockHolder) -> None:
            told.append(holder)
            asked.set()

        def end_first() -> None:
            asked.wait()
            first.end()

        threading.Thread(target=end_first, daemon=True).start()
        with other.lock("the next deploy", wait=True, waiting=waiting):
            assert other.facts().lock is not None
    assert [holder.doing for holder in told] == ["deploy of a test"]


def test_a_released_lock_is_free_for_a_connection_that_lives_on(server: Server) -> None:
    with second(server, "root") as one, second(server) as two:
        for holder in (one, two, one):
            with holder.lock("in turn"):
                assert not free(server)
            assert free(server)
            assert one.facts().lock is None


@pytest.mark.parametrize("login", LOGINS)
def test_when_the_laptops_process_is_killed_the_lock_is_free_at_once_and_nothing_is_left(
    server: Server, login: str
) -> None:
    with laptop(server, login) as first:
        assert not free(server)
        first.process.kill()
        wait_until(lambda: free(server), "the lock to be free", 20)
        wait_until(lambda: not agents(server), "agent and guard to be gone", 20, lambda: "\n".join(agents(server)))
        wait_until(lambda: not any(map(alive, first.ssh)), "ssh to be gone", 20)


@contextmanager
def compose_of(first: Laptop) -> Iterator[Callable[[], bool]]:
    """A child of that laptop, like Compose, which is not frozen with it and has a request under way: can it ask?"""
    words = ["docker", "events"]
    with subprocess.Popen(words, env=first.docker_env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:

        def can_ask() -> bool:
            asked = run(["docker", "volume", "create", "forbidden"], env=first.docker_env, check=False)
            if asked.returncode != 0:
                child.wait(20)  # its request has ended, and so does it
            return asked.returncode == 0

        assert can_ask()
        try:
            yield can_ask
        finally:
            child.kill()


@pytest.mark.parametrize("login", LOGINS)
def test_a_frozen_laptop_loses_the_lock_and_can_change_nothing_when_it_wakes(server: Server, login: str) -> None:
    with laptop(server, login, SILENCE) as first, second(server) as other:
        assert first.change() == {"journal": "done", "engine": "done", "lock": "done"}
        with compose_of(first) as can_ask:
            os.kill(first.process.pid, signal.SIGSTOP)
            server.docker("volume", "rm", "forbidden")
            with other.lock("a second deploy", wait=True) as held:
                assert not can_ask()
                assert held.unfinished is not None
                os.kill(first.process.pid, signal.SIGCONT)
                after = {"journal": "LockLostError", "engine": "EngineUnreachable", "lock": "LockLostError"}
                assert first.change() == after
                assert len(other.run(held.unfinished.id).journal) == 1
        assert not [one for one in other.facts().resources if one.kind == "volume"]
        wait_until(lambda: not any(map(alive, first.ssh)), "ssh of the frozen laptop to be gone", 20)


def test_the_session_is_dead_before_the_lock_is_free(server: Server) -> None:
    """Even where sshd does not take part: frozen, it keeps the forwarded socket open until it is killed."""
    with laptop(server, "deploy", SILENCE) as first:
        (sshd,) = (line.split()[0] for line in agents(server) if "deploy@notty" in line)
        server.exec(["kill", "-STOP", sshd])
        os.kill(first.process.pid, signal.SIGSTOP)
        state = f"$(cut -d ' ' -f 3 /proc/{sshd}/stat 2>/dev/null)"
        # a dead one may wait for its parent to hear of it
        dead = f'case "{state}" in ""|Z|X) ;; *) exit 1; esac'
        server.exec(["flock", "/var/lib/allfast/chat/lock", "sh", "-c", dead])


@pytest.mark.parametrize("login", LOGINS)
def test_when_the_agent_is_killed_its_guard_ends_the_session_first(server: Server, login: str) -> None:
    with laptop(server, login) as first, compose_of(first) as can_ask:
        os.kill(first.process.pid, signal.SIGSTOP)  # or it would cut the connection itself
        pids = [int(line.split()[0]) for line in agents(server) if "python3 -I" in line]
        server.exec(["kill", "-9", str(min(pids))])  # the guard was forked by the agent, so it came later
        wait_until(lambda: free(server), "the lock to be free", 20)
        assert not can_ask()
        os.kill(first.process.pid, signal.SIGCONT)
        assert first.change() == {"journal": "LockLostError", "engine": "EngineUnreachable", "lock": "LockLostError"}
        wait_until(lambda: not agents(server), "the session to be gone", 20, lambda: "\n".join(agents(server)))


def test_a_removed_state_folder_is_a_lost_lock(server: Server) -> None:
    with laptop(server, "root") as first:
        server.exec(["rm", "-r", "/var/lib/allfast/chat"])
        assert first.change()["journal"] == "LockLostError"


@pytest.mark.parametrize("grace", [1, 6])
def test_the_next_holder_waits_until_the_engine_has_finished(server: Server, grace: int) -> None:
    """A `docker stop` goes on after its asker was cut: its container ends before the next holder begins."""
    command = [
        "run",
        "-d",
        "--name",
        "slow",
        "--label",
        "com.docker.compose.project=chat",
        "--stop-timeout",
        str(grace),
    ]
    slow = server.docker(*command, bases.PYTHON.tag, "sh", "-c", "trap '' TERM; while :; do sleep 0.1; done").stdout
    with laptop(server, "root") as first, second(server) as other:
        asker = threading.Thread(target=lambda: server.docker("stop", "slow"), daemon=True)
        asker.start()
        wait_until(lambda: "kill" in events(server, slow.strip()), "the engine to begin", 20)
        first.end()
        with other.lock("after", wait=True):
            assert [container.state for container in other.containers()] == ["exited"]
        asker.join()


def events(server: Server, container: str) -> str:
    """What the engine did with that container in the last minutes."""
    words = ["--since", "5m", "--until", "0s", "--filter", f"container={container}", "--format", "{{.Action}}"]
    return server.docker("events", *words).stdout


def test_two_deployers_never_hold_it_together(server: Server) -> None:
    """Five connections in a loop: each adds to a counter that only the lock protects."""
    rounds, results, failures = 4, [], []

    def work() -> None:
        try:
            with second(server) as one:
                for _ in range(rounds):
                    with one.lock("counting", wait=True):
                        results.append("in")
                        one.new_release_id("abcdef0")
                        results.append("out")
        except Exception as error:  # noqa: BLE001 - shown by the test
            failures.append(error)

    run_all([work] * 4)
    assert not failures
    assert results == ["in", "out"] * (4 * rounds)


def run_all(works: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_a_change_without_the_lock_is_refused(server: Server) -> None:
    with second(server) as one, pytest.raises(RemoteError, match="need the lock"):
        one.new_release_id("abcdef0")


def test_a_stalled_server_is_noticed(server: Server) -> None:
    with remote.connect(
        server.name, deployment="chat", app="chat", target="production", ssh_config=server.ssh_config, silence=2
    ) as one:
        server.pause()
        try:
            began = time.monotonic()
            with pytest.raises(RemoteError, match="stalled"):
                one.facts()
            assert time.monotonic() - began < 20
        finally:
            server.unpause()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_the_machine_itself_is_fenced_too(tmp_path: Path, number: signal.Signals) -> None:
    first = Laptop(Path("/dev/null"), "local", SILENCE, str(tmp_path / "state"))
    words = ["docker", "events"]
    try:
        with subprocess.Popen(
            words, env=first.docker_env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as child:
            os.kill(first.process.pid, number)
            here = remote.connect(
                "local", deployment="chat", app="chat", target="production", state_dir=str(tmp_path / "state")
            )
            with here as other, other.lock("next", wait=True):
                assert run(["docker", "version"], env=first.docker_env, check=False).returncode != 0
                assert child.wait(20) != 0
        wait_until(lambda: not any(map(alive, first.ssh)), "the agent to be gone", 20)
    finally:
        first.end()


def test_who_stops_waiting_for_the_lock_does_not_get_it_later(server: Server) -> None:
    with laptop(server) as first:
        with second(server, "ops") as other:
            told = threading.Event()
            asking = threading.Thread(target=lambda: hold(other, told), daemon=True)
            asking.start()
            assert told.wait(30)
        wait_until(lambda: not any("ops" in line for line in agents(server)), "the waiting agent to be gone", 20)
        asking.join(20)
        assert not asking.is_alive()
        assert not free(server)
        first.end()
        wait_until(lambda: free(server), "the lock to be free", 20)


def hold(server: remote.Server, told: threading.Event) -> None:
    """Wait for the lock, until the connection is closed by the test."""
    with pytest.raises(RemoteError, match="closed"), server.lock("later", wait=True, waiting=lambda _: told.set()):
        pass
