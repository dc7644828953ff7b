"""Values to JSON and back: nothing is lost, nothing is guessed."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allfast.model.release import URL_PATH, Commit, DataService, Image, Release, ReleaseService, Run, Where
from allfast.model.server import Container, ImageAtHand, LockHolder, ServerFacts
from allfast.model.service import BuildInputs
from allfast.remote.codec import CodecError, from_json, to_json

st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))  # what JSON can say
st.register_type_strategy(Where, st.builds(Where, st.from_regex(URL_PATH, fullmatch=True)))

VALUES = (
    Commit,
    DataService,
    Image,
    Release,
    ReleaseService,
    Run,
    Container,
    ImageAtHand,
    LockHolder,
    ServerFacts,
    BuildInputs,
)


@given(st.one_of(*[st.from_type(value) for value in VALUES]))
def test_a_value_comes_back_as_it_was(value: Any) -> None:
    assert from_json(type(value), json.loads(json.dumps(to_json(value)))) == value


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"name": "a", "settings": "b", "image": "c", "more": 1}, "DataService: unknown more"),
        ({"name": "a", "settings": "b"}, "DataService: no image"),
        ({"name": "a", "settings": "b", "image": 1}, "DataService.image: int instead of str"),
        ({"name": "a", "settings": "b", "image": None}, "DataService.image: NoneType instead of str"),
        ([], "DataService: list instead of dict"),
    ],
)
def test_what_is_no_such_value_is_refused(data: Any, words: str) -> None:
    with pytest.raises(CodecError, match=words):
        from_json(DataService, data)


@pytest.mark.parametrize(
    "path", ["0/x", ".evil.net:8500/x", "@evil.net/x", "", "/x y", "/x\r\nHost: y", "/x\0", "/x\n"]
)
def test_a_path_to_ask_changes_no_address(path: str) -> None:
    """It comes from the server, and the laptop puts it behind the target's URL."""
    with pytest.raises(CodecError, match=r"^Where: .* is no path of a URL: somebody has changed it"):
        from_json(Where, {"path": path})


def test_a_release_that_was_recorded_before_it_had_port_and_version() -> None:
    image = {"config_digest": "a", "engine_id": "b", "diff_ids": [], "platform": "d"}
    words = dict.fromkeys(("name", "settings", "built_by", "reason", "commit", "inputs"), "x")
    before = {**words, "kind": "release", "method": "quick", "image": image}
    found = from_json(ReleaseService, before)
    assert (found.port, found.version) == (None, None)
    asked = from_json(ReleaseService, {**before, "port": 80, "version": {"path": "/", "json_key": "a", "header": None}})
    assert (asked.port, asked.version) == (80, Where("/", "a"))


def test_wrong_items_are_named_by_their_path() -> None:
    image = {"config_digest": "a", "engine_id": "b", "diff_ids": ["c", 1], "platform": "d"}
    with pytest.raises(CodecError, match=r"Image.diff_ids\[1\]: int instead of str"):
        from_json(Image, image)
    with pytest.raises(CodecError, match=r"Commit\.time: bool instead of int"):
        from_json(Commit, {"sha": "a", "subject": "b", "time": True})
