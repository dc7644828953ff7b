"""The docs are held to the code: what they name is there, and what is there is named."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer.main

from allfast import __version__
from allfast.cli import app
from allfast.config.model import AllfastToml
from scripts import write_docs

ROOT = Path(__file__).resolve().parents[2]
DOCS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "bench/README.md"])
FOLDERS = ("src/", "docs/", "tests/", "testbed/", "scripts/", "bench/", "chaos/", "examples/", ".ci/")
#: What a public text may link to; no other host has a place in it.
HOSTS = ("example.com", "keepachangelog.com", "semver.org")

COMMANDS: dict[str, Any] = dict(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
FLAG = re.compile(r"(?<![\w-])(--?[a-z][a-z-]*)")


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


each_document = pytest.mark.parametrize("path", DOCS, ids=named)
each_command = pytest.mark.parametrize("command", COMMANDS)


def anchors(path: Path) -> set[str]:
    """The anchors of a document's headings, as forges make them."""
    headings = re.findall(r"(?m)^#+ (.*)$", path.read_text())
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_document
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


@each_document
def test_files_that_are_named_exist(path: Path) -> None:
    for words in re.findall(r"`([^`\n]+)`", path.read_text()):
        for word in words.split():
            if not re.fullmatch(r"[\w./-]+", word):
                continue
            if word.startswith(FOLDERS) or word.endswith(".py"):
                assert (ROOT / word).exists() or (ROOT / "src/allfast" / word).exists(), word


@each_document
def test_only_the_project_is_spoken_of(path: Path) -> None:
    text = path.read_text()
    hosts = re.findall(r"(?<![\w@/.-])(?:https?://)?((?:[a-z0-9-]+\.)+(?:com|org|io|net|dev))\b", text)
    assert [host for host in hosts if not host.endswith(HOSTS)] == []


@pytest.mark.parametrize("file", write_docs.PARTS)
def test_what_is_made_from_the_code_is_up_to_date(file: str) -> None:
    assert write_docs.renewed(file) == (ROOT / file).read_text(), "run: python scripts/write_docs.py"


def sections() -> dict[str, str]:
    """docs/commands.md by command; what all have in common, under the empty name."""
    parts = re.split(r"(?m)^## `allfast (\w+)[^`]*`$", (ROOT / "docs/commands.md").read_text())
    found = dict(zip(parts[1::2], parts[2::2], strict=True))
    if "all flags of\n`plan`" in found["deploy"]:
        found["deploy"] += found["plan"]
    return {"": parts[0], **found}


def flags(command: str) -> set[str]:
    """All spellings of a command's options."""
    arguments = COMMANDS[command].params
    return {word for one in arguments if one.param_type_name == "option" for word in one.opts} | {"-h", "--help"}


def test_the_commands_are_those_that_there_are() -> None:
    assert set(sections()) - {""} == set(COMMANDS)


@each_command
def test_every_flag_is_described_and_no_other(command: str) -> None:
    text = sections()
    common, own = set(FLAG.findall(text[""])), set(FLAG.findall(text[command]))
    assert flags(command) <= common | own
    assert own <= flags(command)


def test_common_flags_are_common() -> None:
    common = set.intersection(*(flags(command) for command in COMMANDS))
    assert set(FLAG.findall(sections()[""])) == common | {"--version"}


def keys(model: dict[str, Any], definitions: dict[str, Any]) -> set[str]:
    """All keys of a JSON Schema, also those of tables below."""
    found: set[str] = set()
    for name, value in model.get("properties", {}).items():
        found.add(name)
        for below in re.findall(r"#/\$defs/(\w+)", str(value)):
            found |= keys(definitions[below], definitions)
    return found


def test_every_key_is_in_the_configuration() -> None:
    schema = AllfastToml.model_json_schema()
    text = (ROOT / "docs/configuration.md").read_text()
    wanted = keys(schema, schema["$defs"])
    assert len(wanted) > 20
    assert {key for key in wanted if not re.search(rf"(?m)(^|[{{,] ?|\[){key}( =|\.|\])", text)} == set()


def test_the_glossary_comes_first() -> None:
    headings = re.findall(r"(?m)^## (.*)$", (ROOT / "docs/design.md").read_text())
    assert headings[0] == "Glossary"
    assert headings[-1] == "Not there yet"


def test_the_changelog_has_this_version() -> None:
    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_decisions_are_numbered_without_gaps() -> None:
    files = sorted((ROOT / "docs/decisions").glob("*.md"))
    numbers = [int(file.name[:4]) for file in files]
    assert numbers == list(range(1, len(files) + 1))
    for number, file in zip(numbers, files, strict=True):
        assert file.read_text().startswith(f"# {number}. ")


INCIDENTS = (ROOT / "docs/incidents.md").read_text()


def incidents_elsewhere() -> dict[str, str]:
    """Incident -> the file of its test, of those that are not in test_incidents.py."""
    head = INCIDENTS.partition("| # |")[0]
    named_in = re.findall(r"([\d, and]+) in `(tests/e2e/\w+\.py)`", head.partition("another file:")[2])
    return {number: file for numbers, file in named_in for number in re.findall(r"\d+", numbers)}


def test_each_incident_has_its_test_where_it_is_said_and_the_other_way_round() -> None:
    told = re.findall(r"(?m)^\| (\d+) \|", INCIDENTS)
    where = dict.fromkeys(told, "tests/e2e/test_incidents.py") | incidents_elsewhere()
    assert sorted(where, key=int) == told
    there: dict[str, set[str]] = {}
    for file in sorted((ROOT / "tests/e2e").rglob("test_*.py")):
        text = file.read_text()
        found = re.findall(r"def test_((?:\d+_)+)", text) + re.findall(r"incidents? (\d+(?: and \d+)*)", text)
        there[named(file)] = {number for numbers in found for number in re.findall(r"\d+", numbers)}
    assert {number: file for number, file in where.items() if number not in there[file]} == {}
    assert set.union(*there.values()) <= set(told)


def test_the_contributing_page_fits_its_rules() -> None:
    assert len((ROOT / "CONTRIBUTING.md").read_text().splitlines()) < 80
