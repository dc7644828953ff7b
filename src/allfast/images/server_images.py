"""Images in the server's engine: look, pull. Thin words over the Engine API."""

from __future__ import annotations

from allfast.agent.engine import Engine, EngineError, first_error
from allfast.agent.images import inspect, split_reference

__all__ = ["by_digest", "inspect", "pull", "split_reference"]


def pull(engine: Engine, reference: str, platform: str, silence: float) -> str:
    """Have the engine pull an image; why it could not, "" if it did.

    Raises `EngineUnreachable` where the engine says nothing for `silence` seconds: its registry does not answer.
    """
    name, tag = split_reference(reference)
    stream = engine.stream("POST", "/images/create", timeout=silence, fromImage=name, tag=tag, platform=platform)
    try:
        with stream as answer:
            return first_error(answer.values())
    except EngineError as error:
        return error.message


def by_digest(reference: str, digest: str) -> str:
    """The same image by its digest: `name@sha256:...`."""
    return f"{split_reference(reference)[0]}@{digest}"
