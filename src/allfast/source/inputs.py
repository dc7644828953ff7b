"""The inputs digest: a hash over all that a service's image is built from, and what differs between two of them.

Digest, version 1: the SHA-256 of `allfast-inputs-1\\n` and one JSON document (ASCII, no spaces, keys sorted) with all
fields of BuildInputs but `digest`; tuples are lists, a FileEntry is `[path, mode, digest]`. JSON quotes every string,
so no two different inputs have the same document. A change of the encoding needs a new version in the first line.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os
import posixpath
import stat
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from allfast.errors import ConfigError
from allfast.model.facts import Changes
from allfast.model.service import COMMIT_ARGUMENT, Build, BuildInputs, FileEntry
from allfast.source import dockerfile, ignore
from allfast.source.needs import Needs, needs

# Files whose change means other packages. A pattern with a slash is the end of a path, one without is a file's name.
DEPENDENCY_FILES = (
    *("package.json", "package-lock.json", "npm-shrinkwrap.json", ".npmrc", "pnpm-lock.yaml", "pnpm-workspace.yaml"),
    *("yarn.lock", ".yarnrc", ".yarnrc.yml", "bun.lock", "bun.lockb", "deno.lock", ".nvmrc", ".node-version"),
    *("requirements*.txt", "requirements*.in", "requirements/*.txt", "requirements/*.in", "constraints*.txt"),
    *("pyproject.toml", "setup.py", "setup.cfg", "uv.lock", "poetry.lock", "pdm.lock", "pylock.toml", "pylock.*.toml"),
    *("Pipfile", "Pipfile.lock", "environment.yml", "environment.yaml", "conda-lock.yml", ".python-version"),
    *("go.mod", "go.sum", "go.work", "go.work.sum", "Cargo.toml", "Cargo.lock", "rust-toolchain*"),
    *("Gemfile", "Gemfile.lock", "*.gemspec", ".ruby-version", "composer.json", "composer.lock", "symfony.lock"),
    *("pom.xml", "build.gradle", "build.gradle.kts", "settings.gradle", "settings.gradle.kts", "gradle.lockfile"),
    *("gradle.properties", "libs.versions.toml", "gradle-wrapper.properties", "maven-wrapper.properties", "build.sbt"),
    *("*.csproj", "*.fsproj", "packages.lock.json", "packages.config", "Directory.Packages.props", "global.json"),
    *("mix.exs", "mix.lock", "rebar.config", "rebar.lock", "pubspec.yaml", "pubspec.lock", ".tool-versions"),
    *("Package.swift", "Package.resolved", "flake.nix", "flake.lock", "stack.yaml", "stack.yaml.lock", "*.cabal"),
)

_BIG = 1 << 20  # bytes: bodies of this size are hashed side by side
_REMOTE_CONTEXTS = ("http://", "https://", "git://", "ssh://", "git@", "oci-layout://", "service:", "target:")
_IMAGE_CONTEXT = "docker-image://"


def taken_from_outside(checkout: Path, build: Build, *, platform: str) -> Needs:
    """The images that a build refers to (to be resolved for `build_inputs`), and what cannot be hashed.

    Args:
        checkout: the export of the commit.
        platform: what the image is built for, as `linux/amd64`.

    Raises:
        ConfigError: no Dockerfile or no context there, an unknown target, a base that cannot be expanded.
    """
    contexts = dict(build.contexts)
    text, name = _dockerfile_text(checkout, build)
    parsed = dockerfile.parse(text.decode("utf-8", "replace"), name)
    found = needs(parsed, target=build.target, args=dict(build.args), platform=platform, contexts=contexts)
    images = {value.removeprefix(_IMAGE_CONTEXT) for value in contexts.values() if value.startswith(_IMAGE_CONTEXT)}
    remote = [f"context {key} is not a folder" for key, value in contexts.items() if value.startswith(_REMOTE_CONTEXTS)]
    return Needs(tuple(sorted({*found.images, *images})), (*found.unhashable, *sorted(remote)))


def declares_commit(checkout: Path, build: Build) -> bool:
    """Whether the Dockerfile declares ARG ALLFAST_COMMIT, wherever.

    Raises:
        ConfigError: no Dockerfile there, or one without a stage.
    """
    text, name = _dockerfile_text(checkout, build)
    return COMMIT_ARGUMENT in dockerfile.parse(text.decode("utf-8", "replace"), name).declared


def build_inputs(
    checkout: Path,
    build: Build,
    *,
    platform: str,
    bases: Mapping[str, str],
    extra: Sequence[str] = (),
    hashes: MutableMapping[str, str] | None = None,
) -> BuildInputs:
    """All that the image of one service is built from, with its digest.

    Values of build arguments are kept as their SHA-256 (they can hold what should have been a build secret).

    Args:
        checkout: the export of the commit (checkout.py), with the extra files in it.
        platform: what the image is built for, as `linux/amd64`.
        bases: the digest of each image of `taken_from_outside` (bases.py).
        extra: the service's listed files that Git ignores, relative to the checkout.
        hashes: file path -> SHA-256, shared between the services of one checkout so that no body is read twice.

    Raises:
        ConfigError: as `taken_from_outside`; an ignore file that Docker refuses, too.
    """
    hashes = {} if hashes is None else hashes
    outside = taken_from_outside(checkout, build, platform=platform)
    text, _ = _dockerfile_text(checkout, build)
    ignored_by, files = _context(checkout, build.context, _dockerfile_path(checkout, build), hashes)
    arguments = {key: _sha256(value.encode()) for key, value in build.args if key != COMMIT_ARGUMENT}
    return with_digest(
        BuildInputs(
            digest="",
            platform=platform,
            target=build.target,
            args=tuple(sorted(arguments.items())),
            dockerfile=_sha256(text),
            dockerignore=ignored_by,
            bases=tuple((reference, bases[reference]) for reference in outside.images),
            files=files,
            contexts=_additional_contexts(checkout, build, hashes),
            secrets=tuple(sorted(key for key, _ in build.secrets)),
            extra=_extra(checkout, extra, hashes),
            unhashable=outside.unhashable,
        )
    )


def with_digest(inputs: BuildInputs) -> BuildInputs:
    """The same inputs with their digest (64 hex digits)."""
    document = {field.name: _plain(getattr(inputs, field.name)) for field in fields(inputs) if field.name != "digest"}
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return replace(inputs, digest=_sha256(b"allfast-inputs-1\n" + text.encode("ascii")))


def changes(old: BuildInputs, new: BuildInputs, dependency_files: Iterable[str] = (), *, context: str = "") -> Changes:
    """What differs between two builds' inputs.

    Args:
        dependency_files: patterns besides DEPENDENCY_FILES.
        context: the context's path in the repository, so that a pattern can name a file by its path there.
    """
    context = posixpath.normpath(f"/{context}").lstrip("/")
    before, after = _by_path(old, context), _by_path(new, context)
    differing = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    patterns = (*DEPENDENCY_FILES, *dependency_files)
    return Changes(
        dependencies=tuple(path for path in differing if _is_dependency(path, context, patterns)),
        dockerfile=old.dockerfile != new.dockerfile,
        dockerignore=old.dockerignore != new.dockerignore,
        args=_differing(dict(old.args), dict(new.args)),
        target=old.target != new.target,
        platform=old.platform != new.platform,
        bases=_differing(dict(old.bases), dict(new.bases)),
        files=tuple(differing),
        share=min(1.0, len(differing) / max(1, len(before))),
        secrets=tuple(sorted(set(old.secrets) ^ set(new.secrets))),
    )


def _by_path(inputs: BuildInputs, context: str) -> dict[str, tuple[str, str]]:
    """Mode and digest of the entries of all contexts; those of an additional one as `name:path`.

    An extra file inside of the context is the context's file.
    """
    extra = {entry.path.removeprefix(f"{context}/"): entry for entry in inputs.extra}
    found = {**extra, **{entry.path: entry for entry in inputs.files}}
    for name, entries in inputs.contexts:
        found.update({f"{name}:{entry.path}": entry for entry in entries})
    return {path: (entry.mode, entry.digest) for path, entry in found.items()}


def _differing(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key)))


def _is_dependency(path: str, context: str, patterns: Iterable[str]) -> bool:
    path = path.rpartition(":")[2]
    name = path.rpartition("/")[2]
    whole = f"/{context}/{path}".replace("//", "/")
    return any(
        fnmatch.fnmatchcase(whole, "*/" + pattern.removeprefix("./").lstrip("/"))
        if "/" in pattern
        else fnmatch.fnmatchcase(name, pattern)
        for pattern in patterns
    )


def _dockerfile_path(checkout: Path, build: Build) -> Path | None:
    return None if build.dockerfile_inline is not None else checkout / build.dockerfile


def _dockerfile_text(checkout: Path, build: Build) -> tuple[bytes, str]:
    """The Dockerfile's bytes and its name for messages; where there is no `Dockerfile`, Docker takes `dockerfile`."""
    path = _dockerfile_path(checkout, build)
    if path is None:
        return (build.dockerfile_inline or "").encode(), "dockerfile_inline"
    if path.name == "Dockerfile" and not path.is_file():
        path = path.with_name("dockerfile") if path.with_name("dockerfile").is_file() else path
    try:
        return path.read_bytes(), build.dockerfile
    except OSError as error:
        raise ConfigError(
            f"{build.dockerfile}: the Dockerfile cannot be read in this commit: {error.strerror}",
            hint="commit it: builds come from a clean export of the commit",
        ) from None


def _context(
    checkout: Path, context: str, dockerfile_path: Path | None, hashes: MutableMapping[str, str]
) -> tuple[str, tuple[FileEntry, ...]]:
    """The SHA-256 of the ignore file in force ("" without one), and the entries that Docker copies."""
    folder = checkout / context
    if not folder.is_dir():
        raise ConfigError(
            f"the build context {context} is no folder in this commit",
            hint="commit it: builds come from a clean export of the commit",
        )
    path = ignore.ignore_file(folder, dockerfile_path)
    if path is None:
        return "", _entries(folder, ignore.IgnoreRules(), hashes)
    text = path.read_bytes()
    rules = ignore.parse(text, os.path.relpath(path, checkout))
    return _sha256(text), _entries(folder, rules, hashes)


def _additional_contexts(
    checkout: Path, build: Build, hashes: MutableMapping[str, str]
) -> tuple[tuple[str, tuple[FileEntry, ...]], ...]:
    """The entries of each additional context that is a folder; each obeys its own `.dockerignore`."""
    others = (*_REMOTE_CONTEXTS, _IMAGE_CONTEXT)
    local = sorted((name, value) for name, value in build.contexts if not value.startswith(others))
    return tuple((name, _context(checkout, value, None, hashes)[1]) for name, value in local)


def _extra(checkout: Path, paths: Sequence[str], hashes: MutableMapping[str, str]) -> tuple[FileEntry, ...]:
    """The extra files one by one, by their path in the checkout; a listed folder counts with all that is in it."""
    entries: list[FileEntry] = []
    for path in paths:
        whole = checkout / path
        if whole.is_dir() and not whole.is_symlink():
            found = _entries(whole, ignore.IgnoreRules(), hashes)
            entries += [replace(entry, path=f"{path.rstrip('/')}/{entry.path}") for entry in found]
        else:
            mode = whole.lstat().st_mode
            found_one = ignore.Found(path, "link" if stat.S_ISLNK(mode) else "file", bool(mode & stat.S_IXUSR))
            entries.append(_entry(found_one, _hashed(os.fspath(whole), found_one.kind, hashes)))
    return tuple(sorted(entries, key=lambda entry: entry.path))


def _entries(folder: Path, rules: ignore.IgnoreRules, hashes: MutableMapping[str, str]) -> tuple[FileEntry, ...]:
    """The entries of a folder that the rules leave, sorted by path."""
    found = list(rules.walk(folder))
    paths = [os.path.join(folder, entry.path) for entry in found]  # noqa: PTH118 - thousands of them
    big = [p for p, e in zip(paths, found, strict=True) if e.kind == "file" and e.size >= _BIG and p not in hashes]
    if len(big) > 1:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            hashes.update(zip(big, pool.map(_body, big), strict=True))
    entries = [_entry(e, _hashed(path, e.kind, hashes)) for path, e in zip(paths, found, strict=True)]
    return tuple(sorted(entries, key=lambda entry: entry.path))


def _entry(found: ignore.Found, digest: str) -> FileEntry:
    mode = ("755" if found.executable else "644") if found.kind == "file" else found.kind
    return FileEntry(found.path, mode, digest)


def _hashed(path: str, kind: str, hashes: MutableMapping[str, str]) -> str:
    if kind == "dir":
        return ""
    if kind == "link":
        return _sha256(os.fsencode(os.readlink(path)))  # noqa: PTH115 - the text, which need not be a path
    if path not in hashes:
        hashes[path] = _body(path)
    return hashes[path]


def _body(path: str) -> str:
    with open(path, "rb", buffering=0) as body:  # noqa: PTH123 - thousands of them
        return hashlib.file_digest(body, "sha256").hexdigest()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, FileEntry):
        return [value.path, value.mode, value.digest]
    return [_plain(item) for item in value] if isinstance(value, tuple) else value
