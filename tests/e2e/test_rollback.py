"""Back to an earlier release: the whole of it, and nothing of the data."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from testbed.common import wait_until
from testbed.server import Server
from testbed.tiny_app import TinyApp
from tests.e2e.harness import Cli, page
from tests.e2e.looks import LEDGER, changed, containers, image_names, inspect, name_of, put, read, replace


def test_everything_goes_back(app: TinyApp, allfast: Cli, server: Server) -> None:
    """Images, environment, tracked files, Compose settings, ports and the set of services, changed at once."""
    replace(app, "compose.yaml", "  data:\n    image", EXTRA.format(name="old") + "  data:\n    image")
    app.commit("With a service that goes")
    first = allfast.deploy()
    release = first.result["release"]
    old_page, old = page(server.url()), containers(server, app)
    put(server.url() + "/api/kv/note", "kept")
    put(server.url() + "/api/file/note", "kept, too")

    app.set("web", "TEXT", "web two")
    app.set("api", "TEXT", "api two")
    app.write("envs/production.env", "TINY_COLOUR=red\n")
    app.write("config/greeting.txt", "bonjour\n")
    replace(app, "compose.yaml", EXTRA.format(name="old"), EXTRA.format(name="new"))
    replace(app, "compose.yaml", 'ports: ["80:8080"]', 'hostname: other\n    ports: ["8000:8080"]')
    replace(app, "compose.yaml", 'ports: ["8000:8000"]', 'ports: ["80:8000"]')
    replace(app, "allfast.toml", server.url(80), server.url(8000))
    app.commit("Everything changes")
    allfast.deploy()
    new_page, new = page(server.url(8000)), containers(server, app)
    assert new_page["web"]["host"] == "other"
    assert (new_page["web"]["text"], new_page["api"]["greeting"]) == ("web two", "bonjour")
    assert changed(old, new) == {"web", "api", "worker", "old", "new"}
    assert new_page["migrations"] == 2

    replace(app, "allfast.toml", server.url(8000), server.url(80))
    app.commit("The URL of before, for the proof")
    back = allfast("rollback", "--json", "--yes")
    assert back.result["outcome"] == "done"
    assert back.result["proven"]
    assert back.result["release"] == release
    assert back.result["wire_bytes"] == 0
    assert back.result["services"]["web"] == {"method": "reuse", "reason": f"as in {release}"}
    warnings = [e["text"] for e in back.events if e["event"] == "note" and e["level"] == "warning"]
    assert any("migrate" in text and "not undone" in text for text in warnings), warnings
    answer, now = page(server.url()), containers(server, app)
    for part in ("text", "commit", "greeting", "env"):
        assert answer["api"][part] == old_page["api"][part], part
    assert (answer["web"]["text"], answer["web"]["commit"]) == (old_page["web"]["text"], old_page["web"]["commit"])
    assert answer["web"]["host"] != "other"
    assert answer["migrations"] == 2, "a rollback runs no migration"
    assert set(now) == set(old)
    assert now["data"] == old["data"]
    assert read(server.url() + "/api/kv/note") == "kept"
    assert read(server.url() + "/api/file/note") == "kept, too"
    assert inspect(server, now["api"])["Image"] == back_image(server, app, "api", release)

    assert allfast("rollback", release, "--json", "--yes").result["outcome"] == "nothing-to-do"
    plan = allfast("plan", "--json", code=0)
    assert '"live": "' + release in plan.out


def test_by_name(app: TinyApp, allfast: Cli, server: Server) -> None:
    """A named release, a beginning of a name, a wrong one, and one whose images are gone."""
    none = allfast("rollback", "--json", "--yes", code=2)
    assert "no earlier release" in none.events[0]["message"]
    first = allfast.deploy().result["release"]
    app.say("web", "web two")
    second = allfast.deploy().result["release"]
    app.say("web", "web three")
    third = allfast.deploy().result["release"]

    unknown = allfast("rollback", "19991231", "--json", "--yes", code=2)
    failure = next(e for e in unknown.events if e["event"] == "error")
    assert "19991231" in failure["message"]
    assert first in failure["hint"]
    several = allfast("rollback", first[:4], "--json", "--yes", code=2)
    assert "more than one" in several.events[0]["message"]

    before = containers(server, app)
    beginning = next(second[:length] for length in range(1, 30) if not one_of(second[:length], first, third))
    assert allfast("rollback", beginning, "--yes", "--json").result["release"] == second
    assert page(server.url())["web"]["text"] == "web two"
    assert changed(before, containers(server, app)) == {"web"}
    assert allfast("rollback", first, "--yes", "--json").result["release"] == first
    assert page(server.url())["web"]["text"] == "web one"
    assert allfast("rollback", third, "--yes", "--json").result["release"] == third
    assert page(server.url())["web"]["text"] == "web three"

    server.docker("rmi", f"{name_of(app)}/web:{second}")
    untouched = server.snapshot()
    gone = allfast("rollback", second, "--yes", "--json", code=3)
    failure = next(e for e in gone.events if e["event"] == "error")
    assert f"the images of web of {second} are no longer on" in failure["message"]
    assert "allfast deploy --commit" in failure["hint"]
    assert untouched.changes(server.snapshot()) == []
    kinds = [(run["kind"], run["outcome"]) for run in allfast_history(allfast)]
    assert kinds == [("rollback", "done")] * 3 + [("deploy", "done")] * 3

    server.docker("rm", "--force", containers(server, app)["data"])
    assert allfast("status", "--json").events[0]["drift"]["data"] == "it has no container"
    gone = allfast("rollback", first, "--yes", "--json", code=3)
    failure = next(e for e in gone.events if e["event"] == "error")
    assert f"data of {first} has no container" in failure["message"]
    assert "`allfast recover` starts" in failure["hint"]
    allfast("recover")
    # without its data the worker ended again and again: the engine may take its time until the next start
    wait_until(lambda: allfast("status", "--json").events[0]["drift"] == {}, "all to run again", 60)
    assert allfast("rollback", first, "--yes", "--json").result["release"] == first


def test_a_machine_without_docker(allfast: Cli, tmp_path: Path) -> None:
    """It is said before anything is asked, let alone touched."""
    for tool in ("ssh", "git"):
        (tmp_path / tool).symlink_to(shutil.which(tool) or "")
    for command in (["rollback", "--yes"], ["recover"], ["logs"]):
        without = allfast(*command, code=2, PATH=str(tmp_path))
        assert "there is no `docker` on the PATH" in without.err
        assert "install the Docker CLI" in without.err


@pytest.mark.parametrize("place", ["env_file", "security_opt[0]"])
def test_a_stored_release_cannot_have_this_machine_read_its_files(
    place: str, app: TinyApp, allfast: Cli, server: Server, tmp_path: Path
) -> None:
    """Whoever can write to the server's ledger gets nothing of the laptop, whose Compose starts the release."""
    first = allfast.deploy().result["release"]
    app.say("web", "web two")
    allfast.deploy()
    secret = tmp_path / "config.json"
    secret.write_text('{"auths": "s3ntinel"}')
    option: object = str(secret) if place == "env_file" else [f"seccomp={secret}"]
    tamper(server, app, first, place.partition("[")[0], option)
    untouched = server.snapshot(ignore=LEDGER)
    refused = allfast("rollback", "--json", "--yes", code=4)
    failure = next(e for e in refused.events if e["event"] == "error")
    assert f"Compose file of {first} was changed by somebody else: services.web.{place} would" in failure["message"]
    assert "who can write to the server's state folder" in failure["hint"]
    assert untouched.changes(server.snapshot(ignore=LEDGER)) == []
    assert page(server.url())["web"]["text"] == "web two"
    assert allfast("status", "--json").events[0]["drift"] == {}


def test_how_a_release_is_asked_goes_back_with_it(app: TinyApp, allfast: Cli, server: Server) -> None:
    """Port and version endpoint have moved since: an old release is asked where it answers, by all commands."""
    compose = (app.path / "compose.yaml").read_text()
    check = compose[compose.index("    healthcheck:") : compose.index("    depends_on:")]
    replace(app, "compose.yaml", check, "")  # now that it answers on its port is what makes the web healthy
    version = '[services.web]\nversion = { path = "/version", json = "commit" }\n'
    replace(app, "allfast.toml", version, version + "port = 8080\n")
    app.commit("A named port")
    first = allfast.deploy().result["release"]

    replace(app, "web/app.py", 'path == "/version"', 'path == "/about/build"')
    replace(app, "web/app.py", '{"commit": commit.COMMIT}', '{"build": {"commit": commit.COMMIT}}')
    replace(app, "web/app.py", "serve(Web, 8080", "serve(Web, 9090")
    replace(app, "compose.yaml", "80:8080", "80:9090")
    moved = version.replace('"/version", json = "commit"', '"/about/build", json = "build.commit"')
    replace(app, "allfast.toml", version + "port = 8080\n", moved + "port = 9090\n")
    app.commit("Another port, another place of the version")
    assert allfast.deploy().result["proven"]

    back = allfast("rollback", "--yes", "--json").result
    assert (back["outcome"], back["release"], back["proven"]) == ("done", first, True)
    status = allfast("status", "--json").events[0]
    assert {(v["service"], v["result"]) for v in status["versions"]} == {("web", "right"), ("api", "right")}
    assert len(status["versions"]) == 4, "on the server and through the URL"


def test_a_release_that_fails_again(app: TinyApp, allfast: Cli, server: Server) -> None:
    """A rollback that does not come up ends as a deploy does: what ran before it runs again."""
    first = allfast.deploy().result["release"]
    app.say("api", "api two")
    second = allfast.deploy().result["release"]
    # the first release's Compose file and image are as they were, but its port is somebody else's now
    replace(app, "compose.yaml", 'ports: ["8000:8000"]', 'ports: ["8080:8000"]')
    app.commit("Another port")
    third = allfast.deploy().result["release"]
    server.docker("run", "-d", "-p", "8000:8000", "--name", "foreign", "python:3.13-slim", "sleep", "1000")
    failed = allfast("rollback", first, "--yes", "--json", code=1)
    assert failed.result["outcome"] == "failed"
    answer = page(server.url())
    assert answer["api"]["text"] == "api two"
    live = allfast("status", "--json").events[0]["live"]["id"]
    assert live == third != second


EXTRA = """\
  {name}:
    image: python:3.13-slim
    command: ["sleep", "infinity"]
    init: true
    depends_on: [api]
    healthcheck:
      test: ["CMD", "test", "-d", "/tmp"]
      interval: 1s
    stop_grace_period: 1s

"""


def tamper(server: Server, app: TinyApp, release: str, key: str, value: object) -> None:
    """Change the web's definition in the file that the server keeps of a release."""
    file = f"/var/lib/allfast/{name_of(app)}/releases/{release}/compose.json"
    document = json.loads(server.exec(["cat", file]).stdout)
    document["services"]["web"][key] = value
    server.exec(["tee", file], stdin=json.dumps(document))


def one_of(beginning: str, *names: str) -> bool:
    """Whether one of the names begins so."""
    return any(name.startswith(beginning) for name in names)


def back_image(server: Server, app: TinyApp, service: str, release: str) -> str:
    """The id of the image that a release's service has by name."""
    name = f"{name_of(app)}/{service}:{release}"
    assert name in image_names(server, name)
    return server.docker("image", "inspect", "-f", "{{.Id}}", name).stdout.strip()


def allfast_history(allfast: Cli) -> list[dict[str, str]]:
    """The runs of the ledger, the newest first."""
    runs: list[dict[str, str]] = allfast("history", "--json").events[0]  # type: ignore[assignment]
    return runs
