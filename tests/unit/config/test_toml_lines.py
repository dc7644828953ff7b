"""The line scanner agrees with tomllib on every document, and each line holds the key's own value."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allfast.config.toml_lines import Path, lines


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every path of a parsed document that holds a plain value."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield from leaves(one, (*path, key))
    elif isinstance(value, list):
        for index, one in enumerate(value):
            yield from leaves(one, (*path, index))
    else:
        yield path, value


_quoted = st.text(st.characters(codec="utf-8", exclude_characters="\n\r\t\x7f", min_codepoint=32), max_size=6)
_bare = st.from_regex(r"[A-Za-z0-9_-]{1,4}", fullmatch=True)
_blank = st.sampled_from(["", " ", "\t "])
_gap = st.sampled_from(["", "\n", "# [no.table]\n", "  \n# key = 'x\n", "\r\n"])


def _escape(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


_key = st.one_of(_bare, _quoted.map(_escape), _bare.map(lambda k: f"'{k}'"))
_dotted = st.builds(lambda keys, b: f"{b}.{b}".join(keys), st.lists(_key, min_size=1, max_size=3), _blank)
_word = _quoted.map(_escape)
_tricky = st.sampled_from(
    [
        "'''a\n# [x]\nb'''",
        '"""\nk = 1\n\\"""" ""x"""',
        '"""ends with quotes"""""',
        "'''x'''''",
        '"a # [b] \\" c"',
        "1979-05-27 07:32:00",
        "[]",
        "{}",
        "+1_000.5e3",
        "0xff",
    ]
)


def _array(items: list[str], gaps: list[str], comma: bool) -> str:
    inner = "".join(f"{gap}{item}, " for gap, item in zip(gaps, items, strict=False))
    return f"[{inner if comma else inner.removesuffix(', ')}\n]"


_scalar = st.one_of(_word, _tricky)
_value = st.recursive(
    _scalar,
    lambda inner: st.one_of(
        st.builds(_array, st.lists(inner, max_size=3), st.lists(_gap, min_size=3, max_size=3), st.booleans()),
        st.lists(st.tuples(_dotted, inner), max_size=3).map(
            lambda pairs: "{ " + ", ".join(f"{k} = {v}" for k, v in pairs) + " }"
        ),
    ),
    max_leaves=8,
)
_pair = st.builds(lambda k, b, v: f"{b}{k}{b}={b}{v}\n", _dotted, _blank, _value)
_header = st.builds(
    lambda k, double, b: f"{b}[[{k}]]{b}# c\n" if double else f"[{b}{k}{b}]\n", _dotted, st.booleans(), _blank
)
_document = st.lists(st.one_of(_pair, _pair, _header, _gap), max_size=12).map("".join)


@given(_document)
def test_finds_the_same_paths_as_tomllib(source: str) -> None:
    try:
        values = tomllib.loads(source)
    except tomllib.TOMLDecodeError:
        return  # keys defined twice: never scanned
    found = lines(source)
    for path, _ in leaves(values):
        assert path in found
    for path in found:
        value: Any = values
        for part in path:
            value = value[part]


@given(st.lists(st.tuples(st.sampled_from(["k{n}", "t.k{n}", '"q {n}"']), _gap), min_size=1, max_size=8), st.booleans())
def test_line_is_that_of_the_value(pairs: list[tuple[str, str]], tables: bool) -> None:
    source = ""
    for number, (key, gap) in enumerate(pairs):
        header = f"[[t{number % 2}.x]]\n" if tables else ""
        source += f"{gap}{header}{key.format(n=number)} = [{gap}9{number}000]\n"
    rows = source.split("\n")
    for path, value in leaves(tomllib.loads(source)):
        assert str(value) in rows[lines(source)[path] - 1]


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("a",), 1),
        (("t",), 6),
        (("t", "x.y", "z"), 7),
        (("t", "d", "e"), 8),
        (("t", "d", "f"), 9),
        (("many", 0, "k"), 12),
        (("many", 1), 13),
        (("many", 1, "sub", "k"), 15),
        (("list", 1), 4),
    ],
)
def test_lines(path: Path, line: int) -> None:
    source = (
        'a = """\n\n"""\nlist = [1, "]"]  # [x]\n\n[t]\n"x.y".z = 1\nd = { e = [2, 3],'
        ' g = """\n""", f = 1 }\n\n[[many]]\nk = 1\n[[many]]\n[many.sub]\nk = 2\n'
    )
    assert lines(source)[path] == line
