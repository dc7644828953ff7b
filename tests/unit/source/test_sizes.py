"""How large a change is."""

from __future__ import annotations

from pathlib import Path

import pytest

from allfast.model.service import Build, BuildInputs
from allfast.source.inputs import build_inputs, changes
from allfast.source.sizes import changed_size


def put(root: Path, **sizes: int) -> None:
    """Files with so many bytes; `__` is a slash, `_` a dot."""
    for name, size in sizes.items():
        path = root / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes([size % 256]) * size)


@pytest.mark.parametrize("context", ["web", ".", "./web"])
def test_what_was_added_or_changed_counts_by_its_size_of_now(tmp_path: Path, context: str) -> None:
    (tmp_path / "web").mkdir()
    (tmp_path / "web/Dockerfile").write_text("FROM scratch\n")
    build = Build(context, "web/Dockerfile", contexts=(("shared", "lib"),))
    put(tmp_path, web__same=1, web__edited=10, web__gone=7, web__listed_env=5, conf__listed=3, lib__same=1)

    def read() -> BuildInputs:
        extra = ("web/listed.env", "conf/listed")
        return build_inputs(tmp_path, build, platform="linux/amd64", bases={}, extra=extra)

    old = read()
    put(tmp_path, web__edited=1_000, web__deep__new=200, web__listed_env=50, conf__listed=30, lib__new=4)
    (tmp_path / "web/gone").unlink()
    new = read()
    found = changes(old, new, context=context)
    assert changed_size(tmp_path, build, new, found.files) == 1_000 + 200 + 50 + 30 + 4 * (2 if context == "." else 1)
    assert changed_size(tmp_path, build, new, ()) == 0
