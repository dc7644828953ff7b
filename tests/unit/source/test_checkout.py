"""A clean export of a commit, from real repositories."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from allfast.errors import AllfastError, RefusedError, UsageError
from allfast.source.checkout import checkout, exported
from tests.repositories import TIME, Repository, make_repository


@pytest.fixture
def app(tmp_path: Path) -> Repository:
    return make_repository(tmp_path / "app", {"web/page.tsx": "one\n", "run": "#!/bin/sh\n", ".gitignore": ".env*\n"})


def export(repository: Repository, *extra: str, into: str = "export") -> Path:
    folder = repository.path.parent / into
    checkout(repository.path, repository.head, folder, extra=extra)
    return folder


def listed(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_symlink() or not p.is_dir())


def test_the_commit_is_exported_not_the_working_tree(app: Repository) -> None:
    app.write({"web/page.tsx": "not committed", "untracked": "", "staged": ""})
    app.git("add", "staged")
    folder = export(app)
    assert listed(folder) == [".gitignore", "run", "web/page.tsx"]
    assert (folder / "web/page.tsx").read_text() == "one\n"


def test_another_commit_than_the_current_one(app: Repository) -> None:
    first = app.head
    app.commit({"web/page.tsx": "two\n", "new": ""})
    with exported(app.path, first) as folder:
        assert (folder / "web/page.tsx").read_text() == "one\n"
        assert not (folder / "new").exists()


def test_modes_and_times_are_the_same_on_every_machine(app: Repository) -> None:
    (app.path / "run").chmod(0o755)
    (app.path / "link").symlink_to("web/page.tsx")
    app.write({".env": "", ".env.d/run": ""})
    (app.path / ".env").chmod(0o600)
    (app.path / ".env.d/run").chmod(0o700)
    app.commit({})
    states = []
    for number, umask in enumerate((0o022, 0o077, 0o000)):
        before = os.umask(umask)
        try:
            folder = export(app, ".env", ".env.d", into=f"export{number}")
        finally:
            os.umask(before)
        paths = [folder, *sorted(folder.rglob("*"))]
        states.append([(str(p.relative_to(folder)), p.lstat().st_mode, p.lstat().st_mtime_ns) for p in paths])
    assert states[0] == states[1] == states[2]
    modes = {name: oct(mode)[-3:] for name, mode, _ in states[0]}
    assert {modes[n] for n in (".", "web", "run", ".env.d", ".env.d/run")} == {"755"}
    assert {modes[n] for n in (".gitignore", "web/page.tsx", ".env")} == {"644"}
    assert {time // 10**9 for *_, time in states[0]} == {TIME}


def test_the_fraction_of_the_second_tells_the_content(app: Repository) -> None:
    """See tests/contract/test_build_context.py for what goes wrong without."""
    first, folder = app.head, app.path.parent
    second = app.commit({"web/page.tsx": "two\n"})
    checkout(app.path, first, folder / "a")
    checkout(app.path, second, folder / "b")
    assert (folder / "a/web/page.tsx").stat().st_mtime_ns != (folder / "b/web/page.tsx").stat().st_mtime_ns
    assert (folder / "a/run").stat().st_mtime_ns == (folder / "b/run").stat().st_mtime_ns


def test_files_that_archives_leave_out_or_change_are_whole(app: Repository) -> None:
    app.commit(
        {".gitattributes": "secret export-ignore\nversion export-subst\n", "secret": "x", "version": "$Format:%H$"}
    )
    folder = export(app)
    assert (folder / "secret").read_text() == "x"
    assert (folder / "version").read_text() == "$Format:%H$"


def test_attributes_are_the_commits_and_settings_are_nobodys(app: Repository) -> None:
    app.commit({".gitattributes": "*.bat text eol=crlf\n*.txt text\n", "a.bat": "x\n", "a.txt": "x\n", "a.bin": "x\n"})
    app.write({".gitattributes": "* text eol=crlf\n"})  # not committed
    app.git("config", "core.autocrlf", "true")  # the person's own
    folder = export(app)
    assert (folder / "a.bat").read_bytes() == b"x\r\n"
    assert (folder / "a.txt").read_bytes() == b"x\n"
    assert (folder / "a.bin").read_bytes() == b"x\n"


def test_filters_are_applied(app: Repository) -> None:
    app.git("config", "filter.shout.smudge", "tr a-z A-Z")
    app.git("config", "filter.shout.clean", "tr A-Z a-z")
    app.commit({".gitattributes": "*.txt filter=shout\n", "a.txt": "loud\n"})
    assert (export(app) / "a.txt").read_text() == "LOUD\n"


def test_a_filter_that_fails_is_an_error_with_its_own_words(app: Repository) -> None:
    app.commit({".gitattributes": "*.txt filter=broken\n", "a.txt": "x\n"})
    app.git("config", "filter.broken.smudge", "echo the filter speaks >&2; exit 3")
    app.git("config", "filter.broken.required", "true")
    with pytest.raises(AllfastError) as raised:
        export(app)
    assert any("the filter speaks" in line for line in raised.value.evidence)


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 12345\n"


def test_an_lfs_pointer_is_refused(app: Repository) -> None:
    app.commit({"web/.gitattributes": "*.png filter=lfs -text\n", "web/logo.png": POINTER, "web/b.png": "the picture"})
    with pytest.raises(RefusedError, match=r"^web/logo\.png is a Git LFS pointer") as raised:
        export(app)
    assert "git lfs pull" in raised.value.hint


def test_a_text_about_lfs_is_no_pointer(app: Repository) -> None:
    app.commit({"docs/pointer-example.txt": POINTER})
    assert (export(app) / "docs/pointer-example.txt").read_text() == POINTER


def test_submodules_are_exported_at_their_recorded_commits(app: Repository, tmp_path: Path) -> None:
    inner = make_repository(tmp_path / "inner", {"deep.txt": "recorded\n"})
    library = make_repository(tmp_path / "library", {"lib.py": "one\n"})
    library.git("submodule", "add", "-q", str(inner.path), "third party/inner")
    library.commit({})
    app.git("submodule", "add", "-q", "--name", "a-name", str(library.path), "vendor/library")
    app.git("submodule", "update", "-q", "--init", "--recursive")
    app.commit({})
    (app.path / "vendor/library/lib.py").write_text("changed\n")
    folder = export(app)
    assert (folder / "vendor/library/lib.py").read_text() == "one\n"
    assert (folder / "vendor/library/third party/inner/deep.txt").read_text() == "recorded\n"
    assert {p.lstat().st_mtime_ns // 10**9 for p in folder.rglob("*")} == {TIME}
    assert not list(folder.rglob(".git"))
    # also from the modules folder alone, and from a linked working tree
    app.git("submodule", "deinit", "-q", "--force", "--all")
    assert listed(export(app, into="again")) == listed(folder)
    app.git("worktree", "add", "-q", "--detach", str(tmp_path / "linked"))
    linked = Repository(tmp_path / "linked")
    assert listed(export(linked, into="third")) == listed(folder)


def test_a_missing_submodule_is_refused(app: Repository, tmp_path: Path) -> None:
    library = make_repository(tmp_path / "library", {"lib.py": "one\n"})
    app.git("submodule", "add", "-q", str(library.path), "vendor/library")
    app.commit({})
    clone = Repository(tmp_path / "clone")
    app.git("clone", "-q", str(app.path), str(clone.path))
    with pytest.raises(RefusedError, match=r"^the submodule vendor/library is not there") as raised:
        export(clone)
    assert "git submodule update --init --recursive" in raised.value.hint


@pytest.mark.parametrize("name", ["{evil}", "x/../../../evil", "link"], ids=["absolute", "dots", "a link"])
def test_a_submodules_name_does_not_lead_out_of_the_modules(app: Repository, tmp_path: Path, name: str) -> None:
    """A git dir that the commit brings along would have its filters run."""
    ran = tmp_path / "ran"
    library = make_repository(tmp_path / "library", {".gitattributes": "* filter=evil\n", "lib.py": "one\n"})
    evil = app.path / "evil"
    app.git("clone", "-q", "--bare", str(library.path), str(evil))
    Repository(evil).git("config", "filter.evil.smudge", f"touch {ran}")
    (app.path / ".git/modules/x").mkdir(parents=True)
    (app.path / ".git/modules/link").symlink_to(evil)
    name = name.format(evil=evil)
    app.write({".gitmodules": f'[submodule "{name}"]\n\tpath = vendor/library\n\turl = ./evil\n'})
    app.git("update-index", "--add", "--cacheinfo", f"160000,{library.head},vendor/library")
    app.git("add", ".gitmodules")
    app.git("commit", "-q", "-m", "A submodule")
    with pytest.raises(
        RefusedError, match=r"^\.gitmodules: the name '.*' of the submodule vendor/library leads"
    ) as raised:
        export(app)
    assert "usual name" in raised.value.hint
    assert not ran.exists()


def test_odd_names(app: Repository) -> None:
    names = ["line\nend", "tab\there", "blank name ", '"quoted"', "ünïcode", "-dash", "*", "back\\slash"]
    app.commit(dict.fromkeys(names, "x"))
    assert set(names) <= set(listed(export(app)))


def test_extra_files_come_from_the_working_tree(app: Repository) -> None:
    app.write({".env": "A=1", ".env.d/b": "2", "web/.env.local": "3"})
    (app.path / ".env.link").symlink_to(".env")
    folder = export(app, ".env", ".env.d/", "web/.env.local", ".env.link")
    assert (folder / ".env").read_text() == "A=1"
    assert (folder / ".env.d/b").read_text() == "2"
    assert (folder / "web/.env.local").read_text() == "3"
    assert (folder / ".env.link").readlink() == Path(".env")


def test_a_missing_extra_file_is_refused(app: Repository) -> None:
    with pytest.raises(UsageError, match=r"^extra: \.env\.nosuch does not exist"):
        export(app, ".env.nosuch")


@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", ".git", ".git/config", ".", "web/../../x"])
def test_an_extra_path_stays_inside(app: Repository, path: str) -> None:
    with pytest.raises(UsageError, match="is not a path inside of the repository"):
        export(app, path)


def test_a_tracked_file_is_no_extra_file(app: Repository) -> None:
    with pytest.raises(UsageError, match=r"web/page\.tsx is tracked by Git"):
        export(app, "web/page.tsx")


def test_sparse_and_partial_checkouts_are_exported_whole(app: Repository) -> None:
    app.git("sparse-checkout", "set", "--no-cone", "/run")
    assert not (app.path / "web").exists()
    assert (export(app) / "web/page.tsx").read_text() == "one\n"


def test_replaced_objects_do_not_count(app: Repository) -> None:
    first = app.head
    second = app.commit({"web/page.tsx": "two\n"})
    app.git("replace", second, first)
    assert (export(app) / "web/page.tsx").read_text() == "two\n"


def test_no_hook_runs_and_nothing_is_written(app: Repository) -> None:
    for name in ("post-checkout", "post-index-change"):
        hook = app.path / ".git/hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch {app.path}/hooked\n")
        hook.chmod(0o755)
    before = {str(p): p.lstat().st_mtime_ns for p in app.path.rglob("*")}
    export(app)
    assert {str(p): p.lstat().st_mtime_ns for p in app.path.rglob("*")} == before


def test_the_folder_is_removed_also_after_an_error(
    app: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    with pytest.raises(ZeroDivisionError), exported(app.path, app.head) as folder:
        assert folder.is_relative_to(tmp_path / "tmp")
        raise ZeroDivisionError
    with pytest.raises(UsageError), exported(app.path, app.head, extra=[".env.nosuch"]):
        pass
    assert list((tmp_path / "tmp").iterdir()) == []


def test_the_users_cache_folder_without_tmpdir(
    app: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with exported(app.path, app.head) as folder:
        assert folder.is_relative_to(tmp_path / "cache/allfast")
        assert subprocess.run(["test", "-r", str(folder / "run")], check=False).returncode == 0


def test_a_cache_folder_that_is_not_absolute_is_none(
    app: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the index of layers has it, and the XDG Base Directory Specification."""
    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "cache")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with exported(app.path, app.head) as folder:
        assert folder.is_relative_to(tmp_path / "home/.cache/allfast")


def test_what_a_killed_run_left_is_removed_and_nothing_else(
    app: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "tmp"
    monkeypatch.setenv("TMPDIR", str(place))
    with exported(app.path, app.head) as mine:
        dead, young, foreign = (place / f"{name}-x" for name in ("allfast-checkout", "allfast-checkout-y", "checkout"))
        for folder in (dead, young, foreign):
            (folder / "src").mkdir(parents=True)
            (folder / "src/.env").write_text("SECRET=x")
        for folder in (dead, foreign, mine.parent):
            os.utime(folder, (TIME, TIME))
        with exported(app.path, app.head):
            assert not dead.exists()
            assert (young / "src/.env").exists()
            assert (foreign / "src/.env").exists()
            assert (mine / "web/page.tsx").exists()
