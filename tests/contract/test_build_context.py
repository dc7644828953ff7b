"""What the real engine copies from a build context, and what our reading of it says: they must be the same."""

from __future__ import annotations

import hashlib
import io
import re
import subprocess
import tarfile
from pathlib import Path

import pytest

from allfast.errors import ConfigError
from allfast.model.service import Build, FileEntry
from allfast.source.checkout import exported
from allfast.source.inputs import build_inputs
from tests.repositories import make_repository

CASES = Path(__file__).parent / "cases" / "dockerignore.txt"
COPY_ALL = "FROM scratch\nCOPY . /\n"
FILES = (
    *("README.md", "SETUP.md", "READMExmd", ".env", ".env.example", "^top", "*star", "!important", " #hash", "#hash"),
    *("with blank", "a+b(c).{1}|$", "déjà vu", "docs #not a comment", "docs/README.md", "docs/guide/one.md"),
    *("docs/guide/v1.0/x.md", "docs/guide/v1x0/x.md", "docs/ge/file", "web/package.json", "web/app/page.tsx"),
    *("web/app/lib/util.ts", "web/app/lib/deep/deep.ts", "web/app/deep", "web/^x", "web/[id]/page.ts", "web/i/page.ts"),
    *("web/node_modules/left/package.json", "web/node_modules/left/README.md", "web/application.ts", "web/d"),
)


def ignore_cases() -> dict[str, bytes]:
    """The ignore files of the case file, by their names."""
    cases = (case.partition("\n") for case in re.split(r"^--- ", CASES.read_text(), flags=re.MULTILINE)[1:])
    return {
        name: text.replace("\\b", "\ufeff", text.startswith("\\b")).replace("\\r\n", "\r\n").encode()
        for name, _, text in cases
    }


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up context with odd names, links (one into nowhere), an executable file and empty folders."""
    folder = tmp_path_factory.mktemp("context")
    for name in FILES:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"the body of {name}\n")
    (folder / "web/app/page.tsx").chmod(0o755)
    (folder / "link").symlink_to("README.md")
    (folder / "web/broken").symlink_to("../nowhere")
    (folder / "web/folder").symlink_to("app")
    (folder / "docs/empty").mkdir()
    (folder / "web/app/empty/below").mkdir(parents=True)
    (folder / "Dockerfile").write_text(COPY_ALL)
    return folder


def copied(context: Path, *options: str) -> list[FileEntry]:
    """What Docker copies, as the digest names it."""
    command = ["docker", "buildx", "build", "--provenance=false", "--output", "type=tar,dest=-", *options, str(context)]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        members = tar.getmembers()
        bodies = {m.name: tar.extractfile(m) for m in members if m.isreg()}
        return sorted(
            (entry(m, bodies.get(m.name)) for m in members if not (m.isdir() and has_children(m, members))),
            key=lambda e: e.path,
        )


def has_children(folder: tarfile.TarInfo, members: list[tarfile.TarInfo]) -> bool:
    prefix = folder.name.rstrip("/") + "/"
    return any(m.name.startswith(prefix) for m in members if m is not folder)


def entry(member: tarfile.TarInfo, body: object) -> FileEntry:
    path = member.name.rstrip("/")
    if member.isdir():
        return FileEntry(path, "dir", "")
    if member.issym():
        return FileEntry(path, "link", hashlib.sha256(member.linkname.encode()).hexdigest())
    assert isinstance(body, io.BufferedReader)
    return FileEntry(path, f"{member.mode & 0o777:o}", hashlib.sha256(body.read()).hexdigest())


def said(context: Path, build: Build) -> list[FileEntry]:
    return list(build_inputs(context, build, platform="linux/amd64", bases={}).files)


@pytest.mark.parametrize("case", ignore_cases())
def test_the_engine_copies_what_we_hash(context: Path, case: str) -> None:
    (context / ".dockerignore").write_bytes(ignore_cases()[case])
    assert said(context, Build(context=".", dockerfile="Dockerfile")) == copied(context)


def test_the_ignore_file_beside_the_dockerfile_stands_before_the_other(context: Path) -> None:
    (context / ".dockerignore").write_text("docs\n")
    for text in ("web\n", ""):  # an empty one, too
        (context / "Dockerfile.dockerignore").write_text(text)
        assert said(context, Build(context=".", dockerfile="Dockerfile")) == copied(context)
    (context / "Dockerfile.dockerignore").unlink()


def test_an_inline_dockerfile_has_no_ignore_file_of_its_own(context: Path) -> None:
    (context / ".dockerignore").write_text("docs\n")
    (context / "Dockerfile.dockerignore").write_text("web\n")
    command = ["docker", "buildx", "build", "--output", "type=tar,dest=-", "-f", "-", str(context)]
    done = subprocess.run(command, input=COPY_ALL.encode(), capture_output=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        names = {m.name for m in tar.getmembers() if not m.isdir()}
    build = Build(context=".", dockerfile="Dockerfile", dockerfile_inline=COPY_ALL)
    assert {e.path for e in said(context, build) if e.mode != "dir"} == names
    (context / "Dockerfile.dockerignore").unlink()


def test_an_additional_context_obeys_its_own_ignore_file(context: Path, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY --from=other . /\n")
    (tmp_path / "other").mkdir()
    for name in ("kept", "left.md", ".dockerignore"):
        (tmp_path / "other" / name).write_text("*.md\n")
    build = Build(context=".", dockerfile="Dockerfile", contexts=(("other", "other"),))
    inputs = build_inputs(tmp_path, build, platform="linux/amd64", bases={})
    assert list(inputs.contexts[0][1]) == copied(tmp_path, "--build-context", f"other={tmp_path / 'other'}")


@pytest.mark.parametrize("pattern", ["[", "a[", "[]a]", "[x-]", "[-x]", "!", "a\\", "[z-a]", "!/", "!/docs/.."])
def test_what_the_engine_refuses_is_refused(context: Path, pattern: str) -> None:
    (context / ".dockerignore").write_text(pattern + "\n")
    refused = subprocess.run(["docker", "buildx", "build", str(context)], capture_output=True, check=False)
    assert refused.returncode != 0
    with pytest.raises(ConfigError, match=r"^\.dockerignore:1: "):
        said(context, Build(context=".", dockerfile="Dockerfile"))


def built_from(repository: Path, sha: str, *extra: str) -> dict[str, bytes]:
    """The files of an image that copies the whole export of a commit."""
    with exported(repository, sha, extra=extra) as folder:
        command = ["docker", "buildx", "build", "--output", "type=tar,dest=-", str(folder)]
        done = subprocess.run(command, capture_output=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        bodies = ((m.name, tar.extractfile(m)) for m in tar.getmembers() if m.isreg())
        return {name: body.read() for name, body in bodies if body is not None}


def test_two_commits_of_one_second_are_two_builds(tmp_path: Path) -> None:
    """BuildKit tells a file by size, mode and time: with the commit's bare time it would send the old bytes again."""
    repository = make_repository(tmp_path / "app", {"Dockerfile": COPY_ALL, "page": "version 1"})
    first = repository.head
    second = repository.commit({"page": "version 2"})  # the same size, in the same second
    assert built_from(repository.path, first)["page"] == b"version 1"
    assert built_from(repository.path, second)["page"] == b"version 2"
    assert built_from(repository.path, first)["page"] == b"version 1"


def test_a_changed_extra_file_is_another_build_of_the_same_commit(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "app", {"Dockerfile": COPY_ALL, ".gitignore": ".env\n"})
    for token in ("one", "two"):
        (repository.path / ".env").write_text(f"TOKEN={token}")
        assert built_from(repository.path, repository.head, ".env")[".env"] == f"TOKEN={token}".encode()
