"""The base images of one shipment that the server pulls by itself, each once for all images that are built on it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

from allfast.agent.engine import Engine, EngineError, EngineUnreachable
from allfast.events import BasePulled, Emit
from allfast.images import server_images
from allfast.images.base_pull import BasePull, Journal
from allfast.images.cargo import Freight
from allfast.images.pull_choice import Outcome, why_given_up
from allfast.images.room import Room
from allfast.model.base import BaseImage

#: Bytes of missing layers below which no registry is asked: they are sooner sent.
WORTH = 1 << 20

#: Asks a registry for `name@sha256:...` and a platform; None where it does not answer. It raises nothing.
Describe = Callable[[str, str], BaseImage | None]


class Pulls:
    """Begins pulls, and ends them; for several threads.

    Args:
        bases: service -> `name@sha256:...` of the registries' images that it may be built on.
        engine: the server's.
        describe: see `Describe`.
        journal: what each pull is journaled by.
    """

    def __init__(
        self, bases: Mapping[str, tuple[str, ...]], engine: Engine, describe: Describe, journal: Journal, emit: Emit
    ) -> None:
        self._bases = bases
        self._engine, self._describe, self._journal, self._emit = engine, describe, journal, emit
        self._mutex = threading.Lock()
        self._pool = ThreadPoolExecutor(4, "base")
        self._registries = ThreadPoolExecutor(4, "registry")  # another one: those of the first wait for it
        self._described: dict[str, Future[BaseImage | None]] = {}
        self._found: dict[str, Future[BasePull | None]] = {}  # by service
        self._pulls: dict[str, BasePull] = {}
        self._told: set[str] = set()
        self._closed = False

    def begin(self, freight: Freight, platform: str, room: Room) -> None:
        """Look which base an image is built on, and have that pulled if the server's engine lacks it."""
        references = self._bases.get(freight.service, ())
        if references and sum(freight.missing.values()) >= WORTH:
            self._found[freight.service] = self._pool.submit(self._find, references, freight, platform, room)

    def of(self, freight: Freight) -> BasePull | None:
        """The pull that may bring the first layers of an image; the registry's own time is waited for, at most."""
        finding = self._found.get(freight.service)
        try:
            return finding.result() if finding is not None else None
        except (EngineError, EngineUnreachable):
            return None  # the server's engine: whoever needs it next will tell

    def waited_for(self, pull: BasePull) -> None:
        """Nothing but this pull is under way: how far it is is told."""
        now = pull.pulling
        rate = now.rate or 0.0
        left = now.left / rate if rate else None
        self._emit(BasePulled(pull.base.reference, "pulling", now.left, rate=rate, seconds_left=left))

    def used(self, pull: BasePull, saved: int) -> None:
        """Layers of so many (compressed) bytes are not sent, because they were pulled."""
        self._tell(pull, BasePulled(pull.base.reference, "done", saved))

    def lost(self, pull: BasePull) -> None:
        """The layers were or are sent. The pull ends, where it has not ended yet."""
        pull.give_up(why_given_up(pull.pulling))
        if pull.pulling.outcome is Outcome.FAILED:
            self._tell(pull, BasePulled(pull.base.reference, "failed", cause=pull.cause))
        else:
            self._tell(pull, BasePulled(pull.base.reference, "given-up", cause=pull.reason))

    def close(self) -> tuple[str, ...]:
        """End what has not ended; the references of all that was begun, whatever became of it."""
        with self._mutex:
            self._closed = True
            pulls = tuple(self._pulls.values())
        for pool in (self._pool, self._registries):
            pool.shutdown(wait=False, cancel_futures=True)
        for pull in pulls:
            pull.give_up("the shipment has ended")
        for pull in pulls:
            pull.close()
        return tuple(pull.base.reference for pull in pulls)

    def _find(self, references: tuple[str, ...], freight: Freight, platform: str, room: Room) -> BasePull | None:
        described = [self._look_up(reference, platform) for reference in references]
        base = fitting([one for one in described if one is not None], freight)
        if base is None:
            return None
        with self._mutex:
            pull = self._pulls.get(base.reference)
            if pull is None and not self._closed and self._may_be_pulled(base, freight, room):
                pull = self._pulls[base.reference] = BasePull(base, self._engine, platform, self._journal)
                self._emit(BasePulled(base.reference, "began", sum(base.sizes[freight.have :])))
                pull.start()
            return pull

    def _look_up(self, reference: str, platform: str) -> BaseImage | None:
        with self._mutex:
            if reference not in self._described:
                self._described[reference] = self._registries.submit(self._describe, reference, platform)
        return self._described[reference].result()

    def _may_be_pulled(self, base: BaseImage, freight: Freight, room: Room) -> bool:
        """What is there under that name, for another platform say, is somebody else's, and stays as it is."""
        size = sum(freight.sizes[freight.have : len(base.diff_ids)])
        return server_images.inspect(self._engine, base.reference) is None and room.for_pull(size)

    def _tell(self, pull: BasePull, event: BasePulled) -> None:
        with self._mutex:
            first = pull.base.reference not in self._told
            self._told.add(pull.base.reference)
        if first:
            self._emit(event)


def fitting(bases: list[BaseImage], freight: Freight) -> BaseImage | None:
    """The base with whose layers an image begins, if the server's engine lacks some of them; of several the longest.

    Images that only another stage of the Dockerfile is made from, or an older base, have nothing to bring.
    """
    diff_ids = freight.local.diff_ids
    found = [base for base in bases if base.diff_ids == diff_ids[: len(base.diff_ids)]]
    best = max(found, key=lambda base: len(base.diff_ids), default=None)
    return best if best is not None and len(best.diff_ids) > freight.have else None
