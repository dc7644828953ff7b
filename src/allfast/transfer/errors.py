"""What can go wrong in a stream; the pipeline turns it into an error that names the service."""

from __future__ import annotations


class TransferError(Exception):
    """An image's stream is damaged, incomplete, or of another image than the one that was asked for.

    Args:
        message: what is wrong, with the layer or document.
        hint: the next step, where there is one.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
