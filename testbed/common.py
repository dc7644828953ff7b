"""What all parts of the test bed share: names, labels, the state folder, running commands, waiting on conditions."""

import fcntl
import hashlib
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
#: Tells the containers and volumes of this checkout from those of another one on the same engine.
CHECKOUT_ID = hashlib.sha256(str(CHECKOUT).encode()).hexdigest()[:8]
STATE = CHECKOUT / ".testbed"
LABEL = "allfast.testbed.checkout"
RECIPE_LABEL = "allfast.testbed.recipe"

#: The environment as it was when the test bed was imported. A test that points DOCKER_HOST at another engine, or
#: poisons the environment on purpose, must not lead the test bed astray.
HOST_ENV: Mapping[str, str] = dict(os.environ)

Result = subprocess.CompletedProcess[str]


class TestbedError(Exception):
    """The test bed itself could not do its work; the message says what and quotes the evidence."""

    __test__ = False  # or pytest would take it for a test class


def run(
    argv: Sequence[str | Path],
    *,
    stdin: str | None = None,
    check: bool = True,
    timeout: float = 600,
    env: Mapping[str, str] | None = None,
) -> Result:
    """Run a command to its end and return its text output; `timeout` is in seconds.

    Raises `TestbedError` when it takes too long or, with `check`, when it fails.
    """
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(
            words, input=stdin, capture_output=True, text=True, errors="replace", timeout=timeout, env=env or HOST_ENV
        )
    except subprocess.TimeoutExpired as error:
        raise TestbedError(f"no end after {timeout} s: {' '.join(words)[:400]}") from error
    return succeeded(done) if check else done


def succeeded(done: Result) -> Result:
    """A command's result. Raises `TestbedError` with what it said where it failed."""
    if done.returncode != 0:
        output = (done.stdout[-1000:] + "\n" + done.stderr[-3000:]).strip()
        raise TestbedError(f"exit {done.returncode}: {' '.join(done.args)[:400]}\n{output}")
    return done


def docker(*argv: str | Path, stdin: str | None = None, check: bool = True, timeout: float = 600) -> Result:
    """Run the docker client against the machine's own engine (see `run`)."""
    return run(["docker", *argv], stdin=stdin, check=check, timeout=timeout)


def wait_until(
    condition: Callable[[], bool], what: str, seconds: float, evidence: Callable[[], str] = lambda: ""
) -> None:
    """Ask `condition` until it is true; raise `TestbedError` naming `what`, with `evidence()`, after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TestbedError(f"waited {seconds:g} s for {what} in vain\n{evidence()}".rstrip())
        time.sleep(0.05)


def full_name(name: str) -> str:
    """The engine-wide name of this checkout's thing called `name`."""
    return f"allfast-{CHECKOUT_ID}-{name}"


def label_args() -> list[str]:
    """Arguments that mark a container, volume or network as this checkout's."""
    return ["--label", f"{LABEL}={CHECKOUT_ID}"]


def state_folder(*parts: str) -> Path:
    """A folder under `.testbed/`, made if need be; Git does not see it, whatever the project's .gitignore says."""
    if not STATE.exists():
        STATE.mkdir(mode=0o700, exist_ok=True)
        (STATE / ".gitignore").write_text("*\n")
    folder = STATE.joinpath(*parts)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def socket_folder(name: str) -> Path:
    """A folder for unix sockets. Not under the checkout: a socket's path may have no more than some hundred bytes."""
    return Path(tempfile.gettempdir()) / f"allfast-testbed-{CHECKOUT_ID}" / name


def free_port() -> int:
    """A loopback TCP port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def machine_lock(name: str) -> Iterator[None]:
    """Hold a lock that all checkouts on this machine share: images belong to the engine, not to a checkout."""
    path = Path(tempfile.gettempdir()) / f"allfast-testbed-{os.getuid()}-{name}.lock"
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
