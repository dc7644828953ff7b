"""What a Dockerfile needs from outside; the cases are files. The real engine's view: tests/contract/test_needs.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allfast.errors import ConfigError, RefusedError
from allfast.source.bases import Bases, LocalImage, resolve_bases
from allfast.source.dockerfile import parse
from allfast.source.expansion import ExpansionError, expand, words
from allfast.source.needs import needs

CASES = Path(__file__).parent / "cases" / "dockerfile"


def cases() -> list[Any]:
    """Each `#= {...}` at the end of a case file: what is asked (target, args, contexts), and what is expected."""
    return [
        pytest.param(path, json.loads(line[3:]), id=f"{path.stem}-{number}")
        for path in sorted(CASES.iterdir())
        for number, line in enumerate(x for x in path.read_text().splitlines() if x.startswith("#= "))
    ]


@pytest.mark.parametrize(("path", "case"), cases())
def test_the_cases(path: Path, case: dict[str, Any]) -> None:
    parsed = parse(path.read_bytes().decode(), "web.Dockerfile")
    found = needs(
        parsed,
        target=case.get("target", ""),
        args=case.get("args", {}),
        platform="linux/amd64",
        contexts=case.get("contexts", ()),
    )
    assert list(found.images) == case["images"]
    assert [reason.split(":")[1] for reason in found.unhashable] == [str(x) for x in case.get("unhashable", [])]


def test_what_is_declared_and_the_frontend() -> None:
    parsed = parse("# syntax = docker/dockerfile:1.9\n# check=skip=all\nARG A B=1\nFROM x\nARG ALLFAST_COMMIT\nFROM y")
    assert parsed.declared == {"A", "B", "ALLFAST_COMMIT"}
    assert parsed.syntax == "docker/dockerfile:1.9"
    assert parse("FROM x\n# syntax=a\n").syntax == ""


def test_a_remote_source_is_shown_without_its_values() -> None:
    """A build argument can hold a token: reasons are stored with the release and shown."""
    parsed = parse("FROM scratch\nARG TOKEN\nADD https://x:${TOKEN}@example.com/a /a")
    (reason,) = needs(parsed, args={"TOKEN": "hunter2"}).unhashable
    assert reason == "Dockerfile:3: ADD https://x:${TOKEN}@example.com/a"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Dockerfile: no FROM instruction"),
        ("ARG A=1\n", "Dockerfile: no FROM instruction"),
        ("# x\nFROM a b\n", "Dockerfile:2: FROM a b"),
        ("FROM x\nRUN <<EOF\nfoo\n", "Dockerfile:2: the heredoc EOF has no end"),
        ("ARG IMAGE\nFROM $IMAGE\n", 'Dockerfile:2: the base image "$IMAGE" is empty'),
        ("FROM ${IMAGE:?must-be-given}\n", "Dockerfile:1: ${IMAGE:?must-be-given}: IMAGE: must-be-given"),
        ("FROM ${IMAGE\n", "Dockerfile:1: ${IMAGE: no closing }"),
        ("ARG A='x\nFROM x\n", "Dockerfile:1: 'x: no closing '"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        needs(parse(text))
    assert raised.value.message == message


def test_an_unknown_target_names_the_stages() -> None:
    with pytest.raises(ConfigError, match='no stage is named "prod"') as raised:
        needs(parse("FROM a AS Web\nFROM b AS api\nFROM c"), target="prod")
    assert "web, api" in raised.value.hint


VARIABLES = {"SET": "value", "EMPTY": "", "PATHS": "a/b/c.tar.gz"}
EXPANSIONS = [
    ("plain", "plain"),
    ("$SET", "value"),
    ("${SET}x$SET-", "valuexvalue-"),
    ("$UNSET.", "."),
    ("${UNSET:-d}${EMPTY:-d}${EMPTY-d}|", "dd|"),
    ("${SET:+a}${EMPTY:+a}${EMPTY+a}${UNSET+a}|", "aa|"),
    ("${UNSET:-${EMPTY:-$SET}}", "value"),
    ("${UNSET:-'a b'}", "a b"),
    ("'$SET'", "$SET"),
    ('"$SET \'x\' \\" \\$ \\x"', "value 'x' \" $ \\x"),
    (r"\$SET \\", "$SET \\"),
    ("$", "$"),
    ("a$/b", "a$/b"),
    ("${PATHS#*/}", "b/c.tar.gz"),
    ("${PATHS##*/}", "c.tar.gz"),
    ("${PATHS%.*}", "a/b/c.tar"),
    ("${PATHS%%.*}", "a/b/c"),
    ("${PATHS#nothing}", "a/b/c.tar.gz"),
    (r"${PATHS/b\/c/x}", "a/x.tar.gz"),
    ("${PATHS//?/-}", "------------"),
    ("${SET:?never}", "value"),
]


@pytest.mark.parametrize(("word", "expanded"), EXPANSIONS)
def test_expansion(word: str, expanded: str) -> None:
    assert expand(word, VARIABLES) == expanded


@pytest.mark.parametrize(
    "word", ["'", '"', "${", "${}", "${SET", "${SET!x}", "${UNSET:?}", "${EMPTY:?x}", "${{SET}}", "${:x}"]
)
def test_what_cannot_be_expanded(word: str) -> None:
    with pytest.raises(ExpansionError):
        expand(word, VARIABLES)


TEXT = st.text("aZ_0 ${}:-+?#%/*'\"\\\t.", max_size=20)


@given(TEXT)
def test_any_word_expands_or_is_refused(word: str) -> None:
    try:
        expand(word, VARIABLES)
        words(word)
    except ExpansionError:
        return


@given(st.text("abcxyz.-/:@_09 ", max_size=20))
def test_a_word_without_signs_is_itself(word: str) -> None:
    assert expand(word, VARIABLES) == word
    assert words(word) == word.split()


LINE = st.one_of(
    st.sampled_from(
        ["FROM a", "FROM b AS x", "COPY --from=x . .", "RUN <<E", "E", "# c", "\\", "ARG A=$B", "ENV A b", ""]
    ),
    st.text("FROMAGCPY #\\\n\r=$<{}'\"[],-", max_size=12),
)


@given(st.lists(LINE, max_size=8))
def test_any_text_is_read_or_refused(lines: list[str]) -> None:
    try:
        parsed = parse("\n".join(lines))
        needs(parsed)
    except ConfigError as error:
        assert error.message.startswith("Dockerfile")


@given(
    st.lists(st.sampled_from(["# note", "", "LABEL a=b", "RUN true", 'CMD ["x"]', "RUN <<E\nFROM z\nE"]), max_size=6)
)
def test_what_takes_nothing_from_outside_changes_nothing(lines: list[str]) -> None:
    text = "\n".join(["FROM a:1 AS x", *lines, "COPY --from=b:1 / /", *lines, "FROM x", *lines])
    assert needs(parse(text)).images == ("a:1", "b:1")


DIGEST = "sha256:" + "1" * 64
PULLED = LocalImage("sha256:" + "a" * 64, ("node@sha256:" + "b" * 64, "example.com:5000/my/node@sha256:" + "c" * 64))
MADE_HERE = LocalImage("sha256:" + "d" * 64, ())


def resolve(reference: str, local: LocalImage | None, registry: str | None) -> tuple[Bases, list[str]]:
    asked: list[str] = []

    def ask(name: str) -> str | None:
        asked.append(name)
        return registry

    return resolve_bases({reference: ["web", "api"]}, lambda _: local, ask), asked


def test_a_base_is_what_the_registry_says() -> None:
    bases, asked = resolve("node:22", PULLED, DIGEST)
    assert (bases, asked) == (Bases({"node:22": DIGEST}), ["node:22"])


def test_a_pinned_base_is_not_asked_for() -> None:
    bases, asked = resolve(f"node:22@{DIGEST}", None, None)
    assert (bases.digests, asked) == ({f"node:22@{DIGEST}": DIGEST}, [])


def test_a_base_that_was_made_here_is_not_asked_for() -> None:
    bases, asked = resolve("node:22", MADE_HERE, DIGEST)
    assert (bases.digests, bases.local, asked) == ({"node:22": MADE_HERE.id}, frozenset({"node:22"}), [])
    assert "made on this machine" in bases.notes[0]


@pytest.mark.parametrize(
    ("reference", "digest"),
    [
        ("node:22", "b"),
        ("docker.io/library/node", "b"),
        ("example.com:5000/my/node:1", "c"),
        ("example.com:5000/my/node", "c"),
        ("other:1", "a"),
    ],
)
def test_without_an_answer_the_local_image_counts_as_it_was_pulled(reference: str, digest: str) -> None:
    """So an outage of the registry does not look like another base image."""
    bases, _ = resolve(reference, PULLED, None)
    assert bases.digests == {reference: "sha256:" + digest * 64}
    assert bases.local == {reference}
    assert "its registry does not answer" in bases.notes[0]


def test_a_base_that_is_nowhere_is_refused_with_its_services() -> None:
    with pytest.raises(RefusedError, match="the base image nosuch:1 of api, web") as raised:
        resolve("nosuch:1", None, None)
    assert "docker pull nosuch:1" in raised.value.hint
