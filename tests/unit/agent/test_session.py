"""What the agent ends: exactly the process it was reached by, and never a later one of the same number."""

import os
import subprocess
import sys

from allfast.agent import session


def test_a_process_is_known_by_its_start_too() -> None:
    this = session.of(os.getpid())
    assert this is not None
    assert this.alive()
    assert not session.Process(this.pid, this.start + 1).alive()
    assert session.parent(os.getpid()) == os.getppid()
    assert session.of(2**22 + 1) is None


def test_a_zombie_is_not_alive() -> None:
    child = subprocess.Popen(["sleep", "100"])
    process = session.of(child.pid)
    assert process is not None
    session.end(process)  # nobody has waited for the child
    assert not process.alive()
    child.wait()


def test_a_process_that_ignores_sigterm_is_killed() -> None:
    program = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(100)"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        process = session.of(child.pid)
        assert process is not None
        session.end(process)
        assert child.wait() == -9


def test_what_is_no_ssh_server_is_not_ended() -> None:
    """These tests run in a session that no sshd serves, or in one whose sshd is not theirs to end."""
    program = "from allfast.agent import session; print(session.serving())"
    words = [sys.executable, "-c", program]
    env = {**os.environ, "PYTHONPATH": "src"}
    found = subprocess.run(words, capture_output=True, text=True, start_new_session=True, check=True, env=env)
    assert found.stdout.strip() == "None"
