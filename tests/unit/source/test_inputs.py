"""The inputs digest: any single change of an input changes it, and nothing else does."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allfast.errors import ConfigError
from allfast.model.service import Build, BuildInputs, FileEntry
from allfast.source.inputs import (
    build_inputs,
    declares_commit,
    taken_from_outside,
    with_digest,
)

BASES = {"node:22": "sha256:" + "1" * 64, "tools:1": "sha256:" + "2" * 64}
DOCKERFILE = "ARG MODE\nFROM node:22 AS base\nCOPY . .\nFROM base\nCOPY --from=tools:1 / /\n"
BUILD = Build(
    context="web",
    dockerfile="web/Dockerfile",
    target="",
    args=(("MODE", "production"), ("ALLFAST_COMMIT", "abc")),
    contexts=(("shared", "shared"),),
    secrets=(("npmrc", "env=NPMRC"),),
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """An export with a context, an additional one and an ignored extra file."""
    files = {
        "web/Dockerfile": DOCKERFILE,
        "web/.dockerignore": "*.log\n!kept.log\nempty/*\n",
        "web/app/page.tsx": "one",
        "web/run": "#!/bin/sh",
        "web/debug.log": "ignored",
        "web/empty/ignored": "",
        "shared/lib.ts": "shared",
        "shared/.dockerignore": "ignored\n",
        "shared/ignored": "x",
        "elsewhere": "x",
        "secrets/.env": "TOKEN=1",
    }
    root = tmp_path / "tree"
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "web/run").chmod(0o755)
    (root / "web/link").symlink_to("app")
    return root


def inputs(tree: Path, build: Build = BUILD, bases: Mapping[str, str] = BASES) -> BuildInputs:
    return build_inputs(tree, build, platform="linux/amd64", bases=bases, extra=["secrets/.env"])


def write(name: str, text: str) -> Callable[[Path], object]:
    return lambda tree: (tree / name).write_text(text)


def relink(target: str) -> Callable[[Path], None]:
    def act(tree: Path) -> None:
        (tree / "web/link").unlink()
        (tree / "web/link").symlink_to(target)

    return act


def folder_for_link(tree: Path) -> None:
    (tree / "web/link").unlink()
    shutil.copytree(tree / "web/app", tree / "web/link")


def old_times(tree: Path) -> None:
    for path in tree.rglob("*"):
        os.utime(path, (1, 1), follow_symlinks=False)


CHANGES_OF_FILES: dict[str, Callable[[Path], object]] = {
    "the body of a file": write("web/app/page.tsx", "two"),
    "a new file": write("web/app/new.tsx", ""),
    "a removed file": lambda tree: (tree / "web/run").unlink(),
    "a renamed file": lambda tree: (tree / "web/run").rename(tree / "web/walk"),
    "a file that may be executed": lambda tree: (tree / "web/app/page.tsx").chmod(0o755),
    "a file that may not": lambda tree: (tree / "web/run").chmod(0o644),
    "a link to another place": relink("run"),
    "a link that became a folder": folder_for_link,
    "an empty folder": lambda tree: (tree / "web/hollow").mkdir(),
    "a folder that is empty after the rules": lambda tree: shutil.rmtree(tree / "web/empty"),
    "an exception of the rules": write("web/kept.log", ""),
    "the ignore file, though it ignores the same": write("web/.dockerignore", "*.log\n!kept.log\nempty/*\n# note\n"),
    "an ignore file beside the Dockerfile": write("web/Dockerfile.dockerignore", "*.log\n!kept.log\nempty/*\n"),
    "the Dockerfile": write("web/Dockerfile", "FROM node:22\n"),
    "a comment of the Dockerfile": write("web/Dockerfile", DOCKERFILE + "# note\n"),
    "a file of the additional context": write("shared/lib.ts", "other"),
    "an extra file": write("secrets/.env", "TOKEN=2"),
}


@pytest.mark.parametrize("change", CHANGES_OF_FILES)
def test_a_change_of_the_files_changes_the_digest(tree: Path, change: str) -> None:
    before = inputs(tree).digest
    CHANGES_OF_FILES[change](tree)
    assert inputs(tree).digest != before


CHANGES_OF_THE_BUILD = {
    "the target": replace(BUILD, target="base"),
    "a value": replace(BUILD, args=(("MODE", "development"), ("ALLFAST_COMMIT", "abc"))),
    "an empty value": replace(BUILD, args=(("MODE", ""), ("ALLFAST_COMMIT", "abc"))),
    "a new argument": replace(BUILD, args=(*BUILD.args, ("NEW", ""))),
    "no argument": replace(BUILD, args=()),
    "the context": replace(BUILD, context="."),
    "an inline Dockerfile": replace(BUILD, dockerfile_inline="FROM node:22\nCOPY --from=tools:1 / /\n"),
    "no additional context": replace(BUILD, contexts=()),
    "another name of it": replace(BUILD, contexts=(("common", "shared"),)),
    "another secret": replace(BUILD, secrets=(("token", "env=NPMRC"),)),
    "no secret": replace(BUILD, secrets=()),
}


@pytest.mark.parametrize("change", CHANGES_OF_THE_BUILD)
def test_a_change_of_the_build_changes_the_digest(tree: Path, change: str) -> None:
    assert inputs(tree, CHANGES_OF_THE_BUILD[change]).digest != inputs(tree).digest


def test_platform_bases_and_extra_files_count(tree: Path) -> None:
    first = inputs(tree)
    other = [
        build_inputs(tree, BUILD, platform="linux/arm64", bases=BASES, extra=["secrets/.env"]),
        build_inputs(tree, BUILD, platform="linux/amd64", bases=BASES, extra=[]),
        build_inputs(tree, BUILD, platform="linux/amd64", bases=BASES, extra=["secrets/.env", "elsewhere"]),
        inputs(tree, bases={**BASES, "node:22": "sha256:" + "3" * 64}),
        inputs(tree, bases={**BASES, "tools:1": "sha256:" + "3" * 64}),
    ]
    assert len({first.digest, *(one.digest for one in other)}) == 6


NO_CHANGES: dict[str, Callable[[Path], object]] = {
    "times": old_times,
    "an ignored file": write("web/debug.log", "other"),
    "a new ignored file": write("web/error.log", ""),
    "a removed ignored file": lambda tree: (tree / "web/debug.log").unlink(),
    "an ignored file in a folder that stays empty": write("web/empty/other", "x"),
    "a file outside of the context": write("elsewhere", "other"),
    "an ignored file of the additional context": write("shared/ignored", "other"),
    "bits of a mode that Git does not know": lambda tree: (tree / "web/app/page.tsx").chmod(0o600),
}


@pytest.mark.parametrize("change", NO_CHANGES)
def test_what_is_no_input_changes_nothing(tree: Path, change: str) -> None:
    before = inputs(tree)
    NO_CHANGES[change](tree)
    assert inputs(tree) == before


def test_neither_the_commit_nor_orders_nor_places_nor_secret_values_count(tree: Path, tmp_path: Path) -> None:
    same = replace(
        BUILD,
        args=(("ALLFAST_COMMIT", "def"), ("MODE", "production")),
        secrets=(("npmrc", "src=/home/me/.npmrc"),),
    )
    shutil.copytree(tree, tmp_path / "copied", symlinks=True)
    assert inputs(tmp_path / "copied", same) == inputs(tree)


def test_the_order_of_reading_a_folder_does_not_count(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = inputs(tree)
    real = os.scandir

    class Backwards:
        def __init__(self, path: str) -> None:
            with real(path) as scan:
                self.entries = sorted(scan, key=lambda entry: entry.name, reverse=True)

        def __enter__(self) -> list[os.DirEntry[str]]:
            return self.entries

        def __exit__(self, *_: object) -> None:
            return

    monkeypatch.setattr(os, "scandir", Backwards)
    assert inputs(tree) == before


def test_values_of_arguments_are_not_kept(tree: Path) -> None:
    """They can hold what should have been a build secret, and inputs are stored with the release."""
    build = replace(BUILD, args=(("TOKEN", "hunter2-hunter2"),))
    assert "hunter2" not in repr(inputs(tree, build))


def test_hashes_are_shared_between_services(tree: Path) -> None:
    hashes: dict[str, str] = {}
    first = build_inputs(tree, BUILD, platform="linux/amd64", bases=BASES, hashes=hashes)
    assert str(tree / "web/app/page.tsx") in hashes
    assert str(tree / "web/debug.log") not in hashes
    assert build_inputs(tree, BUILD, platform="linux/amd64", bases=BASES, hashes=hashes) == first


def test_big_files_are_hashed_alike(tree: Path) -> None:
    for name in ("big1", "big2"):
        (tree / "web" / name).write_bytes(name.encode() * 400_000)
    once = {e.path: e.digest for e in inputs(tree).files}
    (tree / "web/big2").unlink()
    assert {e.path: e.digest for e in inputs(tree).files}["big1"] == once["big1"] != once["big2"]


def test_images_and_remote_folders_as_contexts(tree: Path) -> None:
    contexts = (
        ("a", "docker-image://alpine:3"),
        ("b", "https://example.com/x.git"),
        ("c", "service:api"),
        ("d", "shared"),
    )
    found = taken_from_outside(tree, replace(BUILD, contexts=contexts), platform="linux/amd64")
    assert found.images == ("alpine:3", "node:22", "tools:1")
    assert found.unhashable == ("context b is not a folder", "context c is not a folder")


def test_whether_the_dockerfile_takes_the_commit(tree: Path) -> None:
    assert not declares_commit(tree, BUILD)
    (tree / "web/Dockerfile").write_text("FROM x\nFROM y\narg ALLFAST_COMMIT=none\n")
    assert declares_commit(tree, BUILD)
    assert declares_commit(tree, replace(BUILD, dockerfile="nosuch", dockerfile_inline="ARG ALLFAST_COMMIT\nFROM x"))


def test_a_dockerfile_in_small_letters(tree: Path) -> None:
    (tree / "web/Dockerfile").rename(tree / "web/dockerfile")
    assert inputs(tree).dockerfile


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (replace(BUILD, dockerfile="web/nosuch"), "web/nosuch: the Dockerfile cannot be read"),
        (replace(BUILD, context="nosuch"), "the build context nosuch is no folder"),
        (replace(BUILD, contexts=(("x", "nosuch"),)), "the build context nosuch is no folder"),
        (replace(BUILD, target="nosuch"), 'web/Dockerfile: no stage is named "nosuch"'),
    ],
)
def test_what_is_not_in_the_commit_is_named(tree: Path, build: Build, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        inputs(tree, build)
    assert raised.value.hint


def test_a_bad_ignore_file_is_named_with_its_line(tree: Path) -> None:
    (tree / "web/.dockerignore").write_text("ok\n[\n")
    with pytest.raises(ConfigError, match=r"^web/\.dockerignore:2: "):
        inputs(tree)


TEXTS = st.text(max_size=8)
ENTRIES = st.lists(st.builds(FileEntry, TEXTS, st.sampled_from(["644", "755", "link", "dir"]), TEXTS), max_size=3)
PAIRS = st.lists(st.tuples(TEXTS, TEXTS), max_size=3)
INPUTS = st.builds(
    BuildInputs,
    digest=st.just(""),
    platform=TEXTS,
    target=TEXTS,
    args=PAIRS.map(tuple),
    dockerfile=TEXTS,
    dockerignore=TEXTS,
    bases=PAIRS.map(tuple),
    files=ENTRIES.map(tuple),
    contexts=st.lists(st.tuples(TEXTS, ENTRIES.map(tuple)), max_size=2).map(tuple),
    secrets=st.lists(TEXTS, max_size=2).map(tuple),
    extra=ENTRIES.map(tuple),
    unhashable=st.lists(TEXTS, max_size=2).map(tuple),
)


@given(INPUTS, INPUTS)
def test_digests_are_equal_only_where_inputs_are(one: BuildInputs, other: BuildInputs) -> None:
    assert (with_digest(one).digest == with_digest(other).digest) == (one == other)


@given(INPUTS, INPUTS, st.sampled_from([f.name for f in fields(BuildInputs) if f.name != "digest"]))
def test_each_field_counts(one: BuildInputs, other: BuildInputs, name: str) -> None:
    changed = replace(one, **{name: getattr(other, name)})
    assert (with_digest(one).digest == with_digest(changed).digest) == (getattr(one, name) == getattr(other, name))


def test_the_digest_of_version_1() -> None:
    """Digests are labels of images that exist: they may change only together with the version in the encoding."""
    entry = FileEntry("ü", "644", "aa")
    known = BuildInputs(
        digest="",
        platform="linux/amd64",
        target="t",
        args=(("A", "1"),),
        dockerfile="bb",
        dockerignore="",
        bases=(("x", "sha256:cc"),),
        files=(entry,),
        contexts=(("n", (entry,)),),
        secrets=("s",),
        extra=(),
        unhashable=("u",),
    )
    assert with_digest(known).digest == "d7eccd3fef572db22923f8bc078964e5fbba253145d3278bd6233c1d14d2fe5e"
