"""The user's Git repository, read by the git command line and never written.

Every call runs in an environment without the caller's GIT_DIR and the like (allfast may be called from a hook), with
replace refs, optional locks, hooks and the file-system monitor off. Names are read NUL-separated, so any name works.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from allfast.errors import AllfastError, RefusedError, UsageError
from allfast.model.release import Commit

_KEPT = ("GIT_SSH", "GIT_SSL_", "GIT_ASKPASS", "GIT_HTTP_", "GIT_PROXY_", "GIT_CONFIG_")
_DROPPED = ("GIT_CONFIG_PARAMETERS",)  # of the `git -c ...` that called us
_SETTINGS = ("core.fsmonitor=false", "core.hooksPath=/dev/null", "core.sparseCheckout=false", "log.showSignature=false")
_ASK_SECONDS = 4.0
_HINT = "see git's own words above (`git status` and `git fsck` in that folder show more), then run the command again"


def environment(**more: str) -> dict[str, str]:
    """The environment of every git call: the caller's, without what would point Git elsewhere."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith("GIT_") or (key.startswith(_KEPT) and key not in _DROPPED)
    }
    fixed = {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_NO_REPLACE_OBJECTS": "1", "GIT_TERMINAL_PROMPT": "0"}
    return {**kept, **fixed, **more}


def git(
    where: Path, *words: str, env: dict[str, str] | None = None, stdin: bytes = b"", umask: int = -1
) -> subprocess.CompletedProcess[bytes]:
    """Run git in a folder; the exit code is the caller's to judge.

    Raises:
        UsageError: there is no git.
    """
    settings = [part for setting in _SETTINGS for part in ("-c", setting)]
    try:
        return subprocess.run(
            ["git", "-C", os.fspath(where), *settings, *words],
            env=env or environment(),
            input=stdin,
            capture_output=True,
            check=False,
            umask=umask,
        )
    except FileNotFoundError:
        raise UsageError("git is not installed on this machine", hint="install git") from None


def output(where: Path, *words: str, env: dict[str, str] | None = None) -> str:
    """What git prints, without the last line end.

    Raises:
        AllfastError: git failed; its own lines are the evidence.
    """
    result = git(where, *words, env=env)
    if result.returncode != 0:
        raise failure(f"git {words[0]} failed in {where}", result, hint=_HINT)
    return os.fsdecode(result.stdout).removesuffix("\n")


def failure(message: str, result: subprocess.CompletedProcess[bytes], *, hint: str) -> AllfastError:
    """An error with git's own last lines as evidence."""
    lines = result.stderr.decode(errors="replace").splitlines()
    return AllfastError(message, hint=hint, evidence=tuple(lines[-10:]))


def _no_tree(start: Path, result: subprocess.CompletedProcess[bytes]) -> UsageError:
    return UsageError(
        f"{start} is not in a Git working tree",
        hint="run allfast in the checkout of the app; `git init` and a first commit make one",
        evidence=tuple(result.stderr.decode(errors="replace").splitlines()[-5:]),
    )


def commit(root: Path, rev: str = "HEAD", *, sha: str = "") -> Commit:
    """The commit that `rev` names, with the state of the working tree where that is its own (`HEAD`).

    Remotes are asked (at most 4 s each) when no remote-tracking branch holds the commit.

    Args:
        sha: what `rev` was resolved to already, "" where it was not.

    Raises:
        UsageError: `rev` names no commit.
        RefusedError: the repository has no commit yet.
    """
    sha = sha or resolve(root, rev)
    time, subject = _time_and_subject(root, sha)
    pushed, remote = _pushed(root, sha)
    return Commit(
        sha=sha,
        subject=subject,
        time=time,
        branch=_branch(root, rev, sha),
        # the tree is HEAD's: of another commit nothing in it could be meant
        dirty=dirty(root) if sha == resolve(root) else (),
        pushed=pushed,
        remote=remote,
    )


def _time_and_subject(root: Path, sha: str) -> tuple[int, str]:
    """When it was committed (epoch seconds), and its subject: text in UTF-8, whatever the locale is."""
    shown = git(root, "show", "-s", "--encoding=UTF-8", "--format=%ct %s", sha)
    if shown.returncode != 0:
        raise failure(f"git show failed in {root}", shown, hint=_HINT)
    time, _, subject = shown.stdout.decode("utf-8", errors="replace").removesuffix("\n").partition(" ")
    return int(time), subject


def dirty(root: Path) -> tuple[str, ...]:
    """Paths with uncommitted changes: changed, staged, untracked (a new folder is one path); submodules too."""
    words = ("status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=normal", "--ignore-submodules=none")
    return tuple(entry[3:] for entry in output(root, *words).split("\0") if entry)


def on_branch(root: Path, sha: str, branch: str) -> bool:
    """Whether the commit belongs to a branch, here or as known of a remote; so a detached CI checkout can be on it.

    Remotes are asked (at most 4 s each) for their tip when nothing known here holds the commit.
    """
    refs = [f"refs/heads/{branch}", *(f"refs/remotes/{remote}/{branch}" for remote in remotes(root))]
    if _holding(root, sha, *refs):
        return True
    return any(sha in _tips(root, remote, f"refs/heads/{branch}") for remote in remotes(root))


def remotes(root: Path) -> tuple[str, ...]:
    """The names of the remotes; `origin` first."""
    names = output(root, "remote").splitlines()
    return tuple(sorted(names, key=lambda name: (name != "origin", name)))


def resolve(root: Path, rev: str = "HEAD") -> str:
    """The full hash of the commit that `rev` names.

    Raises:
        UsageError: `rev` names no commit.
        RefusedError: the repository has no commit yet.
    """
    result = git(root, "rev-parse", "--quiet", "--verify", "--end-of-options", f"{rev}^{{commit}}")
    if result.returncode == 0:
        return result.stdout.decode().strip()
    tree = git(root, "rev-parse", "--show-toplevel")
    if tree.returncode != 0:
        raise _no_tree(root, tree)
    if git(root, "rev-parse", "--quiet", "--verify", "HEAD").returncode != 0 and rev == "HEAD":
        raise RefusedError(f"{root} has no commit yet", hint="commit the app first: git add -A && git commit")
    raise UsageError(
        f'"{rev}" names no commit in {root}',
        hint="look at `git log --oneline -5`; `git fetch` brings commits that are only on the remote",
    )


def _branch(root: Path, rev: str, sha: str) -> str:
    """The branch that `rev` names, or the current one when its tip is the commit."""
    if git(root, "show-ref", "--quiet", "--verify", f"refs/heads/{rev}").returncode == 0:
        return rev
    if output(root, "rev-parse", "--verify", "HEAD") != sha:
        return ""
    return os.fsdecode(git(root, "symbolic-ref", "--quiet", "--short", "HEAD").stdout).strip()


def _pushed(root: Path, sha: str) -> tuple[bool | None, str]:
    """Whether a remote has the commit, and the remote branch that says so (or that was compared)."""
    names = remotes(root)
    if not names:
        return None, ""
    upstream = git(root, "rev-parse", "--quiet", "--symbolic-full-name", "@{upstream}")
    compared = os.fsdecode(upstream.stdout).strip() if upstream.returncode == 0 else ""
    holding = (compared and _holding(root, sha, compared)) or _holding(root, sha, "refs/remotes/")
    if holding:
        return True, holding.removeprefix("refs/remotes/")
    for name in names:
        if sha in _tips(root, name):
            return True, name
    return False, compared.removeprefix("refs/remotes/") or names[0]


def _holding(root: Path, sha: str, *refs: str) -> str:
    """The first of the refs (or of the refs below a folder) that contains the commit, "" for none."""
    name_if_real = "--format=%(if)%(symref)%(then)%(else)%(refname)%(end)"  # origin/HEAD only points to another one
    listed = output(root, "for-each-ref", f"--contains={sha}", name_if_real, *refs)
    return next(filter(None, listed.splitlines()), "")


def _tips(root: Path, remote: str, *patterns: str) -> frozenset[str]:
    """The commits that the refs of a remote point to; none when it does not answer in time.

    Nothing is asked of the person: no terminal, no askpass window.
    """
    env = environment(GIT_ASKPASS="false", SSH_ASKPASS="false", SSH_ASKPASS_REQUIRE="never")
    with _child(["git", "-C", os.fspath(root), "ls-remote", "--quiet", "--refs", remote, *patterns], env) as child:
        try:
            listed, _ = child.communicate(timeout=_ASK_SECONDS)
        except subprocess.TimeoutExpired:
            return frozenset()
    return frozenset(line.split(b"\t")[0].decode() for line in listed.splitlines())


@contextlib.contextmanager
def _child(argv: list[str], env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process in its own session (so ssh finds no terminal to ask on), ended with all its children."""
    child = subprocess.Popen(
        argv,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield child
    finally:
        if child.poll() is None:
            os.killpg(child.pid, 9)
        with child:
            pass
