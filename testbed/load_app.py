"""An application for load: a web that dials an api, both `responder.py`, so that each answer names both releases."""

import json
from pathlib import Path

from testbed import responder
from testbed.common import run
from testbed.server import Server
from testbed.tiny_app import GIT_ENV, TinyApp

COMPOSE = """\
services:
  web:
    build: web
    expose: ["8000"]
    environment: {API: "http://api:8000/"}
    healthcheck: &check
      test: ["CMD", "bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8000"]
      interval: 10s
      timeout: 10s
      start_period: 20s
      start_interval: 1s
    depends_on: {api: {condition: service_healthy}}
    restart: unless-stopped
    init: true
  api:
    build: api
    healthcheck: *check
    restart: unless-stopped
    init: true
"""
DOCKERFILE = """\
FROM python:3.13-slim
COPY responder.py name.txt /
CMD ["sh", "-c", "exec python3 /responder.py $(cat /name.txt)"]
"""
CONFIGURATION = """\
app = "{app}"

[targets.production]
host = "{host}"
url = "{url}"
verify = {{ via = "server" }}

[services.web]
route = "/"
"""


class LoadApp(TinyApp):
    """A checkout of it."""

    def release(self, name: str) -> str:
        """Commit and push a change of both services: from now on they call themselves `name`."""
        for service in ("web", "api"):
            self.write(f"{service}/name.txt", name + "\n")
        return self.commit(f"This is {name}")


def make_load_app(server: Server, path: Path, app: str, url: str) -> LoadApp:
    """Make a Git checkout at `path`, which must not exist, deployed as `app` with that URL; its first release is "r0".

    This machine need not reach the URL: releases are proven on the server.
    """
    made = LoadApp(path, None)
    made.write("compose.yaml", COMPOSE)
    made.write("allfast.toml", CONFIGURATION.format(app=app, host=server.name, url=url))
    for service in ("web", "api"):
        made.write(f"{service}/Dockerfile", DOCKERFILE)
        made.write(f"{service}/responder.py", Path(responder.__file__).read_text())
    run(["git", "init", "--quiet", "--initial-branch=main", str(path)], env=GIT_ENV)
    for key, value in (("user.name", "Load"), ("user.email", "load@example.org"), ("commit.gpgsign", "false")):
        made.git("config", key, value)
    made.release("r0")
    return made


def named(body: bytes) -> tuple[str, ...]:
    """The releases that an answer of the web names: its own, and that of the api that it asked."""
    answer = json.loads(body)
    return answer["name"], answer["api"]
