"""The rules of the structure: who may import whom, who may print, how long a file may be, what must say what it is.

    cli -> pipeline -> {source, planning, images, engines, checks, proxy} -> {transfer, remote}
    -> {config, model, events, errors, folders, redact, text}

The agent imports the standard library and itself: it runs alone on a server. Nobody imports cli.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "allfast"
LONGEST = 300

#: What stands at the bottom: values and words that everybody may use.
GROUND = {"", "errors", "events", "folders", "model", "text"}
#: Part of the package (a folder or a module) -> the parts that it may import, besides itself and the ground.
MAY_IMPORT = {
    "agent": set[str](),
    "model": set[str](),
    "errors": set[str](),
    "events": set[str](),
    "folders": set[str](),
    "text": set[str](),
    "redact": set[str](),
    "config": {"redact"},
    # What both ends must do in the same way (parts, indexes, recipes) runs on the server, too
    "transfer": {"agent"},
    "remote": {"agent", "config", "redact"},
    "checks": {"remote", "config"},
    # The engine's API client and the container labels are the agent's: one copy for both ends
    "engines": {"agent", "remote", "config"},
    "source": {"config"},
    "planning": {"config"},
    "proxy": {"remote", "agent", "config"},
    "images": {"transfer", "remote", "agent", "config"},
    "pipeline": {
        "proxy",
        "source",
        "planning",
        "images",
        "engines",
        "checks",
        "transfer",
        "remote",
        "agent",
        "config",
        "redact",
    },
    "plan_text": set[str](),
    "event_text": set[str](),
    "console": {"plan_text", "event_text", "redact"},
    "cli": {"pipeline", "remote", "config", "redact", "console", "plan_text"},
    "__main__": {"cli"},
}
#: What the agent may import: it has no ground but its own.
ALONE = "agent"
#: `__main__` answers --version before anything is imported.
PRINTERS = ("console.py", "__main__.py")


def modules(source: Path) -> list[Path]:
    """All Python files of the package, relative to it."""
    return sorted(file.relative_to(source) for file in source.rglob("*.py"))


def part_of(module: Path) -> str:
    """The part that a file belongs to: its top folder, or the module itself; "" for the package."""
    return "" if module == Path("__init__.py") else module.parts[0].removesuffix(".py")


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every module that is imported anywhere in a tree, with its line; relative imports as "."."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            name = "." * node.level + (node.module or "")
            if name == "allfast":  # `from allfast import events`
                yield from ((node.lineno, f"allfast.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, name


def import_errors(source: Path, module: Path) -> Iterator[str]:
    """The imports of a file that the rules do not allow."""
    part = part_of(module)
    allowed = {part, *MAY_IMPORT.get(part, set()), *(set() if part == ALONE else GROUND)}
    for line, name in imported(ast.parse((source / module).read_text())):
        head, _, rest = name.partition(".")
        if name.startswith("."):
            yield f"{module}:{line}: relative import"
        elif head == "allfast":
            other = rest.partition(".")[0]
            if other.startswith("__"):  # allfast.__version__
                other = ""
            if other not in allowed and not other.startswith("_"):
                yield f"{module}:{line}: {part or 'the package'} may not import {other}"
        elif part == ALONE and head not in sys.stdlib_module_names:
            yield f"{module}:{line}: the agent may not import {head}: a server may lack it"


def print_errors(source: Path, module: Path) -> Iterator[str]:
    """Calls that write to stdout or stderr where nobody may; typer.echo is for --version."""
    if module.name in PRINTERS or part_of(module) == ALONE:
        return
    for node in ast.walk(ast.parse((source / module).read_text())):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in ("print", "sys.stdout.write", "sys.stderr.write"):
                yield f"{module}:{node.lineno}: {called}: emit an event, or return a value"
            if called == "typer.echo" and part_of(module) != "cli":
                yield f"{module}:{node.lineno}: typer.echo outside of cli"


def agent_prints(source: Path) -> Iterator[str]:
    """The agent's stdout carries its protocol: a print would break it."""
    for module in modules(source):
        if part_of(module) == ALONE:
            for node in ast.walk(ast.parse((source / module).read_text())):
                if not isinstance(node, ast.Call) or ast.unparse(node.func) != "print":
                    continue
                if not any(key.arg == "file" for key in node.keywords):
                    yield f"{module}:{node.lineno}: print on the protocol's stream"


def docstring_errors(source: Path, module: Path) -> Iterator[str]:
    """Public modules, classes, functions and methods without a docstring."""
    tree = ast.parse((source / module).read_text())
    if ast.get_docstring(tree) is None and (source / module).read_text().strip():
        yield f"{module}: the module says nothing of itself"
    for node in public(tree.body):
        if ast.get_docstring(node) is None and not node.name.startswith("_"):
            yield f"{module}:{node.lineno}: {node.name} has no docstring"


Named = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def public(body: list[ast.stmt]) -> Iterator[Named]:
    """The public definitions of a module or class, and those in public classes."""
    for node in body:
        if isinstance(node, Named) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body)


ALL = modules(SOURCE)


def test_there_is_something_to_look_at() -> None:
    """A wrong path would make every rule hold."""
    assert len(ALL) > 80
    assert {part_of(module) for module in ALL} - {""} == MAY_IMPORT.keys()


def test_nobody_may_import_cli() -> None:
    """But the way in."""
    assert [part for part, others in MAY_IMPORT.items() if "cli" in others] == ["__main__"]


def test_the_parts_are_in_layers() -> None:
    """The rules themselves have no circle."""
    import graphlib

    assert list(graphlib.TopologicalSorter(MAY_IMPORT).static_order())


@pytest.mark.parametrize("module", ALL, ids=str)
def test_module(module: Path) -> None:
    """One file keeps all rules."""
    found = [
        *import_errors(SOURCE, module),
        *print_errors(SOURCE, module),
        *docstring_errors(SOURCE, module),
    ]
    lines = len((SOURCE / module).read_text().splitlines())
    if lines > LONGEST:
        found.append(f"{module}: {lines} lines, more than {LONGEST}: it is two things")
    assert not found, "\n".join(found)


def test_the_agent_prints_nothing_but_its_protocol() -> None:
    """See `agent_prints`."""
    assert list(agent_prints(SOURCE)) == []


@pytest.mark.parametrize(
    ("path", "text", "complaint"),
    [
        ("config/x.py", "from allfast.planning.plan import make_plan", "config may not import planning"),
        ("model/x.py", "def f():\n    import allfast.config.load", "model may not import config"),
        ("transfer/x.py", "from allfast import redact", "transfer may not import redact"),
        ("pipeline/x.py", "from allfast.cli.common import terminal", "pipeline may not import cli"),
        ("pipeline/x.py", "from allfast.console import Console", "pipeline may not import console"),
        ("agent/x.py", "from allfast.model import labels", "agent may not import model"),
        ("agent/x.py", "import pydantic", "the agent may not import pydantic"),
        ("remote/x.py", "from . import ssh", "relative import"),
        ("checks/x.py", "print('well')", "print: emit"),
        ("pipeline/x.py", "import sys\nsys.stdout.write('well')", "sys.stdout.write: emit"),
        ("pipeline/x.py", "import typer\ntyper.echo('well')", "typer.echo outside"),
        ("checks/x.py", "class A:\n    'It is.'\n    def f(self): pass", "f has no docstring"),
        ("checks/x.py", "VALUE = 1", "says nothing"),
    ],
)
def test_a_wrong_module_is_caught(tmp_path: Path, path: str, text: str, complaint: str) -> None:
    """Each rule is seen to fail."""
    file = tmp_path / path
    file.parent.mkdir()
    file.write_text(text)
    module = Path(path)
    rules = (import_errors, print_errors, docstring_errors)
    found = [error for rule in rules for error in rule(tmp_path, module)]
    assert any(complaint in error for error in found), found


def test_a_print_of_the_agent_is_caught(tmp_path: Path) -> None:
    """On stdout; a diagnostic on stderr is none."""
    (tmp_path / "agent").mkdir()
    (tmp_path / "agent/x.py").write_text("import sys\nprint('a', file=sys.stderr)\nprint('b')\n")
    assert list(agent_prints(tmp_path)) == ["agent/x.py:3: print on the protocol's stream"]
