"""All errors that a person can meet: a message (cause and place), a hint (next step), an exit code.

    AllfastError            1  failed; the old release serves
    ├── UsageError          2  wrong usage or configuration
    │   └── ConfigError        allfast.toml or a Compose file, with file, line and key path
    ├── RefusedError        3  refused before anything that serves was touched (lock, preflight)
    │   └── LockHeldError      another deployer holds the lock
    ├── RemoteError         1  the server could not be reached, or did not do what was asked
    │   └── LockLostError      this process lost the lock: it may not change anything any more
    ├── BuildError          1  an image could not be built
    ├── ShipError           1  an image did not arrive
    ├── RolloutError        1  the new release did not come up; the old one serves
    ├── VerifyError         1  the new release came up, but is not what it should be; the old one serves
    └── AttentionError      4  a person must look: it says where and why

The exit codes are an interface: scripts depend on them.
"""

from __future__ import annotations

from typing import ClassVar


class AllfastError(Exception):
    """A failure that is said to a person in one message and one next step.

    Args:
        message: what failed and where, in one or a few lines; the cause first.
        hint: the next step, a sentence or a command; empty where there is none to give.
        evidence: lines that show the cause (the end of a log, a diff), oldest first.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "", evidence: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.evidence = evidence


class UsageError(AllfastError):
    """A command line or a configuration that cannot be carried out."""

    exit_code = 2


class ConfigError(UsageError):
    """A wrong `allfast.toml` or Compose file; the message starts with `file:line: key.path:` where known."""


class RefusedError(AllfastError):
    """Refused before anything that serves was touched."""

    exit_code = 3


class LockHeldError(RefusedError):
    """Another deployer holds the deployment's lock."""


class RemoteError(AllfastError):
    """The server could not be reached, or did not do what was asked."""


class LockLostError(RemoteError):
    """This process lost the lock (silence, or a cut connection) and may not change anything any more."""


class BuildError(AllfastError):
    """An image could not be built; the evidence is the failing step's last lines."""


class ShipError(AllfastError):
    """An image did not arrive as it was built."""


class RolloutError(AllfastError):
    """The new release did not come up healthy; the evidence is the container's last lines."""


class VerifyError(AllfastError):
    """The new release runs but is not what it should be; `stale` are the services that report another version."""

    def __init__(
        self, message: str, *, hint: str = "", evidence: tuple[str, ...] = (), stale: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message, hint=hint, evidence=evidence)
        self.stale = stale


class AttentionError(AllfastError):
    """A person must look: a release serves unproven, none could be brought to serve, or the state is not understood."""

    exit_code = 4


def said(cause: BaseException) -> str:
    """A failure in words: Ctrl-C, and what is no error of allfast's by its type, too."""
    if isinstance(cause, AllfastError):
        return cause.message
    return "interrupted" if isinstance(cause, KeyboardInterrupt) else f"{type(cause).__name__}: {cause}"
