"""deploy --canary: a share of the visitors gets the new release, each stays on a side; no request fails or mixes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from chaos import agree
from chaos.bed import MIX, Bed, bed, named
from testbed.common import wait_until
from testbed.traffic import Target, Traffic
from tests.e2e.conftest import file_of
from tests.e2e.harness import Outcome
from tests.e2e.looks import of_release, replace
from tests.e2e.visitors import Visitor, fresh, site, somebody

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def machine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """A server with a live release."""
    with bed(f"e2e-{file_of(request)}", tmp_path_factory.mktemp("bed")) as made:
        yield made


def refused(machine: Bed, *argv: str) -> dict[str, Any]:
    """The error of a command that is refused, with its next step."""
    errors = [event for event in machine.cli(*argv, "--json", code=3).events if event["event"] == "error"]
    assert errors[0]["hint"]
    return errors[0]


def answers(machine: Bed) -> bool:
    """Whether many visitors in turn get a page, of either side."""
    try:
        fresh(site(machine.server), 40)
    except (OSError, AssertionError):
        return False
    return True


def notes(outcome: Outcome) -> str:
    return "\n".join(event["text"] for event in outcome.events if event["event"] == "note")


def states(machine: Bed) -> dict[str, str]:
    """Release -> state, of those that the ledger has."""
    return {name: state for name, (state, _) in machine.ledger().releases.items()}


def running(machine: Bed, release: str) -> set[str]:
    """The services of a release that run."""
    return set(of_release(machine.server, release))


def test_a_canary_from_its_start_to_its_promotion(machine: Bed) -> None:
    old = machine.text()
    first = machine.ledger().live
    assert "no canary to promote" in refused(machine, "promote")["message"]
    new = machine.change()
    with Traffic(Target("127.0.0.1", machine.server.port(80)), named, MIX) as traffic:
        begun = machine.cli.deploy("--canary", "10")
        release = begun.result["release"]
        assert (begun.result["canary"], begun.result["proven"], begun.plan["waits"]) == (10, True, ["worker"])
        assert f"10 % of the visitors get {release}" in notes(begun)
        assert running(machine, release) == {"web", "api"}, "a worker would work for everybody"
        assert running(machine, first) == {"web", "api", "worker"}

        found = fresh(site(machine.server), 400)
        assert 15 <= found[new] <= 80 and found[old] + found[new] == 400, found
        stays(machine, old, new)
        looks(machine, first, release)
        stands_in_the_way(machine, release)

        visitor, other = somebody(site(machine.server), new), somebody(site(machine.server), old)
        higher = machine.cli.deploy("--canary", "60")
        assert higher.result["release"] == release
        assert not [event for event in higher.events if event["event"] in ("built", "shipped", "container")]
        assert {visitor.page() for _ in range(5)} == {new}, "a higher share takes nobody from the canary"
        assert other.call(Sec_Fetch_Mode="cors") == old, "an open page goes on with the release that it is from"
        assert 60 <= fresh(site(machine.server), 150)[new] <= 120

        ended = machine.cli("rollback", "--json", "--yes")
        assert ended.result["release"] == first
        assert fresh(site(machine.server), 20) == {old: 20}
        assert {visitor.page(), visitor.call()} == {old}, "the cookie of an ended canary does no harm"
        assert states(machine)[release] == "retired"

        again = machine.cli.deploy("--canary", "10").result["release"]
        visitor, other = somebody(site(machine.server), new), somebody(site(machine.server), old)
        promoted = machine.cli("promote", "--json", "--yes")
        assert promoted.result["release"] == again and promoted.result["canary"] == 0
        assert fresh(site(machine.server), 20) == {new: 20}
        assert {visitor.page(), other.page()} == {new}
        assert running(machine, again) == {"web", "api", "worker"}

        back = machine.cli("rollback", "--json", "--yes")
        assert back.result["release"] == first, "not the canary that was ended"
        assert fresh(site(machine.server), 20) == {old: 20}
    report = traffic.report()
    assert not report.failures and not report.mixed, report
    assert report.releases[new] > 20 and report.releases[old] > 20, report
    assert machine.status()["drift"] == {}


def stays(machine: Bed, old: str, new: str) -> None:
    """Page after page and call after call of one visitor come from one side; so do those of a page without a cookie."""
    for text in (old, new):
        visitor = somebody(site(machine.server), text)
        assert {visitor.page() for _ in range(25)} | {visitor.call() for _ in range(25)} == {text}
        (cookie,) = visitor.cookies
        assert cookie.name == f"allfast-canary-{machine.name}"
        assert cookie.path == "/" and cookie.has_nonstandard_attr("HttpOnly")
    for open_page in ({"Sec_Fetch_Mode": "cors"}, {"Referer": machine.server.url(), "Accept": "*/*"}):
        assert {Visitor(site(machine.server)).call(**open_page) for _ in range(60)} == {old}, (
            "its page is older than the canary"
        )


def looks(machine: Bed, live: str, canary: str) -> None:
    """What status and history tell."""
    status = machine.status()
    assert (status["live"]["id"], status["canary"]["id"], status["canary"]["canary"]) == (live, canary, 10)
    assert status["drift"] == {} and status["serving"] == live
    assert {one["result"] for one in status["versions"]} == {"right"}
    assert "settings" not in status["canary"]["services"][0]
    text = machine.cli("status").out
    assert f"canary   {canary}" in text and "10 % of the visitors, set" in text
    lines = machine.cli("logs", "--json", "--tail", "5").events
    webs = {f"{machine.name}-{release}-web-1" for release in (live, canary)}
    assert webs | {f"{machine.name}-data-1"} <= {one["container"] for one in lines}
    told = machine.cli("history").out
    assert "canary" in told and "10 % of the visitors" in told
    assert machine.cli("recover", "--json").result["outcome"] == "nothing-to-do"


def stands_in_the_way(machine: Bed, canary: str) -> None:
    """What cannot be done beside a canary, and what there is nothing to do for."""
    error = refused(machine, "deploy")
    assert canary in error["message"] and "allfast promote" in error["hint"] and "allfast rollback" in error["hint"]
    assert machine.cli.deploy("--canary", "10").result["outcome"] == "nothing-to-do"
    assert "99" in machine.cli("deploy", "--canary", "100", code=2).err
    machine.app.say("web", "another", push=True)
    assert "another commit" in refused(machine, "deploy", "--canary", "20")["message"]
    machine.app.git("reset", "--quiet", "--hard", "HEAD~1")
    machine.app.git("push", "--quiet", "--force", "origin", "HEAD")


def test_killed_at_a_step_and_rebooted(machine: Bed) -> None:
    """What a dead run leaves is a whole canary or none, after the next command at the latest."""
    old, live = machine.text(), machine.ledger().live
    new = machine.change()

    machine.killed("canary#2", "after", "deploy", "--canary", "10")  # it has visitors, and is not recorded
    release = given(machine)
    assert release and states(machine)[release] == "prepared"
    assert f"the proxy gives a share to {release}" in machine.cli("status").out
    assert f"{machine.name}-{release}-web-1 | " in machine.cli("logs", "web").out
    told = machine.cli("rollback", "--json")
    assert told.result["release"] == live, "what is meant is the canary"
    assert (given(machine), running(machine, release)) == ("", set())
    assert agree_but_for(machine, old, "stays prepared") == []

    machine.killed("record canary", "after", "deploy", "--canary", "30")
    canary = machine.status()["canary"]["id"]
    machine.killed("canary", "after", "deploy", "--canary", "60")  # visitors have it, the ledger has not
    assert threshold(machine) == "9999"
    machine.cli("recover", "--json")
    assert (threshold(machine), machine.status()["drift"]) == ("4ccc", {})

    machine.killed("start release", "after", "promote")  # its worker runs
    machine.cli("recover", "--json")
    assert (given(machine), machine.status()["canary"]["canary"]) == (canary, 30)
    assert (running(machine, canary), running(machine, live)) == ({"web", "api"}, {"web", "api", "worker"})

    machine.server.restart()
    wait_until(lambda: running(machine, canary) == {"web", "api"}, "the canary after a reboot", 60)
    wait_until(lambda: running(machine, live) == {"web", "api", "worker"}, "and the live release", 60)
    wait_until(lambda: answers(machine), "a proxy that serves after a reboot", 60)
    visitor = somebody(site(machine.server), new)

    machine.killed("end canary", "after", "rollback")
    assert given(machine) == canary
    machine.cli("recover", "--json")
    assert (given(machine), visitor.page(), running(machine, canary)) == ("", old, {"web", "api"})

    again = machine.cli.deploy("--canary", "10").result["release"]
    machine.killed("switch", "after", "promote")
    assert fresh(site(machine.server), 10) == {new: 10}
    machine.cli("recover", "--json")
    ledger = machine.ledger()
    assert (ledger.live, given(machine)) == (again, "")
    kinds = [(kind, outcome) for _, kind, _, outcome, *_ in ledger.runs if kind in ("canary", "promote")]
    ends = ["undone", "done", "undone", "undone", "done", "done", "done"]
    assert [outcome for _, outcome in kinds[-7:]] == ends, kinds
    assert agree_but_for(machine, new, "of a release that is neither live nor warm") == []


def test_a_canary_that_is_wrong_is_taken_away(machine: Bed) -> None:
    old, live = machine.text(), machine.ledger().live
    machine.change()
    replace(machine.app, "web/app.py", '{"commit": commit.COMMIT}', '{"commit": "0123456789abcdef"}')
    machine.app.commit("It lies")
    with Traffic(Target("127.0.0.1", machine.server.port(80)), named, MIX, live=old) as traffic:
        failed = machine.cli.deploy("--canary", "50", code=1)
    report = traffic.report()
    assert not report.failures and not report.mixed, report
    assert "not what it should be" in failed.out and f"{live} serves everybody" in notes(failed)
    assert given(machine) == "" and machine.status()["canary"] is None
    assert agree_but_for(machine, old, "stays prepared") == []


def canary_file(machine: Bed) -> str:
    """The file beside the switch, "" where there is none."""
    path = f"/var/lib/allfast/_proxy/apps/{machine.name}/canary"
    return machine.server.exec(["cat", path], check=False).stdout


def given(machine: Bed) -> str:
    """The release that the proxy gives a share."""
    return canary_file(machine).partition(" ")[2].rpartition(".")[0]


def threshold(machine: Bed) -> str:
    """The share that the proxy gives it, of ffff."""
    return canary_file(machine).partition(" ")[0]


def agree_but_for(machine: Bed, text: str, known: str) -> list[str]:
    """What does not agree, but for what has to be; the server was restarted once."""
    return [one for one in agree.complaints(machine, text, crashed=True) if known not in one]
