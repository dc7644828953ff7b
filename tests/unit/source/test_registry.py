"""What a registry's answers say of an image, whatever it is asked by."""

from __future__ import annotations

import json

import pytest

from allfast.model.base import BaseImage
from allfast.source import registry

NAME = "example/base"
INDEX, AMD, ARM = (f"{NAME}@sha256:{letter * 64}" for letter in "0ab")
MANIFEST = {"layers": [{"digest": "sha256:x", "size": 10}, {"digest": "sha256:y", "size": 20}]}
PLATFORMS = {
    "manifests": [
        {"digest": ARM.partition("@")[2], "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}},
        {"digest": AMD.partition("@")[2], "platform": {"os": "linux", "architecture": "amd64"}},
        {"digest": "sha256:" + "c" * 64, "platform": {"os": "unknown", "architecture": "unknown"}},
    ]
}
CONFIG = {"rootfs": {"diff_ids": ["sha256:1", "sha256:2"]}}


Answers = dict[tuple[str, str], object]


def described(answers: Answers, reference: str, platform: str = "linux/amd64") -> BaseImage | None:
    """What is made of a registry's answers, by the kind of question and the reference."""

    def inspect(*words: str) -> bytes:
        answer = answers.get(("raw" if "--raw" in words else "image", words[-1]))
        return json.dumps(answer).encode() if answer is not None else b""

    return registry.describe(reference, platform, inspect)


def test_an_index_leads_to_the_platform() -> None:
    answers: Answers = {("raw", INDEX): PLATFORMS, ("raw", ARM): MANIFEST, ("image", ARM): CONFIG}
    found = described(answers, INDEX, "linux/arm64")
    assert found == BaseImage(INDEX, ("sha256:1", "sha256:2"), ("sha256:x", "sha256:y"), (10, 20))
    assert described(answers, INDEX, "linux/arm64/v8") == found
    assert described(answers, INDEX, "linux/arm64/v7") is None
    assert described(answers, INDEX, "linux/s390x") is None


def test_a_manifest_is_the_image() -> None:
    answers: Answers = {("raw", AMD): MANIFEST, ("image", AMD): CONFIG}
    found = described(answers, AMD)
    assert found is not None
    assert found.fetched == {"sha256:x": 10, "sha256:y": 20}
    assert found.compressed == {"sha256:1": 10, "sha256:2": 20}


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({}, id="no answer"),
        pytest.param({("raw", AMD): MANIFEST}, id="no configuration"),
        pytest.param({("image", AMD): CONFIG}, id="no manifest"),
        pytest.param({("raw", AMD): [1], ("image", AMD): CONFIG}, id="no object"),
        pytest.param({("raw", AMD): {"layers": [{"digest": "x"}]}, ("image", AMD): CONFIG}, id="no sizes"),
        pytest.param({("raw", AMD): MANIFEST, ("image", AMD): {"rootfs": {"diff_ids": ["1"]}}}, id="other layers"),
    ],
)
def test_what_is_not_understood_is_no_base(wrong: Answers) -> None:
    assert described(wrong, AMD) is None
