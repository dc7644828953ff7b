"""A clean export of a commit: what builds are made from, never the working tree.

Made with a temporary index (`read-tree`, `checkout-index`), so that nothing is left in the user's .git after a crash.
Unlike `git archive` it keeps export-ignore'd files and applies every filter (line ends, LFS). Modes and times are set
so that two machines export the same: 644 or 755, folders 755, everything at the second of the commit's time.

The fraction of that second comes from a file's content. BuildKit recognises a context by the name of its folder and a
file in it by size, mode and time alone: two commits of one second (a rebase), or an extra file that changed between two
deploys of one commit, would be built from the old bytes (measured: tests/contract/test_build_context.py). Layers
keep whole seconds, so images do not show it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from allfast.errors import RefusedError, UsageError
from allfast.folders import cache_folder
from allfast.source.git import environment, failure, git, output

#: Seconds in which a new folder may not be held yet.
_YOUNG = 60.0
_PREFIX = "allfast-checkout-"  # its own: the folder can be /tmp
_LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\n"
# The person's own conversions must not decide what is in an image; .gitattributes still do.
_SETTINGS = ("-c", "core.autocrlf=false", "-c", "core.eol=lf", "-c", "core.symlinks=true")


@contextlib.contextmanager
def exported(root: Path, sha: str, *, extra: Sequence[str] = ()) -> Iterator[Path]:
    """A folder with the commit's files, removed at the end (see `checkout`)."""
    parent = _parent()
    parent.mkdir(parents=True, exist_ok=True)
    _sweep(parent)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    try:
        with _held(folder):
            checkout(root, sha, folder / "src", extra=extra)
            yield folder / "src"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(parent: Path) -> None:
    """Remove the exports of processes that were killed: they can hold files that Git ignores, with secrets in them."""
    for folder in parent.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # somebody else's, or held
            if time.time() - folder.stat().st_mtime > _YOUNG:
                with _held(folder):
                    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which ends with its process. BlockingIOError where another one holds it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def checkout(root: Path, sha: str, into: Path, *, extra: Sequence[str] = ()) -> None:
    """Export the commit `sha` of the repository at `root` into the new or empty folder `into`.

    Args:
        extra: files or folders that Git ignores but a build needs, relative to `root`; copied from the working tree.

    Raises:
        RefusedError: a submodule is missing, an LFS file is a mere pointer.
        UsageError: an extra path does not exist, leads out of the repository, or Git tracks it.
        AllfastError: git could not write a file; its own lines are the evidence.
    """
    seconds = int(output(root, "show", "-s", "--format=%ct", sha))
    blobs = _export(_Repository(root, Path(output(root, "rev-parse", "--absolute-git-dir"))), sha, into, "")
    for path in extra:
        _copy_extra(root, into, path)
    _normalise(into, seconds, blobs)


@dataclass(frozen=True, slots=True)
class _Repository:
    """A repository or submodule: its folder in the working tree, and its git dir."""

    tree: Path
    git_dir: Path


def _export(repository: _Repository, sha: str, into: Path, prefix: str) -> dict[str, str]:
    """Write one repository's files, then its submodules; `prefix` is its path in the whole export.

    Returns:
        The blob id of each file, by its path in the whole export.
    """
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="index-", dir=into.parent) as folder:
        env = environment(
            GIT_DIR=os.fspath(repository.git_dir),
            GIT_WORK_TREE=os.fspath(into),
            GIT_INDEX_FILE=os.fspath(Path(folder) / "index"),
        )
        for words in (("read-tree", sha), ("checkout-index", "--all", "--force", "--quiet")):
            result = git(into, *_SETTINGS, *words, env=env, umask=0o022)
            if result.returncode != 0:
                raise failure(
                    f"the files of commit {sha[:7]} could not be written ({prefix or 'git ' + words[0]})",
                    result,
                    hint="see git's own words above; a missing filter (Git LFS) or a full disk are the usual causes",
                )
        _refuse_pointers(into, env, prefix)
        listed = output(into, "ls-files", "-z", "--stage", env=env).split("\0")
    blobs: dict[str, str] = {}
    for head, _, path in (entry.partition("\t") for entry in listed if entry):
        mode, object_id, _ = head.split(" ")
        if mode == "160000":
            module = _submodule(repository, sha, object_id, path, prefix + path)
            blobs |= _export(module, object_id, into / path, f"{prefix}{path}/")
        else:
            blobs[prefix + path] = object_id
    return blobs


def _refuse_pointers(into: Path, env: dict[str, str], prefix: str) -> None:
    listed = output(into, "ls-files", "-z", "--", ":(attr:filter=lfs)", env=env)
    for path in filter(None, listed.split("\0")):
        file = into / path
        if file.is_file() and not file.is_symlink():
            with file.open("rb") as body:
                if body.read(len(_LFS_POINTER)) == _LFS_POINTER:
                    raise RefusedError(
                        f"{prefix}{path} is a Git LFS pointer, not the file itself",
                        hint="bring the files: git lfs install && git lfs pull",
                    )


def _submodule(parent: _Repository, sha: str, commit: str, path: str, whole: str) -> _Repository:
    """Where the objects of a submodule are: its own git dir in the working tree, else the parent's modules folder.

    A linked working tree has its own modules folder, and may find them in the main one's, too.
    """
    tree = parent.tree / path
    common = parent.git_dir / output(parent.git_dir, "rev-parse", "--git-common-dir", env=_objects(parent.git_dir))
    names = _module_names(parent, sha, path)
    candidates = [_module(folder / "modules", name, whole) for folder in (parent.git_dir, common) for name in names]
    if (tree / ".git").exists():
        candidates.insert(0, Path(os.fsdecode(git(tree, "rev-parse", "--absolute-git-dir").stdout).strip()))
    for git_dir in candidates:
        words = ("cat-file", "-e", f"{commit}^{{commit}}")
        if git_dir.is_dir() and git(git_dir, *words, env=_objects(git_dir)).returncode == 0:
            return _Repository(tree, git_dir)
    raise RefusedError(
        f"the submodule {whole} is not there at commit {commit[:7]}",
        hint="bring it: git submodule update --init --recursive",
    )


def _module(modules: Path, name: str, whole: str) -> Path:
    """The git dir of that name. It is the commit's to say, and what a git dir configures (filters) is run."""
    pure, git_dir = PurePosixPath(name), modules / name
    if pure.is_absolute() or ".." in pure.parts or not git_dir.resolve().is_relative_to(modules.resolve()):
        raise RefusedError(
            f".gitmodules: the name {name!r} of the submodule {whole} leads out of {modules}",
            hint='find out who wrote it; a usual name is the path: [submodule "path/of/it"]',
        )
    return git_dir


def _module_names(parent: _Repository, sha: str, path: str) -> tuple[str, ...]:
    """The names that the commit's .gitmodules gives to the submodule at `path`: one, normally."""
    words = ("config", "--null", f"--blob={sha}:.gitmodules", "--get-regexp", r"^submodule\..*\.path$")
    found = os.fsdecode(git(parent.git_dir, *words, env=_objects(parent.git_dir)).stdout).split("\0")
    pairs = (entry.partition("\n") for entry in found if entry)
    return tuple(
        key.removeprefix("submodule.").removesuffix(".path") for key, _, value in pairs if value.rstrip("/") == path
    )


def _objects(git_dir: Path) -> dict[str, str]:
    """The environment to read a git dir by itself: a submodule names a working tree that may be gone."""
    return environment(GIT_DIR=os.fspath(git_dir), GIT_WORK_TREE=os.fspath(git_dir))


def _copy_extra(root: Path, into: Path, path: str) -> None:
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or pure.parts[:1] in ((), (".git",)):
        raise UsageError(
            f"extra: {path} is not a path inside of the repository",
            hint="write it relative to the top of the repository",
        )
    source, copy = root / pure, into / pure
    if copy.is_symlink() or copy.exists():
        raise UsageError(
            f"extra: {path} is tracked by Git: the build has the committed one",
            hint="take it out of `extra`, or out of Git",
        )
    if not (source.is_symlink() or source.exists()):
        raise UsageError(
            f"extra: {path} does not exist in {root}",
            hint="make the file (it is one that Git ignores and the build needs), or take it out of `extra`",
        )
    copy.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir() and not source.is_symlink():
        shutil.copytree(source, copy, symlinks=True)
    else:
        shutil.copy2(source, copy, follow_symlinks=False)


def _normalise(folder: Path, seconds: int, blobs: Mapping[str, str]) -> None:
    """Set modes and times of all that is in the folder, and of the folder itself."""
    root = os.fspath(folder)
    pending = [root]
    os.chmod(folder, 0o755)  # noqa: S103, PTH101 - what Docker copies, whatever the umask is
    while pending:
        directory = pending.pop()
        with os.scandir(directory) as scan:
            for entry in scan:
                _normalise_entry(entry, seconds, blobs.get(entry.path[len(root) + 1 :]))
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
        os.utime(directory, (seconds, seconds))


def _normalise_entry(entry: os.DirEntry[str], seconds: int, blob: str | None) -> None:
    if entry.is_symlink():
        os.utime(entry.path, (seconds, seconds), follow_symlinks=False)
        return
    now = entry.stat(follow_symlinks=False).st_mode
    mode = 0o755 if stat.S_ISDIR(now) or now & stat.S_IXUSR else 0o644
    if stat.S_IMODE(now) != mode:
        os.chmod(entry.path, mode)  # noqa: PTH101 - one call a file, of thousands
    if not stat.S_ISDIR(now):
        nanoseconds = seconds * 10**9 + int(blob or _hash(entry.path), 16) % 10**9
        os.utime(entry.path, ns=(nanoseconds, nanoseconds))


def _hash(path: str) -> str:
    """What stands for the blob id of an extra file."""
    with open(path, "rb", buffering=0) as body:  # noqa: PTH123 - as os.chmod
        return hashlib.file_digest(body, "sha256").hexdigest()


def _parent() -> Path:
    """$TMPDIR where it is set, else the user's cache folder: /tmp can be small, and in memory."""
    return Path(os.environ["TMPDIR"]) if os.environ.get("TMPDIR") else cache_folder()
