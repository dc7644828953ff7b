"""Requests to an agent over a pair of pipes, from any number of threads (agent/protocol.py has the form)."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable
from typing import IO, Any

from allfast.agent import messages
from allfast.agent.protocol import BEATS_PER_SILENCE
from allfast.errors import AllfastError, LockLostError, RemoteError
from allfast.remote import greeting
from allfast.remote.call import Call, Note
from allfast.remote.failures import MALFORMED, AgentRefusal, from_agent, not_understood, result_of
from allfast.remote.outlet import Outlet


class Channel:
    """The connection to one agent. All calls raise the connection's own error once it is lost.

    `explain` says why the other end is gone, `cut` ends it for certain; both may be called from any thread.
    """

    def __init__(
        self,
        host: str,
        to_agent: IO[bytes],
        from_agent: IO[bytes],
        silence: float,
        explain: Callable[[], AllfastError],
        cut: Callable[[], None],
    ) -> None:
        self._host = host
        self._outlet = Outlet(to_agent, self._torn)
        self._source = from_agent
        self._silence = silence
        self._explain = explain
        self._cut = cut
        self._calls: dict[int, Call] = {}
        self._number = 0
        self._mutex = threading.Lock()  # of the calls, the number and the failure
        self._failure: AllfastError | None = None
        self._told = self._known = 0  # requests that were told, and of how many of them it is known what became
        self._untold: AllfastError | None = None  # the first error of one, until it is raised
        self._last = time.monotonic()
        self._closing = False
        self._hello: dict[str, Any] | None = None
        self._greeted = threading.Event()  # the agent's hello is there, or there will be none
        self._ended = threading.Event()
        self.locked = False

    def open(self, package: bytes) -> None:
        """Begin to listen; the agent is sent `package` when it asks for it. Waits for nothing: the first call does."""
        threading.Thread(target=self._listen, args=(package,), daemon=True).start()

    @property
    def hello(self) -> dict[str, Any]:
        """The agent's first words, which may have to be waited for. Raises `AllfastError`: it did not start."""
        if self._hello is None:
            self.await_hello()
        assert self._hello is not None  # or there was a failure
        return self._hello

    def await_hello(self) -> None:
        """Wait until the agent is there. Raises `AllfastError`: it did not start, or the connection is lost by now."""
        self._greeted.wait()
        self._check_connection()

    def _listen(self, package: bytes) -> None:
        watch = threading.Timer(self._silence, self._stalled)
        watch.daemon = True
        watch.start()
        greeted = self._greet(package)
        watch.cancel()
        if greeted:
            threading.Thread(target=self._beat, daemon=True).start()
            self._read()

    def _greet(self, package: bytes) -> bool:
        """Wait for the agent's hello, or the reason why there is none; whether it greeted."""
        try:
            hello = greeting.hello(self._host, self._source, lambda: self._write(package))
        except AllfastError as error:
            self._fail(error)
            return False
        if hello is None:
            self._fail(self._closed() if self._closing else self._explain())
            return False
        self._last = time.monotonic()
        self._hello = hello
        self._greeted.set()
        return True

    def call(
        self,
        request: str,
        args: dict[str, Any] | None = None,
        *,
        note: Note | None = None,
        body: IO[bytes] | None = None,
        size: int = 0,
        settle: bool = True,
    ) -> Any:
        """The result of a request; `body` is a stream of exactly `size` bytes.

        Raises `AllfastError`: its own, or else, with `settle`, that of something told before. Then it was carried out
        all the same.
        """
        call = Call(note=note)
        self.await_hello()
        with self._mutex:
            if self._failure:
                raise self._failure
            self._number += 1
            number, told = self._number, self._told
            self._calls[number] = call
        sized = {} if body is None else {"body": size}
        try:
            self._send({"id": number, "request": request, "args": args or {}, **sized}, body)
            call.done.wait()
        finally:
            with self._mutex:
                self._calls.pop(number, None)
        with self._mutex:
            if call.answer is None:
                assert self._failure is not None  # set before `done` without an answer
                raise self._failure
            if body is None:
                self._known = max(self._known, told)
        result = self._result(call.answer)
        if call.failure is not None:
            raise call.failure
        if settle:
            self.settle()
        return result

    def tell(self, request: str, args: dict[str, Any]) -> None:
        """Send a request whose answer is not awaited: it is carried out before each later one without a body.

        Where it fails, the next `call`, `tell`, `check` or `settle` raises that; until then nobody knows. Raises
        `AllfastError`: of the connection, or of something told before; then this one was sent all the same.
        """
        self.await_hello()
        self._send({"request": request, "args": args, "told": True})
        with self._mutex:
            self._told += 1
        self.check()

    def settle(self) -> None:
        """Raise the error of something told, once; the connection's where that was lost before its end was known.

        What became of all that was told before a call without a body is known when that is answered.
        """
        with self._mutex:
            failure, self._untold = self._untold, None
            if failure is None and self._known < self._told:
                failure = self._failure
        if failure:
            raise failure

    def check(self) -> None:
        """Raise the connection's error if it is lost, or that of something told."""
        self._check_connection()
        self.settle()

    def _check_connection(self) -> None:
        with self._mutex:
            if self._failure:
                raise self._failure

    def close(self) -> None:
        """Say goodbye, so that the agent ends by itself; nothing happens when the connection is lost."""
        self._closing = True
        if not self._greeted.is_set():  # nobody waits for it any more: an error here, or Ctrl-C
            self._fail(self._closed())
            self._cut()
            return
        try:
            self.call("goodbye", settle=False)
        except AllfastError:
            return
        self._fail(self._closed())

    def _closed(self) -> AllfastError:
        return RemoteError(f"the connection to {self._host} is closed", hint="run the command again")

    def post(self, request: str, args: dict[str, Any], body: bytes) -> None:
        """Send a request with a body; where it fails, that is told as of `tell`. Raises the connection's error."""
        self._check_connection()
        message = {"id": 0, "request": request, "args": args, "body": len(body)}
        self._send(message, io.BytesIO(body))

    def _result(self, answer: dict[str, Any]) -> Any:
        try:
            return result_of(self._host, answer)
        except LockLostError as error:
            raise self._fail(error) from None

    def _send(self, message: dict[str, Any], body: IO[bytes] | None = None) -> None:
        data = messages.encode(message)
        try:
            self._outlet.send(data, body)
        except (OSError, ValueError):
            # The reader sees the end too, and knows better why. Where there is none, it was the body that failed.
            if not self._ended.wait(5):
                self._torn()

    def _torn(self) -> None:
        self._fail(RemoteError(f"interrupted while something was sent to {self._host}", hint="run the command again"))
        self._cut()

    def _write(self, data: bytes) -> None:
        try:
            self._outlet.plain(data)
        except OSError:
            return  # the next read finds the end, and explains it

    def _bytes(self, size: int) -> bytes:
        try:
            return self._source.read(size)
        except (OSError, ValueError):
            return b""

    def _read(self) -> None:
        try:
            self._read_messages()
            self._fail(self._closed() if self._closing else self._explain())
        except (messages.Damaged, AllfastError, *MALFORMED) as error:
            self._fail(not_understood(self._host, error))
        if not self._closing:
            self._cut()
        self._ended.set()

    def _read_messages(self) -> None:
        reader = messages.Reader(self._bytes)
        while (message := reader.next()) is not None:
            self._last = time.monotonic()
            self._dispatch(message)

    def _dispatch(self, message: dict[str, Any]) -> None:
        if not message.get("id") and "error" in message:  # of what was told, or posted
            self._told_failed(from_agent(self._host, message["error"]))
            return
        with self._mutex:
            call = self._calls.get(message.get("id", 0))
        if call is None:
            return
        if "note" in message:
            call.hear(message["note"])
            return
        call.answer = message
        call.done.set()

    def _told_failed(self, failure: AllfastError) -> None:
        if isinstance(failure, AgentRefusal):  # whose kind would be taken for that of the call that raises it
            failure = RemoteError(failure.message, hint=failure.hint)
        with self._mutex:
            self._untold = self._untold or failure
        if isinstance(failure, LockLostError):
            self._fail(failure)

    def _beat(self) -> None:
        while not self._ended.wait(self._silence / BEATS_PER_SILENCE):
            if time.monotonic() - self._last > self._silence:
                self._stalled()
                return
            try:
                self._outlet.beat()
            except (OSError, ValueError):
                return

    def _stalled(self) -> None:
        self._fail(
            RemoteError(
                f"the connection to {self._host} stalled: no answer for {self._silence:g} s",
                hint="look at the network between here and the server, then run the command again",
            )
        )
        self._cut()

    def _fail(self, failure: AllfastError) -> AllfastError:
        """Make that the error of all calls from now on, unless there is one already; the one that counts."""
        with self._mutex:
            if self._failure is None:
                if self.locked and not isinstance(failure, LockLostError):
                    failure = LockLostError(
                        f"the lock is lost: {failure.message}", hint=failure.hint, evidence=failure.evidence
                    )
                self._failure = failure
            self._greeted.set()
            for call in self._calls.values():
                call.done.set()
            return self._failure
