"""The rules of `.dockerignore`. What the real engine does with them: tests/contract/test_build_context.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from allfast.errors import ConfigError
from allfast.source.ignore import IgnoreRules, ignore_file, parse

# the lines of an ignore file, a path, whether it is left out
TABLE = [
    ("", "any/thing", False),
    ("*", "a", True),
    ("*", "a/b", True),  # by its folder
    ("*.md", "README.md", True),
    ("*.md", "docs/README.md", False),
    ("**/*.md", "README.md", True),
    ("**/*.md", "a/b/README.md", True),
    ("docs", "docs/guide/one.md", True),
    ("docs", "docsite", False),
    ("/docs/", "docs/one.md", True),
    ("docs/**", "docs", False),
    ("docs/**", "docs/a/b", True),
    ("**", "a/b/c", True),
    ("**/node_modules", "web/node_modules/left/index.js", True),
    ("a/**/z", "a/z", True),
    ("a/**/z", "a/b/c/z", True),
    ("**.ts", "a/b.ts", True),
    ("a?c", "abc", True),
    ("a?c", "a/c", False),
    ("a?c", "a☺c", True),
    ("[a-c]x", "bx", True),
    ("[a-c]x", "dx", False),
    ("[^a-c]x", "dx", True),
    ("[α-ω]", "β", True),
    (r"[\]x]", "]", True),
    (r"a\*b", "a*b", True),
    (r"a\*b", "axb", False),
    (r"a\bc", "a c", False),  # for Docker, \b is a word boundary there
    ("a.b", "axb", False),
    ("a+(b)|{c}$", "a+(b)|{c}$", True),
    ("docs\n!docs/README.md", "docs/README.md", False),
    ("docs\n!docs/README.md", "docs/other.md", True),
    ("!docs/README.md\ndocs", "docs/README.md", True),
    ("*\n!web\nweb/secret", "web/page", False),
    ("*\n!web\nweb/secret", "web/secret/key", True),
    ("web/app\n!web", "web/app/page", True),  # the exception was not tried on `web`, so it is not handed on
    ("\ufeffdocs\r\n# web\r\n", "docs", True),
    ("\ufeffdocs\r\n# web\r\n", "web", False),
    (" docs ", "docs", True),
    (" #docs", "#docs", True),
    ("./docs/../web", "web/x", True),
    ("../docs", "docs", False),
    ("a//b", "a/b", True),
]


@pytest.mark.parametrize(("lines", "path", "ignored"), TABLE)
def test_the_table(lines: str, path: str, ignored: bool) -> None:
    assert parse(lines.encode()).ignores(path) is ignored


@pytest.mark.parametrize(
    "pattern", ["[", "[^", "[a", "a[", "[]a]", "[-]", "[a-]", "[-a]", "[a-b-c]", "\\", "!", "! ", "!/", "[z-a]", r"\q"]
)
def test_a_pattern_that_docker_refuses_is_named_with_its_line(pattern: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse(f"# first\ndocs\n{pattern}\n".encode(), "web/.dockerignore")
    assert raised.value.message.startswith("web/.dockerignore:3: ")
    assert raised.value.message.endswith(pattern.strip())


@given(st.binary(max_size=60), st.lists(st.text("ab*[]!\\/.", min_size=1), min_size=1, max_size=4))
def test_any_bytes_are_rules_or_a_named_error(text: bytes, path: list[str]) -> None:
    try:
        rules = parse(text)
    except ConfigError as error:
        assert error.message.startswith(".dockerignore:")
    else:
        rules.ignores("/".join(path))


NAME = st.sampled_from(["a", "b", "ab", "c.md", ".x"])
PATTERN = st.builds(
    lambda no, parts: no + "/".join(parts),
    st.sampled_from(["", "!"]),
    st.lists(st.one_of(NAME, st.sampled_from(["*", "**", "?", "[ab]*", "*.md"])), min_size=1, max_size=3),
)


@example(["a", "!a/*/**"], {"a/a/a"})
@given(st.lists(PATTERN, max_size=5), st.sets(st.lists(NAME, min_size=1, max_size=4).map("/".join), max_size=8))
def test_the_walk_finds_what_is_not_ignored(
    tmp_path_factory: pytest.TempPathFactory, patterns: list[str], paths: set[str]
) -> None:
    """Also where a folder is not entered because nothing in it can be an exception."""
    folder = tmp_path_factory.mktemp("context")
    files = {path for path in paths if not any(other.startswith(path + "/") for other in paths)}
    for path in files:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()
    rules = parse("\n".join(patterns).encode())
    found = [entry.path for entry in rules.walk(folder) if entry.kind == "file"]
    assert sorted(found) == sorted(path for path in files if not rules.ignores(path))


def test_the_walk_tells_kinds_modes_and_empty_folders(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("12345")
    (tmp_path / "run").chmod(0o755)
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "empty/below").mkdir(parents=True)
    (tmp_path / "full/ignored.md").parent.mkdir()
    (tmp_path / "full/ignored.md").touch()
    found = [(e.path, e.kind, e.executable, e.size) for e in parse(b"**/*.md").walk(tmp_path)]
    assert found == [
        ("empty/below", "dir", False, 0),
        ("full", "dir", False, 0),
        ("link", "link", False, 0),
        ("run", "file", True, 5),
    ]


def test_an_ignored_folder_is_not_entered(tmp_path: Path) -> None:
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules/left").touch()
    (tmp_path / "app").touch()
    entered = []

    class Watching(IgnoreRules):
        def _judge(self, path: str, handed_on: list[bool] | None) -> tuple[bool, list[bool]]:
            entered.append(path)
            return super()._judge(path, handed_on)

    assert [e.path for e in Watching(parse(b"node_modules\n!docs/x").patterns).walk(tmp_path)] == ["app"]
    assert entered == ["app", "node_modules"]


def test_which_ignore_file_is_in_force(tmp_path: Path) -> None:
    dockerfile = tmp_path / "build/web.Dockerfile"
    dockerfile.parent.mkdir()
    assert ignore_file(tmp_path, dockerfile) is None
    (tmp_path / ".dockerignore").touch()
    assert ignore_file(tmp_path, dockerfile) == tmp_path / ".dockerignore"
    own = tmp_path / "build/web.Dockerfile.dockerignore"
    own.touch()
    assert ignore_file(tmp_path, dockerfile) == own
    assert ignore_file(tmp_path, None) == tmp_path / ".dockerignore"
