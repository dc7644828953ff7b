"""What is read of a real Git repository."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from allfast.errors import RefusedError, UsageError
from allfast.source import git
from testbed.common import wait_until
from tests.repositories import TIME, Repository, make_repository


@pytest.fixture
def app(tmp_path: Path) -> Repository:
    return make_repository(tmp_path / "app", {"web/page.tsx": "one", ".gitignore": "*.log\n"})


@pytest.fixture
def remote(tmp_path: Path, app: Repository) -> Repository:
    """A bare repository that `app` knows as origin, with its first commit pushed."""
    bare = Repository(tmp_path / "remote.git")
    app.git("clone", "-q", "--bare", str(app.path), str(bare.path))
    app.git("remote", "add", "origin", str(bare.path))
    app.git("fetch", "-q", "origin")
    app.git("branch", "-q", "--set-upstream-to=origin/main")
    return bare


def test_a_commit_and_its_state(app: Repository) -> None:
    commit = git.commit(app.path)
    assert (commit.sha, commit.subject, commit.time, commit.branch) == (app.head, "First", TIME, "main")
    assert (commit.dirty, commit.pushed, commit.remote) == ((), None, "")


def test_a_subject_beyond_ascii_and_an_empty_one(app: Repository) -> None:
    app.commit({}, "Añadir 日本 %ct")
    assert git.commit(app.path).subject == "Añadir 日本 %ct"
    app.git("commit", "--allow-empty", "--allow-empty-message", "-m", "")
    assert git.commit(app.path).subject == ""


def test_a_subject_is_text_in_any_locale_and_whatever_its_bytes_are(app: Repository) -> None:
    app.commit({}, "Añadir")
    program = "import sys, pathlib; from allfast.source import git; print(ascii(git.commit(pathlib.Path('.')).subject))"
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    told = subprocess.check_output([sys.executable, "-c", program], cwd=app.path, env={**os.environ, **plain})
    assert told == b"'A\\xf1adir'\n"

    raw = subprocess.check_output(["git", "cat-file", "commit", "HEAD"], cwd=app.path)
    write = ["git", "hash-object", "-t", "commit", "-w", "--stdin"]
    other = subprocess.check_output(write, cwd=app.path, input=raw.replace("ñ".encode(), b"\xff")).decode().strip()
    assert git.commit(app.path, other).subject == "A\N{REPLACEMENT CHARACTER}adir"


@pytest.mark.parametrize("rev", ["HEAD", "main", "main~0", "@"])
def test_a_revision_by_any_name(app: Repository, rev: str) -> None:
    assert git.commit(app.path, rev).sha == app.head


@pytest.mark.parametrize("rev", ["nosuch", "--help", "HEAD:web/page.tsx", "HEAD~9", "", "main..HEAD"])
def test_an_unknown_revision_is_wrong_usage(app: Repository, rev: str) -> None:
    with pytest.raises(UsageError, match="names no commit") as raised:
        git.commit(app.path, rev)
    assert raised.value.exit_code == 2
    assert raised.value.hint


def test_a_repository_without_a_commit_is_refused(tmp_path: Path) -> None:
    empty = make_repository(tmp_path / "empty", {})
    with pytest.raises(RefusedError, match="has no commit yet") as raised:
        git.commit(empty.path)
    assert "git commit" in raised.value.hint


def test_a_folder_without_git_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not in a Git working tree"):
        git.commit(tmp_path)


def test_all_that_is_not_committed_is_named(app: Repository) -> None:
    app.commit({"staged": "", "removed": "", "moved from": ""})
    app.write({"web/page.tsx": "two", "staged": "x", "new file\nwith a line end": "", "folder/new": "", "a.log": ""})
    app.git("add", "staged")
    app.git("rm", "-q", "removed")
    app.git("mv", "moved from", "moved to")
    (app.path / "ünïcode").touch()
    assert sorted(git.dirty(app.path)) == sorted(
        [
            "web/page.tsx",
            "staged",
            "removed",
            "moved from",
            "moved to",
            "new file\nwith a line end",
            "folder/",
            "ünïcode",
        ]
    )


def test_the_tree_does_not_matter_for_another_commit_than_its_own(app: Repository) -> None:
    old = app.head
    app.commit({"web/page.tsx": "two"})
    app.write({"web/page.tsx": "three"})
    assert git.commit(app.path, old).dirty == ()
    assert git.commit(app.path, "main").dirty == ("web/page.tsx",)


def test_a_changed_submodule_is_dirty(app: Repository, tmp_path: Path) -> None:
    library = make_repository(tmp_path / "library", {"lib.py": "one"})
    app.git("submodule", "add", "-q", str(library.path), "vendor/library")
    app.commit({})
    assert git.dirty(app.path) == ()
    (app.path / "vendor/library/lib.py").write_text("two")
    assert git.dirty(app.path) == ("vendor/library",)


def test_pushed_when_a_remote_branch_has_it(app: Repository, remote: Repository) -> None:
    commit = git.commit(app.path)
    assert (commit.pushed, commit.remote) == (True, "origin/main")
    app.commit({"web/page.tsx": "two"})
    commit = git.commit(app.path)
    assert (commit.pushed, commit.remote) == (False, "origin/main")
    app.git("push", "-q", "origin", "main")
    assert git.commit(app.path).pushed is True


def test_pushed_to_another_branch_than_the_upstream(app: Repository, remote: Repository) -> None:
    app.commit({"web/page.tsx": "two"})
    app.git("push", "-q", "origin", "main:refs/heads/feature")
    commit = git.commit(app.path)
    assert (commit.pushed, commit.remote) == (True, "origin/feature")


def test_the_remote_is_asked_where_nothing_here_knows(app: Repository, remote: Repository) -> None:
    app.commit({"web/page.tsx": "two"})
    app.git("push", "-q", str(remote.path), "main")  # by its path: origin/main here stays behind
    assert app.git("branch", "-r", "--contains", app.head) == ""
    assert git.commit(app.path).pushed is True


def test_a_remote_that_does_not_answer_is_no_error(app: Repository, tmp_path: Path) -> None:
    app.git("remote", "add", "origin", str(tmp_path / "nowhere"))
    commit = git.commit(app.path)
    assert (commit.pushed, commit.remote) == (False, "origin")


def test_a_remote_that_hangs_is_left_after_the_time_limit(
    app: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ssh").write_text("#!/bin/sh\necho $$ >> " + str(tmp_path / "pid") + "\nexec sleep 600\n")
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(tmp_path / "ssh"))
    monkeypatch.setattr(git, "_ASK_SECONDS", 3.0)  # in which it has begun, also on a busy machine
    app.git("remote", "add", "origin", "ssh://example.invalid/app.git")
    assert git.commit(app.path).pushed is False
    pid = int((tmp_path / "pid").read_text().split()[0])
    wait_until(lambda: not _runs(pid), "the end of what hangs", 20)


def _runs(pid: int) -> bool:
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False


def test_a_detached_checkout_of_a_pushed_commit_is_on_its_branch(app: Repository, remote: Repository) -> None:
    first = app.head
    app.commit({"web/page.tsx": "two"})
    app.git("push", "-q", "origin", "main")
    ci = Repository(app.path.parent / "ci")
    app.git("clone", "-q", "--depth=1", "--no-single-branch", f"file://{remote.path}", str(ci.path))
    ci.git("checkout", "-q", "--detach", "HEAD")
    ci.git("branch", "-q", "-D", "main")
    commit = git.commit(ci.path)
    assert (commit.branch, commit.pushed, commit.remote) == ("", True, "origin/main")
    assert git.on_branch(ci.path, commit.sha, "main")
    assert not git.on_branch(ci.path, commit.sha, "release")
    assert git.on_branch(app.path, first, "main")


def test_a_ci_checkout_without_remote_branches_asks_the_remote(app: Repository, remote: Repository) -> None:
    ci = make_repository(app.path.parent / "ci", {})
    ci.git("remote", "add", "origin", str(remote.path))
    ci.git("fetch", "-q", "--depth=1", f"file://{remote.path}", app.head)
    ci.git("checkout", "-q", "--detach", "FETCH_HEAD")
    assert git.on_branch(ci.path, app.head, "main")
    assert git.commit(ci.path).pushed is True


def test_a_commit_of_another_branch_is_not_on_this_one(app: Repository) -> None:
    app.git("checkout", "-q", "-b", "feature")
    sha = app.commit({"web/page.tsx": "two"})
    assert git.on_branch(app.path, sha, "feature")
    assert not git.on_branch(app.path, sha, "main")
    assert git.commit(app.path, "main").branch == "main"
    assert git.commit(app.path, "feature~1").branch == ""


def test_the_callers_environment_points_nowhere_else(
    app: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a Git hook, where GIT_DIR and GIT_INDEX_FILE are set."""
    other = make_repository(tmp_path / "other", {"x": ""})
    monkeypatch.setenv("GIT_DIR", str(other.path / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other.path))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    monkeypatch.setenv("GIT_CONFIG_PARAMETERS", "'core.bare'='true'")
    head = (app.path / ".git/refs/heads/main").read_text().strip()
    assert git.commit(app.path).sha == head
    assert git.commit(app.path).dirty == ()


def test_nothing_is_written_to_the_repository(app: Repository, remote: Repository) -> None:
    os.utime(app.path / "web/page.tsx", (1, 1))  # Git would like to refresh its index now
    before = _state(app.path / ".git")
    git.commit(app.path)
    git.on_branch(app.path, app.head, "nosuch")
    assert _state(app.path / ".git") == before


def _state(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(p): (p.stat().st_mtime_ns, p.stat().st_size) for p in folder.rglob("*")}
