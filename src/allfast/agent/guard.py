"""The guard: a process that outlives the agent for a moment, to end the session before the lock is free.

It is forked at the start, holds a second handle of each lock's file as soon as there is one, and waits. However the
agent ends (silence of the laptop, end of input, a crash, SIGKILL), the guard first ends the session, so that nothing
the laptop sends can reach the engine any more, and then ends itself, which frees the flocks.
"""

from __future__ import annotations

import os
import signal
import socket
from typing import List, Optional

from allfast.agent import session

_LOCK = b"L"
_UNLOCK = b"U"
_DISMISS = b"D"


class Guard:
    """The agent's end of it."""

    def __init__(self, target: Optional[session.Process]) -> None:
        """Fork the guard of `target`; call it before any thread is started."""
        self.target = target
        self._ours, theirs = socket.socketpair()
        if os.fork() == 0:
            self._ours.close()
            _watch(theirs, target)
        theirs.close()

    def hold(self, lock: int) -> None:
        """Give it a handle of the locked file `lock` (a descriptor); returns when it has it."""
        socket.send_fds(self._ours, [_LOCK], [lock])
        self._confirm()

    def release(self) -> None:
        """Take back the handle that it was given last: that lock is given up on purpose."""
        self._ours.sendall(_UNLOCK)
        self._confirm()

    def dismiss(self) -> None:
        """End it without ending the session: the laptop has said goodbye."""
        self._ours.sendall(_DISMISS)
        self._confirm()

    def _confirm(self) -> None:
        if not self._ours.recv(1):
            raise RuntimeError("the agent's guard is gone")


def _watch(control: socket.socket, target: Optional[session.Process]) -> None:
    """The guard's whole life; never returns."""
    status = 1
    try:
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)
        _close_inherited(control.fileno())
        dismissed = _serve(control)
        if target is not None and not dismissed:
            session.end(target)
        status = 0
    finally:
        os._exit(status)


def _close_inherited(keep: int) -> None:
    # With the agent's input and output open here, sshd would not see that the agent has ended.
    null = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        os.dup2(null, fd)
    os.closerange(3, keep)
    os.closerange(keep + 1, 256)


def _serve(control: socket.socket) -> bool:
    """Take orders until the agent is gone; whether it was dismissed before."""
    locks: List[int] = []
    while True:
        order, fds, _, _ = socket.recv_fds(control, 1, 1)
        if not order:
            return False  # `locks` stay open until this process ends
        if order == _LOCK:
            locks += fds
        elif order == _UNLOCK:
            os.close(locks.pop())
        control.sendall(order)
        if order == _DISMISS:
            return True
