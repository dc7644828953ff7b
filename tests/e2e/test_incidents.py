"""Deploys that really failed elsewhere, staged one by one: allfast makes each impossible, or stops and names the cause.

The numbers are those of the incidents in docs/incidents.md, which names the files that have the others.
"""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest

from testbed.common import wait_until
from testbed.link import Link
from testbed.server import Server
from testbed.tiny_app import TinyApp
from tests.e2e.harness import Cli, Outcome, Started, page, serves
from tests.e2e.looks import replace

NAME = "tiny-incidents"
#: What the record of a run writes: nothing else of a server may differ after a deploy that failed before the rollout.
RECORDS = ("/var/lib/allfast/*/ledger*", "/var/lib/allfast/*/lock")


def test_1_another_image_under_the_name(app: TinyApp, allfast: Cli, server: Server) -> None:
    """The image was loaded under one name, the Compose file named another: containers kept the old image.

    Here other images stand under every name that could be meant, before the deploy and between ship and rollout.
    """
    app.say("web", "one of one")
    server.docker("tag", "redis:8", "tiny-api")
    server.docker("tag", "redis:8", f"{NAME}/web:latest")
    with allfast.started("deploy", "--json", "--yes") as deploy:
        ship = deploy.until(lambda e: e["event"] == "stage-ended" and e["stage"] == "ship")
        assert ship
        with stopped(deploy):
            for name in names_of(server):
                server.docker("tag", "redis:8", name)
        result = deploy.end()
    assert result.code == 0, result
    assert images_of_containers(server) == recorded_images(allfast)
    assert page(server.url())["web"]["text"] == "one of one"

    # Somebody puts a container of another image in the place of the web
    server.docker("rm", "-f", f"{NAME}-web-1")
    marks = {"project": NAME, "service": "web", "oneoff": "False", "container-number": "1", "config-hash": "x"}
    labels = {f"com.docker.compose.{key}": value for key, value in marks.items()}
    words = [word for key, value in labels.items() for word in ("--label", f"{key}={value}")]
    server.docker("run", "-d", "--name", f"{NAME}-web-1", *words, "redis:8")
    status = json.loads(allfast("status", "--json").out)
    assert status["drift"] == {"web": f"{NAME}-web-1 runs another image than the release's"}
    mended = allfast.deploy()
    assert mended.service("web")["step"] == "new"
    assert images_of_containers(server) == recorded_images(allfast)


def test_2_reuse_without_an_image(app: TinyApp, allfast: Cli, server: Server) -> None:
    """`Skip the build` with no such image: 4 KB archives were sent, then the deploy broke half way."""
    app.say("web", "never built")
    app.say("api", "never built")
    before = server.snapshot()
    refused = allfast.deploy("--reuse", code=3)
    assert refused.result["outcome"] == "refused"
    for service in ("web", "api"):
        assert service in error(refused)["message"]
    assert error(refused)["hint"]
    assert not before.changes(server.snapshot())


def test_7_variables_of_a_shell(app: TinyApp, allfast: Cli, server: Server) -> None:
    """Variables set in a shell did not cross SSH; those of another shell did. Neither may matter, on any side."""
    wrong: dict[str, Any] = {
        "TINY_COLOUR": "red",
        "REDIS_PASSWORD": "wrong",
        "COMPOSE_PROJECT_NAME": "other",
        "COMPOSE_FILE": "/other.yaml",
        "COMPOSE_PROFILES": "other",
    }
    script = "".join(f"export {key}={value}\n" for key, value in wrong.items())
    for file in (".bashrc", ".profile", ".bash_profile", ".ssh/environment"):
        server.exec(["sh", "-c", f"mkdir -p /root/.ssh && cat >/root/{file}"], stdin=script)
    app.write(".env", "TINY_COLOUR=red\nREDIS_PASSWORD=wrong\n")  # Git ignores it; Compose alone would take it
    allfast.deploy(**wrong)
    env = page(server.url())["api"]["env"]
    assert env["TINY_COLOUR"] == "green"
    projects = server.docker("ps", "-a", "--format", '{{.Label "com.docker.compose.project"}}').stdout.split()
    assert set(projects) == {NAME}


def test_8_a_build_that_fails(app: TinyApp, allfast: Cli, server: Server) -> None:
    """Eight attempts in four hours: errors that only the production build shows, during the deploy."""
    allfast.deploy()
    before = server.snapshot(ignore=RECORDS)
    app.write("web/settings.py", "TEXT = 'web two'\nHEALTHY = (\n")
    app.commit("Break the build")

    built = allfast("build", "--json", code=1)
    deployed = allfast.deploy(code=1)
    for outcome in (built, deployed):
        told = "\n".join(error(outcome)["evidence"])
        assert "settings.py" in told
        assert "SyntaxError" in told
        assert "building web failed in step" in error(outcome)["message"]
    assert not before.changes(server.snapshot(ignore=RECORDS))
    assert page(server.url())["web"]["text"] == "web one"

    text = allfast("build", code=1)
    assert "SyntaxError" in text.err
    assert "next:" in text.err

    app.write("web/settings.py", "TEXT = 'web two'\nHEALTHY = True\nCRASH = False\nSTART_SECONDS = 0.0\n")
    app.commit("Mend it")
    allfast("build", "--json")
    done = allfast.deploy()
    assert done.service("web")["method"] == "reuse", "allfast build is the build of a deploy"
    assert page(server.url())["web"]["text"] == "web two"


def test_9_a_file_that_is_only_in_the_working_tree(app: TinyApp, allfast: Cli, server: Server) -> None:
    """A source file existed on the laptop but was never pushed."""
    before = server.snapshot()
    app.write("web/only_here.py", "HERE = True\n")
    app.set("web", "TEXT", "not committed")
    for finding in (allfast.deploy(code=3), allfast("build", "--json", code=3)):
        assert "web/only_here.py" in error(finding)["message"]
        assert "web/settings.py" in error(finding)["message"]

    app.git("stash", "--include-untracked", "--quiet")
    sha = app.say("api", "never pushed", push=False)
    assert f"{sha[:7]} is not pushed to origin/main" in error(allfast.deploy(code=3))["message"]
    app.git("stash", "pop", "--quiet")
    assert not before.changes(server.snapshot())

    done = allfast.deploy("--force", "the test says so")
    assert json.loads(allfast("history", "--json").out)[0]["force"] == "the test says so"
    assert f"{done.result['release']}: forced: the test says so" in allfast("history").out
    assert done.result["release"].endswith("-dirty")
    assert page(server.url())["web"]["text"] == "web one"
    files = server.docker("exec", f"{NAME}-web-1", "ls", "/app").stdout.split()
    assert "app.py" in files
    assert "only_here.py" not in files


def test_12_nothing_is_built_on_the_server(app: TinyApp, allfast: Cli, server: Server) -> None:
    """Building on the small production server took 47 minutes and starved the site."""
    app.say("web", "built")
    app.say("api", "built")
    since = server.exec(["date", "+%s.%N"]).stdout.strip()
    done = allfast.deploy()
    assert done.service("web")["method"] == "clean"
    until = server.exec(["date", "+%s.%N"]).stdout.strip()
    raw = server.docker("events", "--since", since, "--until", until, "--format", "{{json .}}").stdout
    events = [json.loads(line) for line in raw.splitlines()]
    assert {e["Action"] for e in events if e["Type"] == "image"} <= {"load", "tag", "untag", "delete"}
    assert not [e for e in events if e["Type"] == "builder"]
    # A build runs each step in a container or leaves a record in the build cache; here are the services' containers
    made = [e["Actor"]["Attributes"] for e in events if (e["Type"], e["Action"]) == ("container", "create")]
    created = {attributes.get("com.docker.compose.service", "?") for attributes in made}
    assert created <= {"web", "api", "worker", "migrate", "data"}
    usage = server.docker("system", "df", "--format", "{{.Type}}={{.TotalCount}}").stdout.splitlines()
    assert "Build Cache=0" in usage


def test_20_sent_but_not_there(app: TinyApp, allfast: Cli, server: Server) -> None:
    """Images were sent, `pushed` was printed, the server did not have them."""
    allfast.deploy()
    app.say("web", "gone")
    containers = server.snapshot().containers
    with (
        Link(server.port(22)) as link,
        allfast.started("deploy", "--json", "--yes", ALLFAST_SSH_CONFIG=str(link.ssh_config(server))) as deploy,
    ):
        deploy.until(lambda e: e["event"] == "stage-began" and e["stage"] == "build")
        link.delay = 1.0  # so that what follows the arrival is still on its way when the line freezes
        deploy.until(lambda e: e["event"] == "shipped" and e["service"] == "web")
        link.stall()
        try:
            newest = server.docker(
                "images", "-q", "--no-trunc", "--filter", f"label=allfast.commit={app.head()}"
            ).stdout.split()
            assert newest
            server.docker("rmi", "--force", *newest)
        finally:
            link.delay = 0.0
            link.go_on()
        result = deploy.end()
    assert result.code == 1
    assert "web" in error(result)["message"]
    assert error(result)["hint"]
    assert "rollout" not in [e.get("stage") for e in result.events]
    assert server.snapshot().containers == containers
    assert page(server.url())["web"]["text"] == "web one"

    again = allfast.deploy()
    assert again.result["outcome"] == "done"
    assert page(server.url())["web"]["text"] == "gone"


def test_3_a_port_that_another_container_holds(app: TinyApp, allfast: Cli, server: Server) -> None:
    """The project name fell back to the folder's name: a second stack came up and collided on a port."""
    del app
    server.docker("run", "-d", "--name", "squatter", "-p", "80:6379", "redis:8")
    before = server.snapshot()
    refused = allfast.deploy(code=3)
    assert "port 80" in error(refused)["message"]
    assert "squatter" in error(refused)["message"]
    assert not before.changes(server.snapshot())


def test_3_a_port_of_a_process_and_a_name_of_another_container(app: TinyApp, allfast: Cli, server: Server) -> None:
    """Both were found by Compose only, in the middle of the rollout."""
    replace(app, "compose.yaml", "    build: api\n", "    build: api\n    container_name: squatter\n")
    app.commit("A fixed name")
    server.docker("create", "--name", "squatter", "redis:8")
    listen = "nohup python3 -m http.server 8000 --bind 127.0.0.1 >/dev/null 2>&1 & echo $!"
    process = server.ssh(listen).stdout.strip()
    try:
        wait_until(lambda: ":1F40" in server.ssh("cat /proc/net/tcp").stdout, "somebody listens on port 8000", 20)
        refused = error(allfast.deploy(code=3))
    finally:
        server.ssh(f"kill {process}")
    assert "api wants port 8000, on which a process of the server listens" in refused["message"]
    assert "api wants the container name squatter" in refused["message"]
    assert "ss -ltnp 'sport = :8000'" in refused["hint"]
    assert "docker rename squatter" in refused["hint"]


@pytest.mark.parametrize(
    ("change", "sign"),
    [
        ("target: dev", "target `dev`"),
        ('command: ["uvicorn", "--reload", "app:app"]', "--reload"),
        ("environment: {NODE_ENV: development}", "NODE_ENV"),
    ],
)
def test_4_a_development_build(app: TinyApp, allfast: Cli, server: Server, change: str, sign: str) -> None:
    """The base Compose file said `target: dev`: production ran with hot reload and source mounts."""
    line = f"    build:\n      {change}\n" if change.startswith("target") else f"    {change}\n"
    app.write("compose.dev.yaml", f"services:\n  web:\n{line}")
    app.write("web/Dockerfile", (app.path / "web/Dockerfile").read_text().replace("FROM $BASE", "FROM $BASE AS dev"))
    both(app, "compose.dev.yaml")
    before = server.snapshot()
    refused = allfast.deploy(code=3)
    assert sign in error(refused)["message"]
    assert not before.changes(server.snapshot())


def test_5_env_files_that_disagree(app: TinyApp, allfast: Cli) -> None:
    """`env_file` lists of several Compose files added up: the api got development credentials."""
    app.write("envs/production-api.env", "TINY_SIZE=large\nTINY_PLACE=here\n")
    app.write("compose.more.yaml", "services:\n  api:\n    env_file: [envs/production-api.env]\n")
    both(app, "compose.more.yaml")
    plan = json.loads(allfast("plan", "--json").out)
    told = "\n".join(finding["text"] for finding in plan["findings"])
    assert "api: TINY_SIZE is set differently by envs/common.env and envs/production-api.env" in told
    assert "TINY_PLACE" not in told
    assert "large" not in told


def test_6_16_24_environment_and_volumes_belong_to_a_release(app: TinyApp, allfast: Cli, server: Server) -> None:
    """Rotated values kept the old environment (6), old packages stayed (16), a rollback mixed old and new (24)."""
    app.write("compose.more.yaml", "services:\n  web:\n    volumes: [/tmp/packages]\n")
    both(app, "compose.more.yaml")
    first = allfast.deploy()
    server.docker("exec", "-u", "0", f"{NAME}-web-1", "touch", "/tmp/packages/old")
    page_before = page(server.url())

    app.write("envs/production.env", "TINY_COLOUR=violet\n")
    app.say("web", "two")
    changed = allfast.deploy()
    assert changed.service("api")["step"] == "new"
    assert changed.service("api")["method"] == "reuse"
    assert "TINY_COLOUR" in json.dumps(changed.service("api"))
    after = page(server.url())
    assert after["api"]["env"]["TINY_COLOUR"] == "violet"
    assert after["api"]["host"] != page_before["api"]["host"]
    assert "old" not in server.docker("exec", f"{NAME}-web-1", "ls", "/tmp/packages").stdout

    allfast("rollback", "--json", "--yes")
    back = serves(server.url(), lambda answer: answer["web"]["text"] == "web one")
    assert back["api"]["env"] == page_before["api"]["env"]
    assert json.loads(allfast("status", "--json").out)["live"]["id"] == first.result["release"]


def test_17_checks_of_two_environments(app: TinyApp, allfast: Cli, server: Server) -> None:
    """A check used the wrong environment's password and reported failure of a healthy site."""
    replace(app, "compose.yaml", '["CMD", "redis-cli", "ping"]', '["CMD-SHELL", "redis-cli ping | grep -q PONG"]')
    replace(app, "compose.yaml", '"80:8080"', '"${WEB_PORT}:8080"')
    replace(app, "compose.yaml", '"8000:8000"', '"${API_PORT}:8000"')
    production = (app.path / "allfast.toml").read_text()
    staging = production[production.index("[targets.production]") : production.index("[services.web]")]
    staging = staging.replace("production", "staging").replace(server.url(80), server.url(8080))
    app.write("allfast.toml", production.replace("[services.web]", f"{staging}[services.web]"))
    app.write("envs/production.env", "TINY_COLOUR=green\nREDIS_PASSWORD=of-production\nWEB_PORT=80\nAPI_PORT=8000\n")
    app.write("envs/staging.env", "TINY_COLOUR=red\nREDIS_PASSWORD=of-staging\nWEB_PORT=8080\nAPI_PORT=443\n")
    app.commit("Two targets")
    allfast.deploy(REDIS_PASSWORD="of-staging")
    staged = allfast.deploy("--target", "staging", REDIS_PASSWORD="of-production")
    checks = [e for e in staged.events if e["event"] == "check"]
    assert {e["service"] for e in checks if e["check"] == "health"} == {"web", "api", "worker"}
    assert {e["result"] for e in checks} == {"right"}
    for target, port, colour in (("production", 80, "green"), ("staging", 8080, "red")):
        status = json.loads(allfast("status", "--target", target, "--json").out)
        assert (status["live"]["proven"], status["drift"]) == (True, {})
        assert page(server.url(port))["api"]["env"]["TINY_COLOUR"] == colour
        name = {"production": NAME, "staging": f"{NAME}-staging"}[target]
        asked = server.docker("exec", f"{name}-data-1", "redis-cli", "config", "get", "requirepass").stdout
        assert asked.split()[-1] == f"of-{target}"


#: Nothing behind it answers: as a proxy does whose application is gone.
BAD_GATEWAY = """
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_error(502)
HTTPServer(("", 8080), Handler).serve_forever()
"""


def test_19_done_is_what_the_url_answers(app: TinyApp, allfast: Cli, server: Server) -> None:
    """A deploy was `finished` with no container running; another was green while every URL gave 502."""
    compose = (app.path / "compose.yaml").read_text()
    worker = compose[compose.index("\n  worker:") : compose.index("\n  migrate:")]
    check = worker[worker.index("    healthcheck:") : worker.index("    depends_on:")]
    ends = worker.replace('["python", "worker.py"]', '["true"]').replace(check, "").replace("unless-stopped", '"no"')
    app.write("compose.yaml", compose.replace(worker, ends))
    app.commit("A worker that ends at once, well")
    failed = allfast.deploy(code=1)
    assert failed.result["outcome"] == "failed"
    assert "worker: container" in error(failed)["message"]
    assert "ended with exit code 0" in error(failed)["message"]
    assert json.loads(allfast("status", "--json").out)["live"] is None

    app.write("compose.yaml", compose)
    replace(app, "allfast.toml", server.url(80), server.url(8080))
    app.commit("Behind a proxy that does not reach it")
    server.ssh(f"nohup python3 -c '{BAD_GATEWAY}' >/dev/null 2>&1 &")
    wait_until(lambda: ":1F90" in server.ssh("cat /proc/net/tcp").stdout, "somebody listens on port 8080", 20)
    green = allfast.deploy(code=4)
    assert green.result["outcome"] == "attention"
    assert not green.result["proven"]
    assert "/version answers 502" in error(green)["message"]
    assert page(server.url())["web"]["text"] == "web one", "all containers run, and the server itself reaches them"
    assert "NOT PROVEN" in allfast("status").out

    replace(app, "allfast.toml", server.url(8080), server.url(80))
    app.commit("The right URL")
    assert allfast.deploy().result["proven"]


def both(app: TinyApp, file: str) -> None:
    """Commit with one more Compose file."""
    settings = (app.path / "allfast.toml").read_text()
    app.write("allfast.toml", settings.replace('["compose.yaml"]', f'["compose.yaml", "{file}"]'))
    app.commit("Another Compose file")


class stopped:  # noqa: N801 - reads as a verb
    """The allfast process stands still in the block; the connection's other processes go on."""

    def __init__(self, started: Started) -> None:
        self._started = started

    def __enter__(self) -> None:
        self._started.send(signal.SIGSTOP)

    def __exit__(self, *_: object) -> None:
        self._started.send(signal.SIGCONT)


def error(outcome: Outcome) -> dict[str, Any]:
    """The only error of an outcome."""
    found = [event for event in outcome.events if event["event"] == "error"]
    assert len(found) == 1, outcome
    return found[0]


def names_of(server: Server) -> list[str]:
    """The names that the app's images have on the server."""
    found = server.docker("images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
    ours = [name for name in found if name.startswith((f"{NAME}/", "tiny-"))]
    assert len(ours) > 2
    return ours


def images_of_containers(server: Server) -> dict[str, str]:
    """The image id that each release service's container really runs."""
    ids = {name: server.docker("inspect", "-f", "{{.Image}}", f"{NAME}-{name}-1") for name in ("web", "api", "worker")}
    return {name: found.stdout.strip() for name, found in ids.items()}


def recorded_images(allfast: Cli) -> dict[str, str]:
    """The image id that each service of the live release was built as."""
    live = json.loads(allfast("status", "--json").out)["live"]
    services = (one for one in live["services"] if one["kind"] == "release")
    return {one["name"]: one["image"]["engine_id"] for one in services}
