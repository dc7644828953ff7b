"""How large the files are whose change makes another image. Not part of the inputs: a digest says all of a body."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from allfast.model.service import Build, BuildInputs


def changed_size(checkout: Path, build: Build, inputs: BuildInputs, changed: Iterable[str]) -> int:
    """Bytes of the files of these inputs that were added or changed.

    Args:
        checkout: the export of the commit that the inputs are of.
        changed: as `Changes.files` has them; those that were removed count nothing.
    """
    wanted = set(changed)
    places = {key: place for key, place in _places(build, inputs) if key in wanted}
    return sum(_size(checkout / place) for place in places.values())


def _size(file: Path) -> int:
    with suppress(OSError):  # it is told to a person, who is not to wait for it in vain
        return file.lstat().st_size
    return 0


def _places(build: Build, inputs: BuildInputs) -> Iterator[tuple[str, str]]:
    """The entries as `Changes.files` names them (inputs.py, `changes`), and where they are in the checkout."""
    context = posixpath.normpath(f"/{build.context}").lstrip("/")
    for entry in inputs.extra:
        yield entry.path.removeprefix(f"{context}/"), entry.path
    for entry in inputs.files:
        yield entry.path, os.path.join(build.context, entry.path)  # noqa: PTH118 - thousands of them
    folders = dict(build.contexts)
    for name, entries in inputs.contexts:
        for entry in entries:
            yield f"{name}:{entry.path}", os.path.join(folders[name], entry.path)  # noqa: PTH118
