"""Data services, one-shots, what stays and what goes, and the commands that look."""

from __future__ import annotations

import signal
import urllib.error
from typing import Any

import pytest

from allfast.model import labels
from testbed.server import Server
from testbed.tiny_app import TinyApp
from tests.e2e.harness import Cli, Outcome, page, serves
from tests.e2e.looks import (
    changed,
    containers,
    folder,
    image_names,
    inspect,
    loose_volumes,
    name_of,
    put,
    read,
    replace,
)

NETWORK = """
networks:
  default:
    driver_opts: {com.docker.network.driver.mtu: "1400"}
"""


def test_data_services(app: TinyApp, allfast: Cli, server: Server) -> None:
    """They start, are left alone without consent, and keep what they hold when they are made anew."""
    replace(app, "compose.yaml", "      - data:/data\n", "      - data:/data\n      - /anonymous\n")
    app.commit("With an anonymous volume")
    first = allfast.deploy()
    assert first.plan["data"][0]["action"] == "start"
    assert allfast("plan", "--json").events[-1]["findings"] == [], "all that is there is as it was asked for"
    app.write("compose.yaml", (app.path / "compose.yaml").read_text() + NETWORK)
    app.commit("Another MTU")
    (finding,) = allfast("plan", "--json").events[-1]["findings"]
    assert "_default stays as it was made: driver_opts.com.docker.network.driver.mtu" in finding["text"]
    replace(app, "compose.yaml", NETWORK, "")
    app.commit("No other MTU")
    before = containers(server, app)
    put(server.url() + "/api/kv/note", "kept")
    server.docker("exec", before["data"], "sh", "-c", "echo hidden >/anonymous/note")

    replace(app, "compose.yaml", '"--appendonly", "yes"', '"--appendonly", "yes", "--maxclients", "500"')
    app.commit("Another setting of the data service")
    left = allfast.deploy()
    assert left.plan["data"][0]["action"] == "leave"
    assert "not without --data" in left.plan["data"][0]["reason"]
    assert containers(server, app)["data"] == before["data"]

    # as `docker compose up` leaves it when it is killed while it replaces the container
    server.docker("stop", before["data"])
    half = f"{before['data'][:12]}_{inspect(server, before['data'])['Name'].lstrip('/')}"
    marks = inspect(server, before["data"])["Config"]["Labels"]
    labelled = [word for name, value in marks.items() for word in ("--label", f"{name}={value}")]
    server.docker("create", "--name", half, *labelled, "--volumes-from", before["data"], "redis:8")
    stopped = allfast.deploy()
    happened = ("events", "--since", "10m", "--until", "0s", "--filter", f"container={half}", "--format", "{{.Action}}")
    assert "start" not in server.docker(*happened).stdout.split(), "there are never two on the same data"
    assert stopped.plan["data"][0]["action"] == "start"
    assert containers(server, app)["data"] == before["data"], "started as it is, not made anew"
    assert "--maxclients" not in inspect(server, before["data"])["Config"]["Cmd"]

    anew = allfast.deploy("--data")
    assert anew.plan["data"][0]["action"] == "recreate"
    now = containers(server, app)
    assert now["data"] != before["data"]
    assert "--maxclients" in inspect(server, now["data"])["Config"]["Cmd"]
    assert read(server.url() + "/api/kv/note") == "kept"
    assert server.docker("exec", now["data"], "cat", "/anonymous/note").stdout == "hidden\n"
    assert allfast.deploy().result["outcome"] == "nothing-to-do"

    (hidden,) = (one["Name"] for one in inspect(server, now["data"])["Mounts"] if one["Destination"] == "/anonymous")
    app.write("allfast.toml", (app.path / "allfast.toml").read_text() + '\n[services.data]\nkind = "release"\n')
    app.commit("It belongs to the release")
    allfast.deploy("--force", "what it holds may be given up")
    assert changed(now, containers(server, app)) >= {"data"}
    assert hidden in loose_volumes(server), "nothing that was data is removed, even then"


def test_one_that_does_not_come_up_again(app: TinyApp, allfast: Cli, server: Server) -> None:
    """Recreated with settings that it does not start with: it runs again as it was, or a person is told."""
    runs = 'command: ["redis-server", "--appendonly", "yes",'
    careful = (
        'command: ["sh", "-c", "test ! -e /data/spoilt && exec redis-server \\"$$@\\"", "-", "--appendonly", "yes",'
    )
    replace(app, "compose.yaml", "      - data:/data\n", "      - data:/data\n      - /anonymous\n")
    replace(app, "compose.yaml", runs, careful)
    app.commit("It does not start on spoilt data")
    first = allfast.deploy().result["release"]
    before = containers(server, app)
    put(server.url() + "/api/kv/note", "kept")
    server.docker("exec", before["data"], "sh", "-c", "echo hidden >/anonymous/note")

    replace(app, "compose.yaml", "exec redis-server", "exec redis-server --maxclients many")
    app.say("web", "web two")
    left = allfast.deploy()
    assert left.plan["data"][0]["action"] == "leave"
    live = left.result["release"]
    app.say("web", "web three")
    failed = allfast.deploy("--data", code=1)
    assert "data: container" in error(failed)["message"]
    assert any("maxclients" in line for line in error(failed)["evidence"])
    now = containers(server, app)
    assert changed(before, now) == {"data", "web"}
    inspected = inspect(server, now["data"])
    assert (inspected["State"]["Health"]["Status"], "many" in str(inspected["Config"]["Cmd"])) == ("healthy", False)
    assert inspected["Image"] == image_of(server, "redis:8")
    assert read(server.url() + "/api/kv/note") == "kept"
    assert server.docker("exec", now["data"], "cat", "/anonymous/note").stdout == "hidden\n"
    assert page(server.url())["web"]["text"] == "web two"
    status = document(allfast, "status")
    assert (status["live"]["id"], status["drift"]) == (live, {})
    assert live != first

    replace(app, "compose.yaml", "exec redis-server --maxclients many", "sleep 60; exec redis-server")
    app.commit("It takes too long for somebody")
    with allfast.started("deploy", "--data", "--json", "--yes") as deploy:
        deploy.until(lambda event: event["event"] == "container" and event["service"] == "data")
        deploy.send(signal.SIGINT)
        ended = deploy.end()
    assert ended.code == 130, ended.out[-3000:]
    again = inspect(server, containers(server, app)["data"])
    assert (again["State"]["Health"]["Status"], again["Config"]["Cmd"]) == ("healthy", inspected["Config"]["Cmd"])
    assert read(server.url() + "/api/kv/note") == "kept"

    replace(app, "compose.yaml", "sleep 60; exec redis-server", "touch /data/spoilt && exit 9")
    app.commit("It spoils its data")
    failed = allfast.deploy("--data", code=4)
    assert "data is down: it failed (data: container" in error(failed)["message"]
    assert "as it was before it does not come up: data: container" in error(failed)["message"]
    assert "allfast logs data" in error(failed)["hint"]
    assert document(allfast, "history")[0]["outcome"] == "failed"


def test_a_first_start_that_is_cut_off(app: TinyApp, allfast: Cli, server: Server) -> None:
    """The next command knows a data service from a leftover, also when it was never healthy."""
    replace(
        app,
        "compose.yaml",
        'command: ["redis-server",',
        'command: ["sh", "-c", "sleep 5; exec redis-server \\"$$@\\"", "-",',
    )
    app.commit("It takes its time")
    with allfast.started("deploy", "--json", "--yes") as deploy:
        deploy.until(lambda event: event["event"] == "container" and event["service"] == "data")
        deploy.send(signal.SIGKILL)
    begun = containers(server, app)
    assert set(begun) == {"data"}
    after = allfast.deploy("--wait")
    assert any("never ended" in e["text"] for e in after.events if e["event"] == "note")
    assert containers(server, app)["data"] == begun["data"]


def test_major_version(app: TinyApp, allfast: Cli, server: Server) -> None:
    """A database's data folder does not meet another major version without a reason."""
    server.docker("tag", "redis:8", "postgres:16")
    server.docker("create", "--name", "seventeen", "redis:8")
    server.docker("commit", "seventeen", "postgres:17")
    replace(app, "compose.yaml", "image: redis:8", "image: postgres:16")
    app.commit("A database, by its name")
    allfast.deploy()
    before = containers(server, app)
    replace(app, "compose.yaml", "image: postgres:16", "image: postgres:17")
    app.commit("The next major version")
    untouched = server.snapshot()
    refused = allfast.deploy("--data", code=3)
    failure = next(e for e in refused.events if e["event"] == "error")
    assert "data: postgres:16 -> postgres:17 is another major version" in failure["message"]
    assert untouched.changes(server.snapshot()) == []
    allfast.deploy("--data", "--force", "it reads the old folder")
    assert changed(before, containers(server, app)) >= {"data"}


def test_before(app: TinyApp, allfast: Cli, server: Server) -> None:
    """A `before` command runs once for a release, with the release's own image."""
    settings = (app.path / "allfast.toml").read_text()
    command = "python -c \\\"import settings; print(1 / len(settings.TEXT), file=open('/data/before', 'a'))\\\""
    app.write("allfast.toml", settings.replace("[services.api]\n", f'[services.api]\nbefore = "{command}"\n'))
    app.commit("A command before each release")
    first = allfast.deploy()
    assert any(shot.startswith("api: python -c") for shot in first.plan["one_shots"])
    assert read(server.url() + "/api/file/before").count("\n") == 1
    assert set(containers(server, app)) == {"web", "api", "worker", "data"}
    assert allfast.deploy().result["outcome"] == "nothing-to-do"
    assert read(server.url() + "/api/file/before").count("\n") == 1
    app.say("api", "")
    before = containers(server, app)
    failed = allfast.deploy(code=1)
    failure = next(e for e in failed.events if e["event"] == "error")
    assert "failed with exit code 1" in failure["message"]
    assert any("ZeroDivisionError" in line for line in failure["evidence"]), "it ran with the new image"
    assert containers(server, app) == before
    app.say("api", "api three")
    allfast.deploy()
    assert read(server.url() + "/api/file/before").count("\n") == 2
    allfast("rollback", "--yes")
    assert read(server.url() + "/api/file/before").count("\n") == 2


def test_what_stays_and_what_goes(app: TinyApp, allfast: Cli, server: Server) -> None:
    """With keep = 2: older releases go with their images and files; what allfast did not make stays."""
    settings = (app.path / "allfast.toml").read_text()
    app.write("allfast.toml", settings.replace("default_target", "keep = 2\ndefault_target"))
    releases = []
    for text in ("one", "two", "three", "four"):
        app.write("config/greeting.txt", text + "\n")
        app.say("web", text)
        releases.append(allfast.deploy().result["release"])
        if text == "one":
            name = f"{name_of(app)}/web:{releases[0]}"
            own = server.docker("image", "inspect", "-f", "{{.Id}}", name).stdout.strip()
            server.docker("tag", name, "backup:mine")
            server.docker("tag", "redis:8", "foreign:1")
            server.docker("create", "--name", "foreign", "foreign:1")
            server.docker("volume", "create", "mine")
    assert folder(server, app, "releases") == set(releases[2:])
    assert len(folder(server, app, "files")) == 2
    names = image_names(server, f"{name_of(app)}/")
    assert names == {f"{name_of(app)}/{service}:{one}" for service in ("web", "api") for one in releases[2:]}
    labelled = f"label={labels.DEPLOYMENT}={name_of(app)}"
    ids = server.docker("images", "-aq", "--no-trunc", "--filter", labelled).stdout.split()
    assert len(set(ids)) == 4, "two webs, one api, and the web that somebody has tagged for himself"
    assert own in ids
    assert image_names(server, "backup:") == {"backup:mine"}
    assert image_names(server, "foreign:") == {"foreign:1"}
    assert server.docker("inspect", "-f", "{{.State.Status}}", "foreign").stdout.strip() == "created"
    assert loose_volumes(server) == {"mine"}, "the anonymous ones of containers that were replaced are gone"
    assert allfast("rollback", "--yes", "--json").result["release"] == releases[2]
    assert page(server.url())["web"]["text"] == "three"
    assert "no release that was live" in allfast("rollback", releases[0], "--yes", code=2).err


def test_looking(app: TinyApp, allfast: Cli, server: Server) -> None:
    """status, history and logs: as text and as JSON; a container that was stopped by hand is seen and mended."""
    assert document(allfast, "history") == []
    assert allfast("status", "--json").events[0]["live"] is None
    for form in ((), ("--json",)):
        nothing = allfast("logs", *form)
        assert (nothing.out, nothing.err) == ("", f"nothing runs there: {name_of(app)} has no container\n")
    app.say("api", "api to look at")  # no image of another test will do
    release = allfast.deploy().result["release"]
    before = containers(server, app)

    status = document(allfast, "status")
    assert status["live"]["id"] == release
    assert status["drift"] == {}
    assert {v["result"] for v in status["versions"]} == {"right"}
    server.docker("stop", before["worker"])
    drift = document(allfast, "status")["drift"]
    assert set(drift) == {"worker"}
    assert "worker: " in allfast("status").out
    plan = document(allfast, "plan")
    assert not plan["nothing_to_do"]
    assert any("worker" in mend for mend in plan["mends"])
    mended = allfast.deploy()
    assert mended.result["outcome"] == "done"
    assert mended.service("worker")["step"] == "new"
    assert changed(before, containers(server, app)) == {"worker"}
    assert document(allfast, "status")["drift"] == {}

    runs = document(allfast, "history")
    assert [run["kind"] for run in runs] == ["deploy", "deploy"]
    assert runs[1]["wire_bytes"] > 0
    assert set(dict(runs[1]["phases"])) >= {"build", "ship", "data", "one-shots", "rollout", "verify"}
    assert runs[1]["who"]["user"] in allfast("history").out
    assert len(document(allfast, "history", "-n", "1")) == 1

    assert "serving 'web one' on port 8080" in allfast("logs", "web").out
    lines = allfast("logs", "--json", "--grep", "serving '(web|api)").events
    assert {line["container"].split("-")[-2] for line in lines} == {"web", "api"}
    server.docker("restart", before["web"])
    serves(server.url(), lambda found: "web" in found)
    assert "serving" in allfast("logs", "web", "--since", "1m").out
    assert 'no container of a service "wbe"' in allfast("logs", "wbe", code=2).err
    assert "no regular expression" in allfast("logs", "--grep", "(", code=2).err
    assert '--since "nonsense" is no time' in allfast("logs", "--since", "nonsense", code=2).err
    ask(server, "/first")
    with allfast.started("logs", "web", "-f", "--json") as following:
        following.until(lambda event: "GET /first" in event["text"])
        ask(server, "/second")
        assert " 404 " in following.until(lambda event: "GET /second" in event["text"])["text"]
        following.send(signal.SIGINT)
        ended = following.end()
    assert (ended.code, ended.err) == (0, "")


def ask(server: Server, path: str) -> None:
    """Ask for a page that is not there: the web logs that."""
    with pytest.raises(urllib.error.HTTPError):
        read(server.url() + path)


def error(outcome: Outcome) -> dict[str, Any]:
    """The error event of a command that failed."""
    return next(event for event in outcome.events if event["event"] == "error")


def image_of(server: Server, name: str) -> str:
    """The server's id of an image."""
    return server.docker("image", "inspect", "-f", "{{.Id}}", name).stdout.strip()


def document(allfast: Cli, *argv: str) -> Any:
    """The one JSON document of a command that only looks."""
    (found,) = allfast(*argv, "--json").events
    return found
