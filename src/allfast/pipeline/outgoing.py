"""The images of one deploy on their way to the server: sent while others are being built, loaded when all are built.

Until then nothing on the server changes but its layer cache: a failed build leaves it as it was, and what was sent is
not sent again by the next attempt. A single image is sent when it is built: nothing could go on beside it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from typing import Never, TypeVar

from allfast.images.build import BuiltImage, image_name
from allfast.images.cargo import Cargo, Freight
from allfast.images.ship import Shipper
from allfast.images.to_cache import Sent, Stopped
from allfast.model.plan import Plan, ServicePlan, Step
from allfast.model.release import Image
from allfast.model.service import Method
from allfast.pipeline import pulled
from allfast.pipeline.building import builds
from allfast.pipeline.context import Context
from allfast.pipeline.facts import Snapshot
from allfast.pipeline.interrupts import uninterrupted

T = TypeVar("T")


def owners(plan: Plan) -> dict[str, ServicePlan]:
    """The services whose images the plan decides about, by name: not those that come from the live release."""
    services = [service for service in plan.services if service.step is not Step.REMOVE]
    return {s.owner: s for s in services if not s.from_live and s.method is not None}


def tag(context: Context, service: str, release: str) -> str:
    """The name for people that a service's image has on the server."""
    return image_name(context.project.deployment, service, release)


@contextmanager
def begun(context: Context, snapshot: Snapshot, plan: Plan, release: str) -> Iterator[Outgoing]:
    """Begin to send a plan's images, those that are reused at once. Nothing is sent any more after the block."""
    decided = owners(plan)
    reused = [
        Cargo(name, service.image)
        for name, service in decided.items()
        if service.method is Method.REUSE and not service.image_on_server
    ]
    stopped = threading.Event()
    travelling = [*(cargo.service for cargo in reused), *sorted(builds(plan).keys() & decided.keys())]
    with pulled.pulls(context, snapshot, travelling) as pulls:
        shipper = Shipper(
            context.server,
            snapshot.local,
            context.emit,
            platform=snapshot.facts.server.platform,
            tag=lambda service: tag(context, service, release),
            free_bytes=snapshot.facts.server.free_bytes,
            state_free_bytes=snapshot.facts.server.state_free_bytes,
            cache_limit=context.project.config.toml.layer_cache,
            stopped=stopped,
            pulls=pulls,
        )
        pool = ThreadPoolExecutor(1, "send") if len(travelling) > 1 else None
        outgoing = Outgoing(context, shipper, frozenset(decided), reused, pool, stopped)
        try:
            yield outgoing
        except BaseException:
            outgoing.end()
            raise
        finally:
            context.wire_bytes += shipper.wire_bytes


class Outgoing:
    """See the module. With a `pool` of one thread, what is sent is sent there, and images are offered from any thread.

    Attributes:
        trouble: fails as soon as anything fails that is done in that thread; cancel it, and nothing more is sent.
    """

    def __init__(
        self,
        context: Context,
        shipper: Shipper,
        wanted: frozenset[str],
        reused: Sequence[Cargo],
        pool: ThreadPoolExecutor | None,
        stopped: threading.Event,
    ) -> None:
        self._context = context
        self._shipper = shipper
        self._wanted = wanted
        self._pool = pool
        self._stopped = stopped
        self._mutex = threading.Lock()
        self._cargoes: list[Cargo] = []  # that wait for the end of the build
        self._sends: list[tuple[Freight, Future[Sent]]] = []
        self.trouble: Future[Never] = Future()
        self.trouble.add_done_callback(lambda _: stopped.set())
        if pool is None:
            self._cargoes += reused
        else:
            self._reused = self._beside(partial(self._offer_all, reused))

    @property
    def wire_bytes(self) -> int:
        """Bytes that have gone to the server by now."""
        return self._shipper.wire_bytes

    @property
    def sent(self) -> Mapping[str, int]:
        """Bytes that went for the image of each service that has arrived."""
        return self._shipper.sent

    def built(self, image: BuiltImage) -> None:
        """An image is built. It goes if the release has it: others are only what it was built from.

        Raises:
            RefusedError: it is for another platform, or there is not enough room on the server.
        """
        if image.service in self._wanted:
            cargo = Cargo(image.service, image.engine_id, image.config_digest)
            if self._pool is None:
                self._cargoes.append(cargo)
            else:
                self._offer(cargo)

    def arrive(self) -> dict[str, Image]:
        """All builds are done: send the rest, and load all; the images as they are on the server, by service.

        Raises:
            RefusedError: another platform, or not enough room; nothing of that image was sent.
            ShipError: an image did not arrive as it was built.
        """
        if self._pool is None:
            return dict(self._shipper.ship(self._cargoes).images)
        self._reused.result()  # all of them are offered
        try:
            images = dict(self._arrivals())
        except Stopped:  # to be loaded it had to be sent again, and what failed in the thread had ended that
            if self.trouble.done() and not self.trouble.cancelled():
                self.trouble.result()
            raise
        self._pool.shutdown()
        return images

    def _arrivals(self) -> Iterator[tuple[str, Image]]:
        for freight, sending in self._sends:
            sent = sending.result()
            yield freight.service, self._shipper.shared(freight) or self._shipper.load(freight, sent)

    def end(self) -> None:
        """End what is being sent with the batch under way, and wait for that.

        For the server `layers.GRACE` at most; for the local engine until its next bytes come.
        """
        self._stopped.set()
        if self._pool is not None:
            with uninterrupted(self._context.warn, "what is being sent is ended: a moment"):
                self._pool.shutdown(cancel_futures=True)

    def _offer_all(self, cargoes: Sequence[Cargo]) -> None:
        for cargo in cargoes:
            self._offer(cargo)

    def _offer(self, cargo: Cargo) -> None:
        freight = self._shipper.prepare(cargo)
        with self._mutex:
            same = [sending for other, sending in self._sends if other.local.engine_id == freight.local.engine_id]
            self._sends.append((freight, same[0] if same else self._beside(partial(self._send, freight))))

    def _send(self, freight: Freight) -> Sent:
        if self._stopped.is_set():
            raise Stopped
        with self._context.step("send layers", service=freight.service):
            return self._shipper.send(freight)

    def _beside(self, work: Callable[[], T]) -> Future[T]:
        assert self._pool is not None
        future = self._pool.submit(work)
        future.add_done_callback(self._look)
        return future

    def _look(self, done: Future[T]) -> None:
        """Before anything else is begun in the thread."""
        error = None if done.cancelled() else done.exception()
        if error is not None:
            with suppress(InvalidStateError):  # the first failure counts
                self.trouble.set_exception(error)
