"""What a reply proves about the version of a release: asked on the server itself, and through the URL."""

from __future__ import annotations

import pytest

from allfast.checks import Verdict
from allfast.checks.version import Reply, judge, judge_page
from allfast.model.release import Where

COMMIT = "0123456789abcdef0123456789abcdef01234567"
JSON = Where("/version", json_key="build.commit")
HEADER = Where("/", header="X-Commit")
HTML = {"content-type": "text/html; charset=utf-8"}
RIGHT, WRONG, OPEN = "right", "wrong", "could-not-be-asked"


def says(commit: str, **headers: str) -> Reply:
    """A reply with the version in its JSON."""
    return Reply(200, headers, b'{"build": {"commit": "%s"}}' % commit.encode())


@pytest.mark.parametrize(
    ("reply", "where", "on_server", "through", "again"),
    [
        (says(COMMIT), JSON, RIGHT, RIGHT, False),
        (says(COMMIT[:7].upper()), JSON, RIGHT, RIGHT, False),
        (Reply(200, HTML, says(COMMIT).body), JSON, RIGHT, RIGHT, False),
        (says(COMMIT[:6]), JSON, WRONG, WRONG, False),
        (says("f" * 40), JSON, WRONG, WRONG, False),
        (Reply(200, {**HTML, "x-commit": COMMIT}, b"<html>"), HEADER, RIGHT, RIGHT, False),
        (Reply(200, {**HTML, "x-commit": "f" * 40}, b"<html>"), HEADER, WRONG, WRONG, False),
        # of the application, or of what stands before it
        (Reply(200, HTML, b"<p>Back soon"), JSON, WRONG, OPEN, True),
        (Reply(200, HTML, b"<p>Back soon"), HEADER, WRONG, OPEN, True),
        (Reply(200, {}, b"\n<!DOCTYPE html><p>Just a moment"), JSON, WRONG, OPEN, True),
        (Reply(200, {}, b"<HTML><p>Just a moment"), JSON, WRONG, OPEN, True),
        (Reply(502, HTML, b"Bad Gateway"), JSON, WRONG, OPEN, True),
        (Reply(503), JSON, WRONG, OPEN, True),
        (Reply(504), HEADER, WRONG, OPEN, True),
        (Reply(522), JSON, WRONG, OPEN, True),
        # of the application
        (Reply(404, HTML, b"<html>"), JSON, WRONG, WRONG, True),
        (Reply(500, HTML, b"<html>"), JSON, WRONG, WRONG, True),
        (Reply(200, {"content-type": "application/json"}, b'{"build": {}}'), JSON, WRONG, WRONG, True),
        (Reply(200, {}, b"no JSON"), JSON, WRONG, WRONG, True),
        (Reply(200), HEADER, WRONG, WRONG, True),
        # never of the application
        *[(Reply(status), JSON, OPEN, OPEN, False) for status in (301, 302, 308, 401, 403, 407, 421, 429)],
    ],
)
def test_judge(reply: Reply, where: Where, on_server: Verdict, through: Verdict, again: bool) -> None:
    """Only what the application itself has said is wrong."""
    here, there = judge(reply, where, COMMIT), judge(reply, where, COMMIT, through=True)
    assert (here.result, there.result) == (on_server, through), (here.text, there.text)
    assert (here.again, there.again) == (again, again)


@pytest.mark.parametrize(("status", "result"), [(200, RIGHT), (302, RIGHT), (404, RIGHT), (500, OPEN), (502, OPEN)])
def test_the_page_where_no_version_is_asked(status: int, result: Verdict) -> None:
    """Somebody answers, or nobody knows; a failure may pass."""
    judged = judge_page(status)
    assert (judged.result, judged.again) == (result, result == OPEN)
