"""What counts as which change between two inputs, and which files are dependency files."""

from __future__ import annotations

from dataclasses import replace

import pytest

from allfast.model.facts import Changes
from allfast.model.service import BuildInputs, FileEntry
from allfast.source.inputs import changes


def listing(**digests: str) -> tuple[FileEntry, ...]:
    return tuple(FileEntry(path.replace("__", "/"), "644", digest) for path, digest in sorted(digests.items()))


EMPTY = BuildInputs("", "linux/amd64", "", (), "d", "i", (), ())


def test_no_changes() -> None:
    assert changes(EMPTY, EMPTY) == Changes()


def test_each_kind_of_change() -> None:
    old = replace(EMPTY, args=(("A", "1"), ("B", "1")), bases=(("x", "1"), ("y", "1")), secrets=("s",))
    new = replace(
        old,
        platform="linux/arm64",
        target="t",
        args=(("A", "2"), ("C", "1")),
        dockerfile="e",
        dockerignore="",
        bases=(("x", "2"), ("y", "1")),
        secrets=("s", "t"),
    )
    assert changes(old, new) == Changes(
        dockerfile=True,
        dockerignore=True,
        args=("A", "B", "C"),
        target=True,
        platform=True,
        bases=("x",),
        secrets=("t",),
    )


def test_files_that_were_added_removed_or_changed() -> None:
    old = replace(EMPTY, files=listing(same="1", changed="1", removed="1", mode="1"))
    new = replace(EMPTY, files=listing(same="1", changed="2", added="1", mode="1"))
    new = replace(new, files=tuple(replace(e, mode="755") if e.path == "mode" else e for e in new.files))
    found = changes(old, new)
    assert found.files == ("added", "changed", "mode", "removed")
    assert found.share == 1.0
    assert changes(new, new).share == 0.0
    assert changes(EMPTY, new).share == 1.0


def test_extra_files_and_additional_contexts_count_once() -> None:
    old = replace(EMPTY, extra=(FileEntry("web/.env", "644", "1"),), files=(FileEntry(".env", "644", "1"),))
    new = replace(EMPTY, extra=(FileEntry("web/.env", "644", "2"),), files=(FileEntry(".env", "644", "2"),))
    assert changes(old, new, context="web").files == (".env",)
    assert changes(old, new, context="./web/").files == (".env",)
    old = replace(EMPTY, contexts=(("lib", listing(a="1")),))
    new = replace(EMPTY, contexts=(("lib", listing(a="2")),), extra=(FileEntry("b", "644", "1"),))
    assert changes(old, new).files == ("b", "lib:a")


DEPENDENCIES = [
    *("package.json", "web/package-lock.json", "a/b/c/pnpm-lock.yaml", "requirements.txt", "requirements-dev.txt"),
    *("requirements/base.txt", "api/requirements/base.txt", "pyproject.toml", "uv.lock", "go.sum", "Cargo.lock"),
    *("Gemfile.lock", "composer.lock", "pom.xml", "src/App.csproj", "gradle/libs.versions.toml", "bun.lock"),
]
NO_DEPENDENCIES = [
    *("my-package.json", "package.json.md", "packages/index.ts", "docs/requirements.md", "requirements/readme.md"),
    *("xrequirements/base.txt", "go.modx", "Package.JSON", "src/uv.lock.ts"),
]


@pytest.mark.parametrize("path", DEPENDENCIES)
def test_a_dependency_file(path: str) -> None:
    assert changes(EMPTY, replace(EMPTY, files=(FileEntry(path, "644", "1"),))).dependencies == (path,)


@pytest.mark.parametrize("path", NO_DEPENDENCIES)
def test_no_dependency_file(path: str) -> None:
    assert changes(EMPTY, replace(EMPTY, files=(FileEntry(path, "644", "1"),))).dependencies == ()


@pytest.mark.parametrize(
    ("pattern", "context", "path", "is_one"),
    [
        ("vendor/lock.json", ".", "vendor/lock.json", True),
        ("vendor/lock.json", ".", "web/vendor/lock.json", True),
        ("web/vendor/lock.json", "web", "vendor/lock.json", True),
        ("web/vendor/lock.json", "./web", "vendor/lock.json", True),
        ("vendor/lock.json", ".", "myvendor/lock.json", False),
        ("*.deps", ".hidden", "a/b.deps", True),
        (".hidden/x", ".hidden", "x", True),
        ("/web/x", "web", "x", True),
    ],
)
def test_the_projects_own_dependency_files(pattern: str, context: str, path: str, is_one: bool) -> None:
    new = replace(EMPTY, files=(FileEntry(path, "644", "1"),))
    assert bool(changes(EMPTY, new, [pattern], context=context).dependencies) is is_one


def test_a_dependency_file_of_an_additional_context() -> None:
    new = replace(EMPTY, contexts=(("lib", listing(**{"package.json": "1"})),))
    assert changes(EMPTY, new).dependencies == ("lib:package.json",)
