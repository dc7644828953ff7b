"""What failed deploys leave on the server is bounded (incident 18); and what was caught stale stays known."""

from __future__ import annotations

from testbed.server import Server
from testbed.tiny_app import TinyApp
from tests.e2e.harness import Cli
from tests.e2e.looks import loose_volumes, name_of, replace

HONEST = "RUN echo \"COMMIT = '$ALLFAST_COMMIT'\" >commit.py"
LIE = HONEST.replace("$ALLFAST_COMMIT", "0123456789abcdef0123456789abcdef01234567")


def images(server: Server, app: TinyApp) -> set[str]:
    """Ids of the deployment's images on the server, also those without a name."""
    label = f"label=allfast.deployment={name_of(app)}"
    return set(server.docker("images", "--all", "--quiet", "--no-trunc", "--filter", label).stdout.split())


def folders(server: Server, app: TinyApp) -> set[str]:
    """The folders of releases."""
    return set(server.exec(["ls", f"/var/lib/allfast/{name_of(app)}/releases"]).stdout.split())


def test_18_failed_deploys_do_not_fill_the_disk(app: TinyApp, allfast: Cli, server: Server) -> None:
    """The images and the folder of the last failed deploy stay, for the next attempt; those before it go."""
    live = allfast.deploy().result["release"]
    kept = images(server, app)
    app.set("api", "MIGRATION_FAILS", True)
    failed = set()
    for number in range(3):
        app.say("api", f"api {number}")
        failed.add(allfast.deploy(code=1).events[-1]["release"])
        new = images(server, app) - kept
        assert kept <= images(server, app), "those of the live release"
        assert len(new) == 1, "the api of this attempt"
    assert len(failed) == 3
    there = folders(server, app)
    assert there - failed == {live}
    assert len(there & failed) == 1
    assert loose_volumes(server) == set(), "the anonymous ones of one-shots go with them"

    again = allfast.deploy(code=1)
    assert again.service("api")["method"] == "reuse"
    assert again.service("api")["image_on_server"]

    app.write("web/Dockerfile", "FROM scratch\nRUN no-such-program\n")
    app.commit("A build that fails frees what the failed deploys before it left")
    allfast.deploy(code=1)
    assert images(server, app) == kept
    assert folders(server, app) == {live}


def test_a_stale_build_stays_known_when_its_image_is_gone(app: TinyApp, allfast: Cli, server: Server) -> None:
    """The laptop still has the image; the ledger of the server knows what it is."""
    allfast.deploy()
    before = images(server, app)
    replace(app, "web/Dockerfile", HONEST, LIE)
    lying = app.commit("It reports another commit than its own")
    outcome = allfast.deploy(code=1)
    assert "instead of" in next(e for e in outcome.events if e["event"] == "error")["message"]
    stale = images(server, app) - before
    assert len(stale) == 1

    replace(app, "web/Dockerfile", LIE, HONEST)
    for text in (
        "honest again",
        "and again",
    ):  # the ledger forgets an image with the prune after the one that removes it
        app.say("web", text)
        allfast.deploy()
        assert not stale & images(server, app)

    app.git("checkout", "--quiet", lying)
    plan = allfast("plan", "--json").events[0]
    web = next(s for s in plan["services"] if s["service"] == "web")
    assert (web["method"], web["reason"]) == ("clean", "a build of these inputs was caught stale")
