"""A throwaway local engine, with either image store, beside the machine's own: a laptop's Docker, to a test."""

import shutil
import time

from testbed import bases
from testbed.common import RECIPE_LABEL, TestbedError, docker, label_args, machine_lock, socket_folder
from testbed.container import EngineContainer


class Engine(EngineContainer):
    """A local engine with the image store `store`, reached at `host`; all who give no `name` share one of each store.

    Its data stay in a volume when it stops, so that the base images are loaded only once; `remove` takes them away.
    """

    def __init__(self, store: str, name: str | None = None) -> None:
        super().__init__(name or f"engine-{store}", store)

    @property
    def host(self) -> str:
        """The value of DOCKER_HOST for it."""
        return f"unix://{socket_folder(self.name) / 'docker.sock'}"

    def start(self, images: tuple[bases.Image, ...] = bases.BASES, say: bases.Say = bases.say_nothing) -> "Engine":
        """Start it, if it does not run yet, and have `images` in it; returns when it answers."""
        bases.ensure([*images, bases.SERVERS["trixie"]], say)
        begun = time.monotonic()
        with machine_lock(self.container):  # several processes of tests share it: only one of them may start it
            if not self.is_running():
                self._start()
            self.start_dockerd()
            missing = [image.tag for image in images if self._recipe_of(image.tag) != bases.recipe_of(image.tag)]
            if missing:
                self.load(*missing)
        say(f"local engine with the {self.store} store up in {time.monotonic() - begun:.1f} s")
        return self

    def stop(self) -> None:
        """Stop it; its images stay for the next time."""
        docker("rm", "-fv", self.container, check=False)
        shutil.rmtree(socket_folder(self.name), ignore_errors=True)

    def remove(self) -> None:
        """Stop it and remove its images."""
        self.stop()
        docker("volume", "rm", "-f", self.container, check=False)

    def _start(self) -> None:
        self.stop()
        folder = socket_folder(self.name)
        folder.mkdir(mode=0o700, parents=True)
        docker("volume", "create", *label_args(), self.container)
        mounts = ("-v", f"{self.container}:/var/lib/docker", "-v", f"{folder}:/host")
        sockets = "unix:///var/run/docker.sock unix:///host/docker.sock"
        environment = {"STORE": self.store, "SSHD": "no", "SOCKETS": sockets}
        started = self.run_container(bases.SERVERS["trixie"].tag, *mounts, environment=environment)
        if started.returncode != 0:
            raise TestbedError(f"the local engine did not start: {started.stderr.strip()}")

    def _recipe_of(self, tag: str) -> str | None:
        found = self.exec(
            ["docker", "image", "inspect", "-f", f'{{{{index .Config.Labels "{RECIPE_LABEL}"}}}}', tag], check=False
        )
        return found.stdout.strip() if found.returncode == 0 else None
