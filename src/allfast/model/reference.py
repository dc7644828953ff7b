"""References of images."""

from __future__ import annotations


def short(reference: str) -> str:
    """A reference without what goes without saying: the default registry, its namespace and tag."""
    return reference.removeprefix("docker.io/").removeprefix("library/").removesuffix(":latest")
