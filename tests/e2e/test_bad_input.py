"""Bad input: one calm message with the cause, the place and the next step, the right exit code, an untouched server."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from testbed import trouble
from testbed.common import run
from testbed.server import Server
from testbed.tiny_app import GIT_ENV, TinyApp, make_repo_for
from tests.e2e.conftest import file_of, forget_builds
from tests.e2e.harness import Cli, Outcome

pytestmark = pytest.mark.e2e

#: A traceback, the repr of a value or of an exception, a module's path.
PYTHON = re.compile(r"Traceback|Error\(|Exception|\bNone\b|<[a-z_.]+ object|PosixPath|allfast/\w+\.py|\{'|\['|b'|\\n")


@dataclass(frozen=True)
class Case:
    """A mistake: how it is made in a checkout, the command, and what a person must read about it."""

    argv: tuple[str, ...]
    code: int
    cause: str  # patterns, each in the message or its evidence
    hint: str
    make: Callable[[TinyApp], None] = lambda app: None
    ssh: str = ""  # lines of the ssh configuration that stand before the server's
    variables: Mapping[str, str] = field(default_factory=dict)  # of the command's environment
    trouble: Callable[[Server], AbstractContextManager[None]] = field(default=lambda server: nullcontext())


@dataclass(frozen=True)
class Ground:
    """The deployed app, its server, and a place for one more checkout."""

    app: TinyApp
    server: Server
    cache: Path


@pytest.fixture(scope="module")
def ground(
    request: pytest.FixtureRequest, machine: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ground]:
    name = f"tiny-{file_of(request)}"
    forget_builds(name)
    app = make_repo_for(machine, tmp_path_factory.mktemp("app") / "app")
    app.write("allfast.toml", (app.path / "allfast.toml").read_text().replace('app = "tiny"', f'app = "{name}"'))
    app.commit("Name it")
    one = Ground(app, machine, tmp_path_factory.mktemp("cache"))
    Cli(app.path, machine, one.cache).deploy()
    yield one


def checkout(ground: Ground, path: Path) -> TinyApp:
    """A colleague's checkout of what is deployed."""
    run(["git", "clone", "--quiet", str(ground.app.remote), path], env=GIT_ENV)
    app = TinyApp(path, ground.app.remote)
    for key, value in (("user.name", "Tiny"), ("user.email", "tiny@example.org"), ("commit.gpgsign", "false")):
        app.git("config", key, value)
    return app


def replaced(name: str, old: str, new: str, *, commit: bool = False) -> Callable[[TinyApp], None]:
    def make(app: TinyApp) -> None:
        text = (app.path / name).read_text()
        assert old in text
        app.write(name, text.replace(old, new))
        if commit:
            app.commit("A mistake", push=False)

    return make


def no_repository(app: TinyApp) -> None:
    shutil.rmtree(app.path / ".git")


def dirty(app: TinyApp) -> None:
    app.set("web", "TEXT", "not committed")


def unpushed(app: TinyApp) -> None:
    app.say("web", "not pushed", push=False)


def other_branch(app: TinyApp) -> None:
    app.git("switch", "--quiet", "-c", "feature")
    app.say("web", "of a feature")


def broken_build(app: TinyApp) -> None:
    path = app.path / "web/Dockerfile"
    path.write_text(path.read_text() + "RUN echo the reason; exit 7\n")
    app.commit("A broken build", push=False)


D = ("deploy", "--yes")
CASES = {
    "closed port": Case(D, 1, r"unreachable: the connection was refused", r"Try: ssh ", ssh="Port 1"),
    "unresolvable name": Case(
        D, 1, r"cannot be resolved", r"check `host` of the target", ssh="HostName no-such-host.invalid"
    ),
    "refused login": Case(D, 1, r"refused the login", r"ssh-add -l", ssh="User nobody-we-know"),
    "changed host key": Case(
        D, 1, r"host key of \S+ is not the one in \S+known_hosts", "ssh-keygen -R", trouble=trouble.changed_host_key
    ),
    "no python3": Case(D, 1, r"there is no python3 on ", "apt-get install python3", trouble=trouble.without_python),
    "no sqlite3": Case(D, 1, r"has no sqlite3 module", "apt-get install python3", trouble=trouble.without_sqlite),
    "no permission on the socket": Case(D, 1, r"permission|may not", r"docker", ssh="User guest"),
    "invalid TOML": Case(
        D, 2, r"allfast.toml:9:8: is not valid TOML", r"", make=replaced("allfast.toml", "branch =", "branch")
    ),
    "unknown key": Case(
        D,
        2,
        r"allfast.toml:\d+: targets.production.brunch: .*branch",
        r"",
        make=replaced("allfast.toml", "branch =", "brunch ="),
    ),
    "wrong type": Case(
        D,
        2,
        r"allfast.toml:\d+: keep: should be a whole number",
        r"",
        make=replaced("allfast.toml", "app =", 'keep = "5"\napp ='),
    ),
    "no allfast.toml": Case(D, 2, r"allfast.toml", r"\w", make=lambda app: (app.path / "allfast.toml").unlink()),
    "invalid Compose file": Case(
        D, 2, r"compose.yaml", r"", make=replaced("compose.yaml", "    build: api", "    biuld: api", commit=True)
    ),
    "not YAML": Case(
        D, 2, r"compose.yaml", r"", make=replaced("compose.yaml", "services:", "services: [", commit=True)
    ),
    "missing Compose file": Case(
        D,
        2,
        r"allfast.toml:2: compose.*nowhere.yaml",
        r"\w",
        make=replaced("allfast.toml", "compose.yaml", "nowhere.yaml", commit=True),
    ),
    "unset variable": Case(
        D, 2, r"NOT_THERE", r"\w", make=replaced("compose.yaml", "API: http", "API: ${NOT_THERE}http", commit=True)
    ),
    "unknown target": Case((*D, "-t", "productoin"), 2, r"productoin", r"production"),
    "unknown service": Case((*D, "wbe"), 2, r"wbe", r"web"),
    "unknown service of logs": Case(("logs", "wbe"), 2, r"wbe", r"web"),
    "unknown revision": Case((*D, "--commit", "nowhere"), 2, r"nowhere", r"\w"),
    "unknown release": Case(("rollback", "--yes", "20200101"), 2, r"20200101", r"there are: 20\d\d"),
    "no earlier release": Case(("rollback", "--yes"), 2, r"no earlier release", r"allfast history"),
    "reuse without an image": Case((*D, "--reuse", "--force", "x"), 3, r"web", r"\w", make=unpushed),
    "contradictory flags": Case((*D, "--quick", "--clean"), 2, r"--quick and --clean contradict", r"give one"),
    "not a Git repository": Case(D, 2, r"is not in a Git working tree", r"git init", make=no_repository),
    "dirty tree": Case(D, 3, r"uncommitted changes.*web/settings.py", r"commit", make=dirty),
    "unpushed commit": Case(D, 3, r"is not pushed to origin/main", r"git push", make=unpushed),
    "wrong branch": Case(
        D, 3, r"from branch main, and \w{7} is on branch feature", r"git switch main", make=other_branch
    ),
    "failing build of `build`": Case(("build", "--quick"), 1, r"web failed", r"correct the step", make=broken_build),
    "unknown option": Case((*D, "--qiuck"), 2, r"--qiuck", r""),
    "no ssh config": Case(D, 1, r"ssh", r"\w", ssh="NoSuchOption yes"),
    "no local engine": Case(
        D,
        3,
        r"no Docker engine answers on this machine",
        r"start Docker",
        variables={"DOCKER_HOST": "unix:///nowhere.sock"},
    ),
    "no docker": Case(D, 1, r"[Dd]ocker", r"\w", trouble=trouble.without_docker),
    "stopped engine": Case(D, 1, r"engine|[Dd]ocker", r"docker", trouble=trouble.stopped_engine),
}
ENGINE_STOPS = ("no docker", "stopped engine")


@contextmanager
def commanding(ground: Ground, case: Case, tmp_path: Path) -> Iterator[Cli]:
    """The command in a checkout where the mistake is made."""
    app = checkout(ground, tmp_path / "app")
    case.make(app)
    cli = Cli(app.path, ground.server, ground.cache, **case.variables)
    config = tmp_path / "ssh_config"
    config.write_text(f"Host {ground.server.name}\n{case.ssh}\nInclude {ground.server.ssh_config}\n")
    cli.environment["ALLFAST_SSH_CONFIG"] = str(config)
    with case.trouble(ground.server):
        yield cli


@pytest.mark.parametrize("name", CASES)
def test_bad_input(ground: Ground, tmp_path: Path, name: str) -> None:
    case = CASES[name]
    before = ground.server.snapshot()
    with commanding(ground, case, tmp_path) as cli:
        text = cli(*case.argv, code=case.code)
        machine = cli(*case.argv, "--json", code=case.code)
    reads_well(text, case)
    is_json(machine, case)
    after = ground.server.snapshot()
    if name in ENGINE_STOPS:  # the containers of a stopped engine are started anew by the engine
        assert (before.files, before.images, before.volumes) == (after.files, after.images, after.volumes)
    else:
        assert before.changes(after) == []


def reads_well(ended: Outcome, case: Case) -> None:
    """What a person reads."""
    told = ended.err
    assert not PYTHON.search(told), told
    assert len(told.splitlines()) <= 25, told
    if told.startswith("Usage:"):  # the parser's own form
        assert re.search(case.cause, told), told
        return
    assert told.count("error: ") == 1, told
    said, _, hint = told.partition("\nnext:  ")
    assert re.search(case.cause, said), told
    assert re.search(case.hint, hint), told


def is_json(ended: Outcome, case: Case) -> None:
    """What a program reads."""
    assert not PYTHON.search(ended.err), ended.err
    if ended.err.startswith("Usage:") or case.argv[0] in ("logs", "status"):
        assert not ended.out
        return
    assert ended.result["outcome"] == ("refused" if case.code == 3 else "failed")
    (error,) = (event for event in ended.events if event["event"] == "error")
    assert re.search(case.cause, error["message"] + "\n".join(error["evidence"])), error
    assert re.search(case.hint, error["hint"]), error
    assert not ended.err


def test_a_failing_build_is_recorded_and_nothing_else_changes(ground: Ground, tmp_path: Path) -> None:
    app = checkout(ground, tmp_path / "app")
    broken_build(app)
    cli = Cli(app.path, ground.server, ground.cache)
    # the run itself is recorded in the ledger
    ignore = ["/var/lib/allfast/*/ledger*"]
    before = ground.server.snapshot(ignore=ignore)
    ended = cli(*D, "--force", "a test", code=1)
    assert re.search(r"error: building web failed in step .*exit 7", ended.err), ended.err
    assert "  | the reason" in ended.err
    assert "next:  correct the step" in ended.err
    assert not PYTHON.search(ended.err), ended.err
    assert before.changes(ground.server.snapshot(ignore=ignore)) == []
    newest = json.loads(cli("history", "--json").out.splitlines()[0])
    newest = newest[0] if isinstance(newest, list) else newest
    assert newest["outcome"] == "failed"
    assert "building web failed" in newest["message"]


def test_a_detached_checkout_of_a_pushed_commit_is_fine(ground: Ground, tmp_path: Path) -> None:
    """As CI makes one: shallow, detached, without a branch."""
    path = tmp_path / "ci"
    run(["git", "init", "--quiet", path], env=GIT_ENV)
    app = TinyApp(path, ground.app.remote)
    app.git("remote", "add", "origin", f"file://{ground.app.remote}")
    app.git("fetch", "--quiet", "--depth=1", "origin", ground.app.head())
    app.git("checkout", "--quiet", "--detach", "FETCH_HEAD")
    ended = Cli(path, ground.server, ground.cache).deploy()
    assert ended.result["outcome"] == "nothing-to-do", ended.out
