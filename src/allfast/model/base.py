"""A base image as a registry describes it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BaseImage:
    """An image for one platform that a registry gives by its digest.

    `reference` is `name@sha256:...`. `diff_ids` are its layers (of the uncompressed tars), `blobs` the digests of the
    compressed ones in the same order, and `sizes` their bytes.
    """

    reference: str
    diff_ids: tuple[str, ...]
    blobs: tuple[str, ...]
    sizes: tuple[int, ...]

    @property
    def fetched(self) -> dict[str, int]:
        """What a pull fetches: blob -> bytes."""
        return dict(zip(self.blobs, self.sizes, strict=True))

    @property
    def compressed(self) -> dict[str, int]:
        """About what sending takes: diff id -> bytes."""
        return dict(zip(self.diff_ids, self.sizes, strict=True))
