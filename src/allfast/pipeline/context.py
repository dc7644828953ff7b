"""What the stages of one run share: who and where, the server, the way to tell, and the clock of the phases."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from allfast import events
from allfast.agent import protocol
from allfast.config.answers import public_words
from allfast.config.certificate import Certificate
from allfast.config.local_reads import guard_stored
from allfast.config.model import Config, Target
from allfast.config.project import ReleaseProject, project_name
from allfast.config.secrets import closed, doubtful, of_release, structure
from allfast.engines.compose import ComposeEngine
from allfast.engines.project import ProjectEngine
from allfast.errors import AllfastError, LockLostError, RefusedError
from allfast.model.release import Release, ReleaseState, Strategy
from allfast.model.server import Container
from allfast.redact import Redactor
from allfast.remote.failures import AgentRefusal
from allfast.remote.records import StoredRelease
from allfast.remote.server import Server


@dataclass(frozen=True, slots=True)
class Project:
    """The local side: configuration, and the target that was chosen."""

    config: Config
    target_name: str

    @property
    def target(self) -> Target:
        """The chosen target's settings."""
        return self.config.target(self.target_name)

    @property
    def deployment(self) -> str:
        """The one key for Compose project, state, labels and lock."""
        return self.config.deployment(self.target_name)

    @property
    def root(self) -> Path:
        """The Git checkout."""
        return self.config.root


@dataclass(slots=True)
class Context:
    """One run against one server."""

    project: Project
    server: Server
    emit: events.Emit
    redactor: Redactor
    confirm: Callable[[str], bool] | None = None  # None: nobody can be asked
    phases: dict[str, float] = field(default_factory=dict)
    wire_bytes: int = 0
    public: set[str] = field(default_factory=set)  # values of the commit's environments that are no secrets
    run: int | None = None  # the ledger's number of this run, once it has begun
    release: str = ""  # the release that this run is about, once it has begun
    services: dict[str, dict[str, str]] = field(default_factory=dict)  # its method and reason for each service
    went_live: bool = False  # from then on no failure means that the old release serves
    began: float = field(default_factory=time.monotonic)
    locked: float = 0.0  # when this run took the lock, by `time.monotonic`
    to_switch: float | None = None  # seconds from there to where visitors got the release, once they have it
    certificate: Certificate | None = None  # the one that the proxy is to have; None: as it is
    clock_offset: float = 0.0  # seconds by which the server's clock is ahead of ours

    def set_clock(self, server: float) -> None:
        """Learn the server's clock from an answer that came just now."""
        self.clock_offset = server - time.time()

    def now(self) -> float:
        """The server's clock, epoch seconds."""
        return time.time() + self.clock_offset

    def stored(self, release: str) -> StoredRelease:
        """A release with its Compose file; what is secret in it is masked from now on, wherever it turns up.

        Raises AttentionError: the file is none that allfast has written, and dangerous for this machine.
        """
        stored = self.server.get_release(release)
        guard_stored(release, stored.compose)
        self.learn(stored)
        return stored

    def learn(self, stored: StoredRelease, names: Iterable[str] = ()) -> None:
        """Have masked what is secret in a stored release; `names` are services besides its own."""
        self.mask({*of_release(stored.compose), *stored.secrets}, {*stored.release.names, *names})

    def mask(self, values: set[str], services: Iterable[str]) -> None:
        """Have these values masked, but for what is public of the deployment with these services."""
        names = structure(self.project.deployment, services)
        words = public_words(self.project.config, self.project.target_name) | names
        self.redactor.add(closed(values, words | self.public), names=words, doubtful=doubtful(values, names))

    def releases(self) -> tuple[tuple[Release, ReleaseState], ...]:
        """Those of the ledger, the newest first; none where nothing was ever deployed."""
        try:
            return self.server.releases()
        except AgentRefusal as error:
            if error.kind == protocol.Kind.NO_STATE:
                return ()
            raise

    def canary(self) -> Release | None:
        """The release that the ledger has as the canary."""
        return next((release for release, state in self.releases() if state is ReleaseState.CANARY), None)

    @property
    def engine(self) -> ComposeEngine:
        """The engine of the base project: data services, one-shots, and the release of strategy "recreate"."""
        return self._engine(self.project.deployment, "", self._data_services)

    def engine_of(self, release: Release) -> ComposeEngine:
        """The engine of the project that a release's containers are in."""
        if release.strategy is Strategy.RECREATE:
            return self.engine
        return self._engine(project_name(self.project.deployment, release.id), release.id)

    def starter(self, project: ReleaseProject) -> ProjectEngine:
        """What starts a release in a project of its own."""
        server, release = self.server, project.release
        return ProjectEngine(
            project, server.docker_env(), server.engine, lambda: self._containers(release), server.check_lock
        )

    def _engine(self, project: str, release: str, data: Callable[[], Collection[str]] = frozenset) -> ComposeEngine:
        server = self.server
        return ComposeEngine(
            project, server.docker_env(), server.engine, lambda: self._containers(release), server.check_lock, data
        )

    def _data_services(self) -> set[str]:
        """The services that are data for one of the releases, at least."""
        return {one.name for release, _ in self.releases() for one in release.data}

    def _containers(self, release: str) -> tuple[Container, ...]:
        return tuple(container for container in self.server.containers() if container.release == release)

    @contextmanager
    def step(self, name: str, **detail: Any) -> Iterator[None]:
        """A change of the server, journaled before it is made; `detail` holds no secrets."""
        assert self.run is not None, "a change outside of a run"
        with self.server.step(name, self.redactor.value(detail)):
            yield

    def consent(self, question: str, yes: bool) -> None:
        """Ask for a go, unless it is given (`yes`) or nobody can be asked. Raises RefusedError: the person said no."""
        if not yes and self.confirm is not None and not self.confirm(question):
            raise RefusedError("not confirmed; nothing was touched", hint="run it again, or give --yes")

    def note(self, text: str, *, service: str = "") -> None:
        """Tell a person something."""
        self.emit(events.Note(text, service=service))

    def warn(self, text: str, *, service: str = "") -> None:
        """Tell a person something that may want doing."""
        self.emit(events.Note(text, "warning", service))

    @contextmanager
    def stage(self, name: str, text: str = "") -> Iterator[list[str]]:
        """One stage of the pipeline: announced, timed, recorded; the list takes the words of its end."""
        self.emit(events.StageBegan(name, text))
        began = time.monotonic()
        words: list[str] = []
        try:
            yield words
        except LockLostError:
            raise  # nothing can be written any more
        except BaseException:
            with suppress(AllfastError):  # the failure itself is what must be told, also where the ledger has one
                self._timed(name, began, failed=True)
            raise
        seconds = self._timed(name, began)
        self.emit(events.StageEnded(name, seconds, ", ".join(words)))

    def _timed(self, name: str, began: float, failed: bool = False) -> float:
        """Record how long a stage took, or how long it went until it failed; the seconds."""
        seconds = time.monotonic() - began
        self.phases[name] = self.phases.get(name, 0.0) + seconds
        if self.run is not None:
            self.server.add_phase(self.run, name, seconds, failed)
        return seconds
