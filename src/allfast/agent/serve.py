"""The agent's loop: reads requests, answers them, and dies of the laptop's silence."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import sys
import threading
import time
import traceback
from typing import IO, Any, Callable, Dict, List, Optional

from allfast.agent import docker, messages, protocol, relay, session, state
from allfast.agent.engine import LOOK_AT_ENGINE, EngineError, EngineUnreachable
from allfast.agent.guard import Guard
from allfast.agent.protocol import AgentError, Kind
from allfast.agent.requests import REST, Context, answer

Json = Dict[str, Any]


def serve(args: Json) -> int:
    """Serve one connection to its end; the exit status. `args` come from the laptop (remote/server.py)."""
    os.umask(state.UMASK)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)  # only the end of input, silence and SIGKILL end an agent
    # A stray print must not be taken for an answer.
    output = os.dup(1)
    os.dup2(2, 1)
    wire = _Wire(os.dup(0), output, float(args["silence"]))
    try:
        engine = docker.find()
    except AgentError as error:
        wire.greet({"hello": None, "error": error.to_json()})
        return 1
    target, path = session.serving(), engine.socket
    if args.get("relay"):
        target, path = relay.start(args["relay"], engine.socket)
    guard = Guard(target)
    context = Context(args, engine, guard)
    loop = _Loop(wire, context)
    wire.watch(loop.rest)
    wire.greet({"hello": _hello(context, path)})
    wire.beat()
    goodbye = loop.run()
    loop.rest()
    if goodbye:
        context.release()
        if not args.get("relay"):
            guard.dismiss()
    return 0


def _hello(context: Context, path: str) -> Json:
    return {
        "protocol": protocol.PROTOCOL,
        "hostname": os.uname().nodename,
        "docker": path,
        "folder": str(context.folder),
    }


class _Pulse(io.RawIOBase):
    """The input, which notes when bytes came."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.last = time.monotonic()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = os.readv(self._fd, [buffer])
        self.last = time.monotonic()
        return count


class _Body(io.RawIOBase):
    """The raw bytes that follow a request."""

    def __init__(self, source: IO[bytes], size: int) -> None:
        self._source = source
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._source.read(min(len(buffer), self._left))
        if not data and self._left:
            raise AgentError(Kind.BAD_REQUEST, "the input ended within a body")
        self._left -= len(data)
        buffer[: len(data)] = data
        return len(data)


class _Wire:
    """Both directions of the connection, and the watch over the laptop's silence."""

    def __init__(self, source: int, sink: int, silence: float) -> None:
        self._pulse = _Pulse(source)
        self.input = io.BufferedReader(self._pulse, 1 << 16)
        self._sink = sink
        self._silence = silence
        self._writer = messages.Writer()
        self._mutex = threading.Lock()  # a message is packed and written under it: in one order

    def greet(self, hello: Json) -> None:
        """Send the first line; messages come after it."""
        self._write(f"{protocol.MARK}{json.dumps(hello, separators=(',', ':'))}\n".encode())

    def send(self, message: Json) -> None:
        """Send a message; after the laptop has gone there is nobody to tell."""
        data = messages.encode(message)
        with self._mutex:
            self._write(self._writer.frame(data))

    def watch(self, rest: Callable[[], None]) -> None:
        """Start the watch, which waits for `rest` before it ends this process."""
        threading.Thread(target=self._watch, args=(rest,), daemon=True).start()

    def beat(self) -> None:
        """Start our own beat."""
        threading.Thread(target=self._beat, daemon=True).start()

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        try:
            while left:
                left = left[os.write(self._sink, left) :]
        except OSError:
            return  # and so will all that comes after it

    def _watch(self, rest: Callable[[], None]) -> None:
        while True:
            left = self._pulse.last + self._silence - time.monotonic()
            if left <= 0:
                rest()
                os._exit(1)  # the guard ends the session, and only then lets the lock go
            time.sleep(left)

    def _beat(self) -> None:
        while True:
            time.sleep(self._silence / protocol.BEATS_PER_SILENCE)
            self.send({})


class _Loop:
    """Reads requests and has them answered, each in a thread of its own; in the reader's only what has a body.

    Whatever waits for a disk in the reader's thread could have the laptop taken for dead: nothing is read meanwhile.
    """

    def __init__(self, wire: _Wire, context: Context) -> None:
        self._wire = wire
        self._context = context
        self._told = threading.Event()  # all that was told so far has ended
        self._told.set()

    def run(self) -> bool:
        """Until the end of input, or of what can be understood; whether the laptop said goodbye before."""
        reader = messages.Reader(self._wire.input.read)
        while True:
            try:
                message = reader.next()
            except messages.Damaged as error:
                sys.stderr.write(f"what the laptop sent is not what it should be: {error}\n")
                return False
            if message is None:
                return False
            if message.get("request") == "goodbye":
                self._told.wait(REST)
                self._wire.send({"id": message["id"], "result": None})
                return True
            if "body" in message:
                self._with_body(message)
            elif "told" in message:
                before, self._told = self._told, threading.Event()
                threading.Thread(target=self._tell, args=(message, before, self._told), daemon=True).start()
            elif "request" in message:
                threading.Thread(target=self._answer_after, args=(message, self._told), daemon=True).start()

    def rest(self) -> None:
        """Before this process ends: wait, but not for ever, for what was told and what must not end half done."""
        self._told.wait(REST)
        self._context.rest()

    def _with_body(self, message: Json) -> None:
        body = _Body(self._wire.input, message["body"])
        self._answer(message, io.BufferedReader(body, 1 << 16))
        while body.read(1 << 16):  # what a refused request left unread
            pass

    def _tell(self, message: Json, before: threading.Event, ended: threading.Event) -> None:
        """Carry out what was told, after what was told before it."""
        before.wait()
        try:
            answer(self._context, message["request"], message["args"], lambda _: None, None)
        except Exception as error:  # noqa: BLE001 - every failure is reported, as what it is
            self._wire.send({"error": _reported(error).to_json()})
        finally:
            ended.set()

    def _answer_after(self, message: Json, told: threading.Event) -> None:
        told.wait()
        self._answer(message, None)

    def _answer(self, message: Json, body: Optional[IO[bytes]]) -> None:
        number = message["id"]

        def note(value: Json) -> None:
            self._wire.send({"id": number, "note": value})

        try:
            result = answer(self._context, message["request"], message["args"], note, body)
        except Exception as error:  # noqa: BLE001 - every failure is reported, as what it is
            self._wire.send({"id": number, "error": _reported(error).to_json()})
        else:
            self._wire.send({"id": number, "result": result})


def _reported(error: Exception) -> AgentError:
    if isinstance(error, AgentError):
        return error
    if isinstance(error, EngineError):
        text = f"the engine refused ({error.status}): {error.message}"
        return AgentError(Kind.ENGINE, text, LOOK_AT_ENGINE, error.status)
    if isinstance(error, EngineUnreachable):
        return AgentError(
            Kind.DOCKER_SILENT, f"the engine went away: {error}", "systemctl status docker, on the server"
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return protocol.disk_full(str(error))
    if isinstance(error, PermissionError):
        return AgentError(
            Kind.STATE_PERMISSION, f"the login may not use the state: {error}", "ls -l that path, as root on the server"
        )
    where: List[str] = traceback.format_tb(error.__traceback__)[-1].split("\n")
    return AgentError(
        Kind.INTERNAL, f"{type(error).__name__}: {error} ({where[0].strip()})", "this is a fault of allfast: report it"
    )
