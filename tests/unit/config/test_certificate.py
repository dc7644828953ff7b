"""A certificate of the user's own: read and judged before anything is touched."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from allfast.config.certificate import Certificate, read_certificate
from allfast.config.load import load
from allfast.errors import ConfigError
from allfast.planning.preflight import certificate as findings
from allfast.text import DAY
from testbed.certificates import make_certificate

HOST = "chat.test"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    make_certificate(folder, "good", HOST, "*.wild.test")
    make_certificate(folder, "other", "other.test")
    make_certificate(folder, "locked", HOST, password="secret-word")
    make_certificate(folder, "old", HOST, days=-1)
    make_certificate(folder, "soon", HOST, days=13)
    (folder / "text.pem").write_text("nothing\n")
    return folder


def read(project: Path, file: str, key: str, *hosts: str) -> Certificate:
    toml = 'app = "chat"\n\n[targets.production]\nhost = "local"\n'
    (project / "allfast.toml").write_text(toml + f'certificate = {{ file = "{file}", key = "{key}" }}\n')
    return read_certificate(load(project / "allfast.toml", start=project), "production", hosts)


def test_a_good_one_is_named_by_its_content(project: Path) -> None:
    found = read(project, "good.pem", "good.key", HOST, "a.wild.test")
    assert len(found.digest) == 16 and found.chain and found.key
    assert 89 * DAY < found.expires - time.time() <= 90 * DAY
    assert found.key not in repr(found)
    assert findings(found, {HOST}, time.time()) == ()
    assert "is not used" in findings(found, set(), time.time())[0].text


@pytest.mark.parametrize(
    ("file", "key", "host", "words"),
    [
        ("none.pem", "good.key", HOST, "none.pem cannot be read: No such file"),
        ("good.pem", "none.key", HOST, "none.key cannot be read"),
        ("text.pem", "good.key", HOST, "text.pem has no certificate in PEM"),
        ("good.pem", "text.pem", HOST, "text.pem cannot be used with good.pem"),
        ("good.pem", "other.key", HOST, "other.key is not the key of good.pem"),
        ("old.pem", "old.key", HOST, "old.pem has expired"),
        ("locked.pem", "locked.key", HOST, "locked.key is encrypted"),
        ("other.pem", "other.key", HOST, "other.pem is not for chat.test, where a route is"),
        ("good.pem", "good.key", "wild.test", "good.pem is not for wild.test"),
    ],
)
def test_what_a_browser_would_refuse_is_refused(project: Path, file: str, key: str, host: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(project, file, key, host)
    assert "allfast.toml:5: targets.production.certificate: " in caught.value.message
    assert words in caught.value.message
    assert caught.value.hint


def test_one_that_ends_soon_is_warned_of(project: Path) -> None:
    (finding,) = findings(read(project, "soon.pem", "soon.key", HOST), {HOST}, time.time())
    assert finding.level == "warn" and "in less than 14 days" in finding.text


def test_without_one_there_is_none(project: Path) -> None:
    (project / "allfast.toml").write_text('app = "chat"\n\n[targets.production]\nhost = "local"\n')
    assert read_certificate(load(project / "allfast.toml", start=project), "production", [HOST]) == Certificate()
    assert findings(Certificate(), {HOST}, time.time()) == ()
