"""How a container is run that holds a Docker engine of its own: servers and throwaway local engines are such ones."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from testbed.common import Result, TestbedError, docker, full_name, label_args, run, succeeded, wait_until

# --privileged wants CAP_SYS_RESOURCE, which some machines do not have to give. All the others, named, are enough.
CAPABILITIES = (
    *(
        "AUDIT_CONTROL",
        "AUDIT_READ",
        "AUDIT_WRITE",
        "BLOCK_SUSPEND",
        "CHOWN",
        "DAC_OVERRIDE",
        "DAC_READ_SEARCH",
        "FOWNER",
    ),
    *("FSETID", "IPC_LOCK", "IPC_OWNER", "KILL", "LEASE", "LINUX_IMMUTABLE", "MAC_ADMIN", "MAC_OVERRIDE", "MKNOD"),
    *("NET_ADMIN", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYSLOG"),
    *(
        "SYS_ADMIN",
        "SYS_BOOT",
        "SYS_CHROOT",
        "SYS_MODULE",
        "SYS_NICE",
        "SYS_PACCT",
        "SYS_PTRACE",
        "SYS_RAWIO",
        "SYS_TIME",
    ),
    *("SYS_TTY_CONFIG", "WAKE_ALARM"),
)
UNCONFINED = ("seccomp=unconfined", "apparmor=unconfined", "systempaths=unconfined")
STORES = ("overlay2", "containerd")

#: Seconds that an engine may take to answer; it takes one or two on an idle machine.
ENGINE_SECONDS = 90
#: Seconds that it may take to end, with its containers.
END_SECONDS = 60
#: What is said when runc gives up, on a busy machine: nothing has run then, and it is tried again, so often in all.
GAVE_UP = "OCI runtime exec failed"
EXEC_TRIES = 3


class EngineContainer:
    """A container of the server image in which a Docker engine runs. `name` is unique within the checkout."""

    def __init__(self, name: str, store: str) -> None:
        if store not in STORES:
            raise TestbedError(f"no such image store: {store} (there are {', '.join(STORES)})")
        self.name = name
        self.store = store
        self.container = full_name(name)

    def exec(
        self,
        argv: Sequence[str],
        *,
        user: str = "root",
        stdin: str | None = None,
        check: bool = True,
        timeout: float = 120,
    ) -> Result:
        """Run a command inside, by `docker exec` and not by SSH: for tests to look and meddle.

        `timeout` is in seconds. Raises `TestbedError` with `check`.
        """
        for _ in range(EXEC_TRIES):
            done = docker("exec", "-i", "-u", user, self.container, *argv, stdin=stdin, check=False, timeout=timeout)
            if done.returncode == 0 or GAVE_UP not in done.stdout + done.stderr:
                break
        return succeeded(done) if check else done

    def engine_answers(self) -> bool:
        """Does the engine inside answer?"""
        return self.exec(["docker", "version"], check=False).returncode == 0

    def is_running(self) -> bool:
        """Does the container itself run?"""
        found = docker("container", "inspect", "-f", "{{.State.Running}}", self.container, check=False)
        return found.stdout.strip() == "true"

    def wait_for_engine(self) -> None:
        """Wait until the engine inside answers; raises `TestbedError` with the end of its log."""
        wait_until(self.engine_answers, f"the engine of {self.name}", ENGINE_SECONDS, self.engine_log)

    def engine_log(self, lines: int = 30) -> str:
        """The last lines of the engine's log."""
        return self.exec(["tail", "-n", str(lines), "/var/log/dockerd.log"], check=False).stdout

    def kill_dockerd(self) -> None:
        """Kill the engine by SIGKILL, as the out-of-memory killer does. Containers go on, unattended."""
        self.exec(["pkill", "-9", "-x", "dockerd"], check=False)
        wait_until(lambda: not self.engine_answers(), "dockerd to be gone", END_SECONDS)

    def stop_dockerd(self) -> None:
        """Stop the engine in good order; it stops its containers."""
        self.exec(["pkill", "-x", "dockerd"], check=False)
        wait_until(
            lambda: self.exec(["pgrep", "-x", "dockerd"], check=False).returncode != 0,
            "dockerd to end",
            END_SECONDS,
            self.engine_log,
        )

    def start_dockerd(self) -> None:
        """Start the engine if it does not run, and wait until it answers."""
        docker("exec", "-d", self.container, "server-dockerd")
        self.wait_for_engine()

    def load(self, *tags: str) -> None:
        """Copy images, by tag, from the machine's engine into this one."""
        # A pipe between the two clients: no copy in memory or on disk
        script = 'set -o pipefail; container=$1; shift; docker save "$@" | docker exec -i "$container" docker load -q'
        run(["bash", "-c", script, "bash", self.container, *tags])

    def run_container(
        self, image: str, *arguments: str | Path, environment: Mapping[str, str], command: Sequence[str] = ()
    ) -> Result:
        """Start the container with `arguments` besides those that every engine needs; the result is not checked."""
        words: list[str | Path] = ["run", "-d", "--name", self.container, "--hostname", self.name, *label_args()]
        words += [word for capability in CAPABILITIES for word in ("--cap-add", capability)]
        words += [word for option in UNCONFINED for word in ("--security-opt", option)]
        words += ["--cgroupns", "private", "--tmpfs", "/run", *arguments]
        words += [word for key, value in environment.items() for word in ("-e", f"{key}={value}")]
        return docker(*words, image, *command, check=False)
