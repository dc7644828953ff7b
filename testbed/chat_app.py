"""The example (`examples/chat`) as a Git repository of its own, with a test server as its target."""

import secrets
import shutil
from pathlib import Path

from testbed.common import run
from testbed.server import Server
from testbed.tiny_app import GIT_ENV, TinyApp

TEMPLATE = Path(__file__).resolve().parent.parent / "examples" / "chat"
NOT_COPIED = ("node_modules", ".next", "__pycache__", "production.env")
TAGLINE = "web/app/tagline.ts"


class ChatApp(TinyApp):
    """A checkout of the example; `password` is that of its user "demo"."""

    password = secrets.token_hex(8)

    def tagline(self) -> str:
        """The line that the login page shows."""
        return (self.path / TAGLINE).read_text().split('"')[1]

    def set_tagline(self, text: str) -> str:
        """Commit and push another line; returns the commit."""
        self.write(TAGLINE, (self.path / TAGLINE).read_text().replace(self.tagline(), text))
        return self.commit("Another tagline")


def make_chat(server: Server, path: Path, *, app: str) -> ChatApp:
    """Make a Git checkout of the example at `path`, which must not exist: named `app`, with random secrets, pushed."""
    shutil.copytree(TEMPLATE, path, ignore=shutil.ignore_patterns(*NOT_COPIED))
    chat = ChatApp(path, path.with_name(f"{path.name}.git"))
    chat.write("allfast.toml", "".join(_adapted(line, server, app) for line in _lines(path / "allfast.toml")))
    values = {key: secrets.token_hex(16) for key in ("POSTGRES_PASSWORD", "REDIS_PASSWORD")}
    values["DEMO_PASSWORD"] = chat.password
    chat.write("envs/production.env", "".join(f"{key}={value}\n" for key, value in values.items()))
    chat.write("envs/ssh_config", f"Include {server.ssh_config}\n")
    chat.write(".gitignore", (path / ".gitignore").read_text() + "envs/ssh_config\n")
    chat.git("init", "--quiet", "--initial-branch=main")
    for key, value in (("user.name", "Demo"), ("user.email", "demo@example.org"), ("commit.gpgsign", "false")):
        chat.git("config", key, value)
    run(["git", "init", "--quiet", "--bare", "--initial-branch=main", str(chat.remote)], env=GIT_ENV)
    chat.git("remote", "add", "origin", str(chat.remote))
    chat.commit("The chat", push=False)
    chat.git("push", "--quiet", "--set-upstream", "origin", "main")
    return chat


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines(keepends=True)


def _adapted(line: str, server: Server, app: str) -> str:
    """A line of the example's allfast.toml for this server."""
    key = line.partition(" ")[0]
    mine = {
        "app": f'app = "{app}"\n',
        "host": f'host = "{server.name}"\nssh_config = "envs/ssh_config"\n',
        "url": f'url = "{server.url(80)}"\n',
    }
    return mine.get(key, line)
