"""Load from clients that do not retry, each answer judged by the release it names against when it was asked for.

    with Traffic(Target("127.0.0.1", 8080), named) as traffic:
        with traffic.switching("two"):
            ...  # what makes release two live
    report = traffic.report()
    assert not report.failures and not report.mixed, report

A switch happens at some instant of its block. So an answer may name any release that can have been live between the
request's start and its end, and no other; and never two.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field

from testbed.common import wait_until
from testbed.http2_client import Http2Connection
from testbed.http_client import Connection, Reply, Target, TrafficError

__all__ = ["Answer", "Failure", "Mix", "Report", "Switch", "Target", "Traffic", "judge"]

#: The releases that a body names, say ("web 1", "api 1") stripped to ("1", "1").
Named = Callable[[bytes], tuple[str, ...]]

#: How a connection is made.
Way = Callable[[Target], Awaitable[Connection | Http2Connection]]

#: What a request ends with when it is not answered as it must be.
WRONG = (OSError, EOFError, ValueError, TimeoutError, TrafficError)


@dataclass(frozen=True)
class Mix:
    """How many clients of each kind, and their pace: seconds from one request's start to the next one's.

    keep_alive: one connection each, used again · new: a connection for each request · h2: as keep_alive, over HTTP/2 ·
    slow: `slow_path` takes about 2 s · uploads: POST `upload_bytes` to `upload_path`, which answers their SHA-256 as a
    header `X-Sha256` · events: an event stream · websockets: text frames that are answered.
    """

    keep_alive: int = 8
    new: int = 2
    h2: int = 0
    slow: int = 5
    uploads: int = 1
    events: int = 1
    websockets: int = 1
    pace: float = 0.2
    upload_bytes: int = 20_000_000
    path: str = "/"
    slow_path: str = "/slow?2"
    upload_path: str = "/upload"
    events_path: str = "/events"
    websocket_path: str = "/ws"


# Times are seconds since the load began


@dataclass(frozen=True)
class Answer:
    """A good answer: which kind of client, when the request was begun and ended, whom it names."""

    client: str
    began: float
    ended: float
    names: tuple[str, ...]


@dataclass(frozen=True)
class Failure:
    """A request without a good answer."""

    client: str
    began: float
    ended: float
    reason: str


@dataclass(frozen=True)
class Switch:
    """A release became live at some instant between `began` and `ended`."""

    release: str
    began: float
    ended: float


@dataclass(frozen=True)
class Report:
    """What came of the load; `mixed` are answers of a release that was not live, in words."""

    seconds: float
    answers: Mapping[str, int]
    failures: tuple[Failure, ...]
    mixed: tuple[str, ...]
    releases: Mapping[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Good answers of all clients."""
        return sum(self.answers.values())

    def __str__(self) -> str:
        counts = ", ".join(f"{count} {client}" for client, count in sorted(self.answers.items()))
        head = f"{self.total} answers in {self.seconds:.1f} s ({self.total / max(self.seconds, 0.001):.0f}/s): {counts}"
        failed = [f"  {one.began:.3f} to {one.ended:.3f} s: {one.client}: {one.reason}" for one in self.failures[:20]]
        mixed = [f"  mixed: {one}" for one in self.mixed[:20]]
        return "\n".join([f"{head}; {len(self.failures)} failed, {len(self.mixed)} mixed", *failed, *mixed])


def judge(answers: Sequence[Answer], switches: Sequence[Switch]) -> Iterator[str]:
    """The answers that name a release which was not live at any time of theirs, or two; in words."""
    for answer in answers:
        names = set(answer.names)
        if len(names) != 1:
            yield f"{answer.client} got an answer of {len(names)} releases: {', '.join(sorted(names))}"
        elif switches and not names & _live(switches, answer.began, answer.ended):
            (name,) = names
            yield f"{answer.began:.3f} to {answer.ended:.3f} s: {answer.client} got {name!r}, which was not live"


def _live(switches: Sequence[Switch], began: float, ended: float) -> set[str]:
    """The releases that can have been live at some instant of that time."""
    ends = [*(later.ended for later in switches[1:]), float("inf")]
    return {one.release for one, end in zip(switches, ends, strict=True) if one.began <= ended and began <= end}


class Traffic:
    """Load on `target` from a thread of its own, from the start of a `with` block to its end.

    Args:
        named: the releases that the body of an answer names (an event, a frame); raises `ValueError` for a wrong body.
        live: the release that is live at the start, "" where that does not matter.
        may_end: whether an event stream or a WebSocket may be ended in good order by the server.
    """

    def __init__(
        self, target: Target, named: Named, mix: Mix | None = None, *, live: str = "", may_end: bool = False
    ) -> None:
        self._target = target
        self._named = named
        self._mix = mix or Mix()
        self._may_end = may_end
        self._answers: list[Answer] = []
        self._failures: list[Failure] = []
        self._switches = [Switch(live, float("-inf"), 0.0)] if live else []
        self._zero = 0.0
        self._ended = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> Traffic:
        self._zero = time.monotonic()
        self._thread.start()
        wait_until(self._flows, "an answer for each kind of client", 60, lambda: str(self.report()))
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._ended = self._now()

    @contextmanager
    def switching(self, release: str) -> Iterator[None]:
        """The block makes `release` live."""
        began = self._now()
        yield
        self._switches.append(Switch(release, began, self._now()))

    def wait_for(self, more: int) -> None:
        """Wait for so many more good answers. Raises `TestbedError` when they do not come."""
        wanted = len(self._answers) + more
        wait_until(lambda: len(self._answers) >= wanted, f"{more} more answers", 120, lambda: str(self.report()))

    def report(self) -> Report:
        """What came of it so far."""
        answers = list(self._answers)
        names = Counter(name for answer in answers for name in set(answer.names))
        return Report(
            self._ended or self._now(),
            Counter(answer.client for answer in answers),
            tuple(self._failures),
            tuple(judge(answers, self._switches)),
            names,
        )

    def _now(self) -> float:
        return time.monotonic() - self._zero

    def _flows(self) -> bool:
        return {answer.client for answer in self._answers} >= {name for name, count, _ in self._kinds() if count}

    def _kinds(self) -> list[tuple[str, int, Callable[[int], Awaitable[None]]]]:
        mix = self._mix
        return [
            ("keep-alive", mix.keep_alive, lambda n: self._asking("keep-alive", n, mix.path)),
            ("new", mix.new, lambda n: self._asking("new", n, mix.path, once=True)),
            ("h2", mix.h2, lambda n: self._asking("h2", n, mix.path, way=Http2Connection.open)),
            ("slow", mix.slow, lambda n: self._asking("slow", n, mix.slow_path, once=True)),
            ("upload", mix.uploads, self._uploading),
            ("events", mix.events, lambda _: self._streaming("events", lambda c: c.events(mix.events_path))),
            (
                "websocket",
                mix.websockets,
                lambda _: self._streaming("websocket", lambda c: c.frames(mix.websocket_path)),
            ),
        ]

    async def _run(self) -> None:
        await asyncio.gather(*(work(n) for _, count, work in self._kinds() for n in range(count)))

    # Kinds of clients

    async def _asking(
        self, client: str, number: int, path: str, *, once: bool = False, way: Way = Connection.open
    ) -> None:
        """GET after GET on one connection, with `once` on one for each; the first ones are spread over the pace."""
        await asyncio.sleep(self._mix.pace * (number * 0.37 % 1))
        connection: Connection | Http2Connection | None = None
        while not self._stop.is_set():
            due = time.monotonic() + self._mix.pace
            if connection is not None:
                await connection.settle()
            if connection is not None and connection.ended:  # said in good order, between two requests
                await connection.aclose()
                connection = None
            good = False
            with self._judged(client) as answered:
                connection = connection or await way(self._target)
                answered(await connection.ask("GET", path))
                good = True
            if connection is not None and (once or not good):
                await connection.aclose()
                connection = None
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        if connection is not None:
            await connection.aclose()

    async def _uploading(self, _number: int) -> None:
        """One large POST after the other, each on a connection of its own."""
        body = bytes(range(256)) * (self._mix.upload_bytes // 256)
        digest = hashlib.sha256(body).hexdigest()
        while not self._stop.is_set():
            with self._judged("upload") as answered:
                connection = await Connection.open(self._target)
                async with aclosing(connection):
                    reply = await connection.ask("POST", self._mix.upload_path, body)
                    if reply.status == 200 and reply.headers.get("x-sha256") != digest:
                        raise TrafficError("the upload arrived with another digest")
                    answered(reply)
            await asyncio.sleep(self._mix.pace)

    async def _streaming(self, client: str, follow: Callable[[Connection], AsyncIterator[bytes]]) -> None:
        """One stream after the other; all that comes in one must be of one release, and it must not end by itself."""
        while not self._stop.is_set():
            began = self._now()
            first: tuple[str, ...] = ()
            try:
                connection = await Connection.open(self._target)
                async with aclosing(connection):
                    async for message in follow(connection):
                        names = self._named(message)
                        first = first or self._answer(client, began, names)
                        if names != first:
                            raise TrafficError(f"one stream of two releases: {first} and {names}")
                        if self._stop.is_set():
                            return
                if not self._may_end:
                    raise TrafficError(f"the server ended it after {self._now() - began:.2f} s")
            except WRONG as error:
                self._failed(client, began, error)
                await asyncio.sleep(self._mix.pace)

    @contextmanager
    def _judged(self, client: str) -> Iterator[Callable[[Reply], object]]:
        """One request: the block answers it, or fails."""
        began = self._now()

        def answered(reply: Reply) -> None:
            if reply.status != 200:
                raise TrafficError(f"status {reply.status}: {reply.body[:100]!r}")
            self._answer(client, began, self._named(reply.body))

        try:
            yield answered
        except WRONG as error:
            self._failed(client, began, error)

    def _answer(self, client: str, began: float, names: tuple[str, ...]) -> tuple[str, ...]:
        self._answers.append(Answer(client, began, self._now(), names))
        return names

    def _failed(self, client: str, began: float, error: Exception) -> None:
        self._failures.append(Failure(client, began, self._now(), f"{type(error).__name__}: {error}"))
