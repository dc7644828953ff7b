"""A canary whose release has other routes than the live one, over HTTPS, and while the application is closed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

import pytest

from chaos import agree
from chaos.bed import MIX, Bed, bed, named
from testbed.certificates import make_certificate
from testbed.traffic import Target, Traffic
from tests.e2e.conftest import file_of
from tests.e2e.harness import Outcome
from tests.e2e.looks import replace
from tests.e2e.visitors import Site, Visitor, fresh, site, somebody

pytestmark = pytest.mark.e2e

HOST = "chat.test"
HTML = {"Accept": "text/html"}


@pytest.fixture(scope="module")
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Bed, str]]:
    """A server, and the commit from which each test begins."""
    with bed(f"e2e-{file_of(request)}", tmp_path_factory.mktemp("bed")) as made:
        yield made, made.app.head()


@pytest.fixture
def machine(place: tuple[Bed, str]) -> Bed:
    """A server with nothing but a live release: its web at port 80, its api at port 8000."""
    made, begin = place
    made.clear()
    made.app.git("checkout", "--quiet", begin, "--", ".")
    for file in made.app.path.glob("site.*"):
        file.unlink()
    made.change()
    made.cli.deploy()
    return made


def other_routes(machine: Bed) -> str:
    """A next release, whose api has a path of the web's port and no port of its own; the text that it says."""
    settings = f'url = "http://{HOST}"\nverify = {{ via = "server" }}'  # routes follow the URL's port
    replace(machine.app, "allfast.toml", f'url = "{machine.server.url()}"', settings)
    replace(machine.app, "allfast.toml", "[services.api]\n", '[services.api]\nroute = "/info"\n')
    return machine.change()


def of_live(visitor: Visitor, machine: Bed, text: str) -> None:
    """By the routes of the first release: `/info` is the web's, which has no such page."""
    assert visitor.page() == text
    status, body = visitor.ask(machine.server.url(8000) + "/api/info")
    assert (status, json.loads(body)["api"]["text"]) == (200, text)
    status, body = visitor.ask(machine.server.url() + "/info")
    assert (status, json.loads(body)) == (404, {"error": "no such page"})


def of_other(visitor: Visitor, machine: Bed, text: str) -> None:
    """By the routes of the second release: port 8000 is nobody's."""
    assert visitor.page() == text
    status, body = visitor.ask(machine.server.url() + "/info")
    assert (status, json.loads(body)["api"]["text"]) == (200, text)
    assert visitor.ask(machine.server.url(8000) + "/api/info") == (404, "nothing is served here\n")


def changes(outcome: Outcome) -> list[tuple[str, str]]:
    """What the plan says of routes."""
    return [(route["change"], route["url"]) for route in outcome.plan["routes"]]


def all_get(machine: Bed, judged: Callable[[Visitor, Bed, str], None], text: str, *known: Visitor) -> None:
    """Everybody gets one release: who comes for the first time, and who was on either side."""
    for visitor in (*known, *(Visitor(site(machine.server)) for _ in range(10))):
        judged(visitor, machine, text)


def test_each_side_has_its_own_routes(machine: Bed) -> None:
    old, first = machine.text(), machine.ledger().live
    new = other_routes(machine)
    with Traffic(Target("127.0.0.1", machine.server.port(80)), named, MIX) as traffic:
        begun = machine.cli.deploy("--canary", "50")
        canary = begun.result["release"]
        assert begun.result["proven"]
        assert changes(begun) == [("kept", "http://*/"), ("added", "http://*/info"), ("removed", "http://*:8000/")]
        visitor, other = (somebody(site(machine.server), text) for text in (new, old))
        for _ in range(10):
            of_other(visitor, machine, new)
            of_live(other, machine, old)
        assert machine.status()["drift"] == {}
        assert machine.cli("recover", "--json").result["outcome"] == "nothing-to-do"

        machine.cli("rollback", "--json", "--yes")
        all_get(machine, of_live, old, visitor, other)

        canary = machine.cli.deploy("--canary", "50").result["release"]
        visitor, other = (somebody(site(machine.server), text) for text in (new, old))
        of_other(visitor, machine, new)
        assert machine.cli("promote", "--json", "--yes").result["release"] == canary
        all_get(machine, of_other, new, visitor, other)
        assert machine.status()["drift"] == {}

        assert machine.cli("rollback", "--json", "--yes").result["release"] == first
        all_get(machine, of_live, old, visitor, other)
    report = traffic.report()
    assert not report.failures and not report.mixed, report
    assert report.releases[new] > 20 and report.releases[old] > 20, report
    assert agree.complaints(machine, old) == []


def test_a_promotion_that_fails_leaves_each_side_its_routes(machine: Bed) -> None:
    old = machine.text()
    new = other_routes(machine)
    machine.cli.deploy("--canary", "50")
    visitor, other = (somebody(site(machine.server), text) for text in (new, old))
    machine.killed("switch", "before", "promote")
    of_other(visitor, machine, new)
    machine.cli("recover", "--json")
    of_other(visitor, machine, new)
    of_live(other, machine, old)
    machine.killed("switch", "after", "promote")
    machine.cli("recover", "--json")
    all_get(machine, of_other, new, visitor, other)


def test_closed_for_maintenance(machine: Bed) -> None:
    """Nobody gets through by the other side's routes, the key opens both, and the share is what it was."""
    old = machine.text()
    new = other_routes(machine)
    machine.cli.deploy("--canary", "50")
    visitor, other = (somebody(site(machine.server), text) for text in (new, old))
    before = canary_line(machine)
    closed = machine.cli("maintenance", "on", "--json")
    found = re.search(r"X-Allfast-Key: (\S+) pass", "".join(str(event.get("text")) for event in closed.events))
    assert found
    page, api = machine.server.url(), machine.server.url(8000)
    for one, places in ((visitor, ("/", "/info")), (other, ("/", "/info")), (other, (":api",))):
        for place in places:
            status, body = one.ask(api + "/api/info" if place == ":api" else page + place, **HTML)
            assert (status, "<h1>Maintenance</h1>" in body) == (503, True), place
    assert {Visitor(site(machine.server)).ask(page + "/")[0] for _ in range(20)} == {503}

    key = {"X_Allfast_Key": found[1]}
    assert (visitor.page(**key), other.page(**key)) == (new, old)
    assert json.loads(visitor.ask(page + "/info", **key)[1])["api"]["text"] == new
    assert (other.call(**key), other.ask(page + "/info", **key)[0]) == (old, 404)
    assert machine.status()["canary"]["canary"] == 50
    assert machine.cli.deploy("--canary", "25").result["canary"] == 25, "a share can be changed meanwhile"
    assert machine.cli.deploy("--canary", "50").result["canary"] == 50

    machine.cli("maintenance", "off", "--json")
    assert canary_line(machine) == before
    for _ in range(5):
        of_other(visitor, machine, new)
        of_live(other, machine, old)
    found_now = fresh(site(machine.server), 200)
    assert 60 <= found_now[new] <= 140 and found_now[new] + found_now[old] == 200, found_now
    assert machine.status()["drift"] == {}


def test_a_canary_that_begins_while_it_is_closed_is_proven(machine: Bed) -> None:
    """What allfast asks bears the key, and the canary's side."""
    old, new = machine.text(), machine.change()
    machine.cli("maintenance", "on", "--json")
    assert machine.cli.deploy("--canary", "50").result["proven"]
    assert canary_line(machine)
    machine.cli("maintenance", "off", "--json")
    assert set(fresh(site(machine.server), 40)) == {old, new}
    assert machine.cli("promote", "--json", "--yes").result["proven"]
    assert fresh(site(machine.server), 10) == {new: 10}


def canary_line(machine: Bed) -> str:
    """The file beside the switch."""
    return machine.server.exec(["cat", f"/var/lib/allfast/_proxy/apps/{machine.name}/canary"]).stdout


def secured(machine: Bed) -> Site:
    """Deploy the app at https://chat.test/ with a certificate of its own; the api's info at /info, no other port."""
    make_certificate(machine.app.path, "site", HOST)
    settings = f'url = "https://{HOST}"\nverify = {{ via = "server" }}\n'
    settings += 'certificate = { file = "site.pem", key = "site.key" }'
    replace(machine.app, "allfast.toml", f'url = "{machine.server.url()}"', settings)
    replace(machine.app, "allfast.toml", "[services.web]\n", '[services.web]\nroute = "/"\n')
    replace(machine.app, "allfast.toml", "[services.api]\n", '[services.api]\nroute = "/info"\n')
    machine.app.write(".gitignore", (machine.app.path / ".gitignore").read_text() + "\nsite.*\n")
    machine.change()
    machine.cli.deploy()
    root = (machine.app.path / "site.pem").read_text()
    return Site(f"https://{HOST}", f"https://{HOST}", ("127.0.0.1", machine.server.port(443)), root)


def test_over_https(machine: Bed) -> None:
    """The cookie never travels in the clear, a visitor stays on one side, and so does each stream of HTTP/2."""
    at = secured(machine)
    old = Visitor(at).page()
    new = machine.change()
    target = Target("127.0.0.1", machine.server.port(443), HOST, at.root)
    with Traffic(target, named, MIX) as traffic:
        machine.cli.deploy("--canary", "50")
        visitor, other = (somebody(at, text) for text in (new, old))
        for one, text in ((visitor, new), (other, old)):
            assert {one.page() for _ in range(15)} | {one.call() for _ in range(15)} == {text}
            (cookie,) = one.cookies
            assert (cookie.name, cookie.secure, cookie.domain) == (f"allfast-canary-{machine.name}", True, HOST)
            assert cookie.has_nonstandard_attr("HttpOnly")
            assert cookie.get_nonstandard_attr("SameSite") == "Lax"
            script = {"Sec_Fetch_Mode": "cors"}
            assert {json.loads(one.ask(f"{at.page}/info", **script)[1])["api"]["text"] for _ in range(5)} == {text}
        found = fresh(at, 200)
        assert 60 <= found[new] <= 140 and found[new] + found[old] == 200, found
        moved = Visitor(at)
        assert moved.ask(machine.server.url() + "/", Host=HOST)[0] == 200
        assert [cookie.secure for cookie in moved.cookies] == [True], "the redirect gives none"
        machine.cli("promote", "--json", "--yes")
        assert {visitor.page(), other.page(), Visitor(at).page()} == {new}
        machine.cli("rollback", "--json", "--yes")
        assert {visitor.page(), other.page(), Visitor(at).page()} == {old}
    report = traffic.report()
    assert not report.failures and not report.mixed, report
