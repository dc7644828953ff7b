"""The tiny app (`testbed/tiny/`) as a Git repository of its own, which a test changes, commits and pushes."""

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from testbed.common import HOST_ENV, TestbedError, run
from testbed.server import Server

TEMPLATE = Path(__file__).resolve().parent / "tiny"

CONFIGURATION = """\
app = "tiny"
compose = ["compose.yaml"]
default_target = "production"

[targets.production]
host = "{host}"
url = "{url}"
env_file = "envs/production.env"
branch = "main"
strategy = "{strategy}"

[services.web]
version = {{ path = "/version", json = "commit" }}

[services.api]
version = {{ path = "/api/version", json = "commit" }}
"""


@dataclass(frozen=True)
class TinyApp:
    """A checkout of the tiny app at `path`; `remote` is the bare repository that its `origin` is, None without one."""

    path: Path
    remote: Path | None

    def git(self, *argv: str) -> str:
        """Run Git in the checkout, free of the user's own settings; returns what it printed. Raises `TestbedError`."""
        return run(["git", "-C", self.path, *argv], env=GIT_ENV).stdout.strip()

    def head(self) -> str:
        """The commit that is checked out, in full."""
        return self.git("rev-parse", "HEAD")

    def write(self, name: str, text: str) -> None:
        """Write a file of the checkout (`name` is relative to it); not committed."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def commit(self, message: str = "Change", *, push: bool = True) -> str:
        """Commit all that is changed, push it where there is an origin, and return the commit."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        if push and self.remote:
            self.git("push", "--quiet", "origin", "HEAD")
        return self.head()

    def set(self, service: str, name: str, value: object) -> None:
        """Change one line of a service's `settings.py` (see there for the names); not committed."""
        path = self.path / service / "settings.py"
        text, found = re.subn(rf"(?m)^{name} = .*$", lambda _: f"{name} = {value!r}", path.read_text())
        if found != 1:
            raise TestbedError(f"{path} has no setting {name}")
        path.write_text(text)

    def say(self, service: str, text: str, *, push: bool = True) -> str:
        """Commit and push a one-line change: what the service says from now on. Returns the commit."""
        self.set(service, "TEXT", text)
        return self.commit(f"{service} says {text}", push=push)


GIT_ENV: Mapping[str, str] = {
    **{name: value for name, value in HOST_ENV.items() if not name.startswith("GIT_")},
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
}


def make_repo(
    path: Path,
    *,
    host: str = "local",
    url: str = "http://127.0.0.1",
    strategy: str = "recreate",
    remote: bool = True,
    old_engine: bool = False,
) -> TinyApp:
    """Make a Git checkout of the tiny app at `path`, which must not exist, with one commit on the branch main.

    With `remote` it has an `origin` beside it (`<path>.git`, bare) that the commit is pushed to. An `old_engine`
    (before 25) knows no `start_interval`: there a health check has its first look after a whole interval.
    """
    shutil.copytree(TEMPLATE, path, ignore=shutil.ignore_patterns("__pycache__"))
    app = TinyApp(path, path.with_name(path.name + ".git") if remote else None)
    app.write("allfast.toml", CONFIGURATION.format(host=host, url=url, strategy=strategy))
    if old_engine:
        compose = (path / "compose.yaml").read_text()
        compose = compose.replace("      start_interval: 1s\n", "").replace("interval: 5s", "interval: 2s")
        app.write("compose.yaml", compose)
    app.git("init", "--quiet", "--initial-branch=main")
    # In the repository's own configuration, for the Git that the program under test runs has the user's, or none
    app.git("config", "user.name", "Tiny Tester")
    app.git("config", "user.email", "tiny@example.org")
    app.git("config", "commit.gpgsign", "false")
    if app.remote:
        run(["git", "init", "--quiet", "--bare", "--initial-branch=main", app.remote], env=GIT_ENV)
        app.git("remote", "add", "origin", str(app.remote))
    app.commit("The tiny app", push=False)
    if app.remote:
        app.git("push", "--quiet", "--set-upstream", "origin", "main")
    return app


def make_repo_for(server: Server, path: Path, *, strategy: str = "recreate") -> TinyApp:
    """As `make_repo`, with `server` as the target: by the name in its ssh config, and its port 80 as the URL."""
    return make_repo(
        path, host=server.name, url=server.url(80), strategy=strategy, old_engine=server.suite == "bullseye"
    )
