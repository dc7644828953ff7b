"""The redactor masks each secret in every form that tools print it in."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allfast.events import Failed
from allfast.redact import MASK, Redactor, forms

SECRET = "p@ss w0rd/'\"$x\\y"


@pytest.mark.parametrize(
    "shown",
    [
        SECRET,
        json.dumps({"key": SECRET}),
        quote(SECRET, safe=""),
        base64.b64encode(SECRET.encode()).decode(),
        SECRET.replace("$", "$$"),
        repr(SECRET),
    ],
)
def test_masks_each_form(shown: str) -> None:
    masked = Redactor([SECRET]).text(f"before {shown} after")
    assert MASK in masked
    assert SECRET not in masked
    assert masked.startswith("before ")
    assert masked.endswith(" after")
    assert not any(form in masked for form in forms(SECRET))


def test_masks_lines_of_a_key_file() -> None:
    key = "-----BEGIN KEY-----\nabcdefgh\nijklmnop\n-----END KEY-----\n"
    assert "ijklmnop" not in Redactor([key]).text("dumped: ijklmnop")


def test_masks_inside_values_and_keys() -> None:
    redactor = Redactor(["hunter22"])
    event = Failed("no login as hunter22", evidence=("with hunter22",))
    assert redactor.value(event) == Failed("no login as ***", evidence=("with ***",))
    assert redactor.value({"hunter22": ["hunter22", 3]}) == {"***": ["***", 3]}


def test_longer_secret_wins() -> None:
    assert Redactor(["abcd", "abcdefgh"]).text("abcdefgh") == MASK


def test_short_values_stay() -> None:
    assert Redactor(["on", "1"]).text("on 1") == "on 1"


@given(st.lists(st.text(min_size=4, max_size=30), max_size=5), st.text(max_size=20))
def test_no_secret_survives(secrets: list[str], around: str) -> None:
    redactor = Redactor(secrets)
    text = around + around.join(secrets) + around
    masked = redactor.text(text)
    for secret in secrets:
        if len(secret.strip()) >= 4 and MASK not in secret:
            assert secret not in masked.replace(MASK, "\0")


NAMES = ("chat-tiny", "tiny-web", "tinychat-web", "tiny-api", "https://tiny.example.org")


@pytest.mark.parametrize(
    "text",
    [
        "tinychat-web-1 is healthy",
        "pull tiny-api:20261122 from tiny-web",
        "network tinychat-web_default",
        "https://tiny.example.org/version answers",
    ],
)
def test_a_secret_masks_no_part_of_a_name(text: str) -> None:
    redactor = Redactor()
    redactor.add(["tiny"], names=NAMES)
    assert redactor.text(text) == text
    assert redactor.text(f"{text}; no login with tiny") == f"{text}; no login with ***"
    assert redactor.value({text: [text, "tiny"]}) == {text: [text, "***"]}


def test_only_whole_names_are_kept() -> None:
    redactor = Redactor()
    redactor.add(["tiny", "web-s3cret", "tiny-web-long-secret"], names=NAMES)
    assert redactor.text("mytiny-web") == "my***-web"
    assert redactor.text("tiny-web-s3cret") == "tiny-***", "a secret that begins in a name goes as a whole"
    assert redactor.text("tiny-web-long-secret") == "***"


def test_names_that_come_after_the_secrets() -> None:
    redactor = Redactor(["tiny"])
    assert redactor.text("tiny-web") == "***-web"
    redactor.add((), names=NAMES)
    assert redactor.text("tiny-web") == "tiny-web"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("tiny: healthy", "tiny: healthy"),
        ("deploy tiny to production, service tiny", "deploy tiny to production, service tiny"),
        ("REDIS_PASSWORD=tiny", "REDIS_PASSWORD=***"),
        ("redis://:tiny@data:6379", "redis://:***@data:6379"),
        ("mongodb://me:tiny@db/tiny", "mongodb://me:***@db/tiny"),
        ('{"password": "tiny", "service": "tiny"}', '{"password": "***", "service": "tiny"}'),
        ("--requirepass=tiny-web", "--requirepass=tiny-web"),
    ],
)
def test_a_secret_that_is_a_name_is_masked_as_a_value(text: str, shown: str) -> None:
    redactor = Redactor()
    redactor.add((), names=("tiny",), doubtful=("tiny",))
    assert redactor.text(text) == shown
