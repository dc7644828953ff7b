"""The agent as a whole: what it is made of, and that it speaks of the same labels."""

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import allfast.agent
from allfast.agent import cache
from allfast.agent import labels as labels_of_the_agent
from allfast.agent.requests import REQUESTS
from allfast.model import labels
from allfast.remote import bootstrap
from allfast.remote import server as remote

SOURCES = sorted(Path(allfast.agent.__file__).parent.glob("*.py"))


def test_it_needs_the_standard_library_only() -> None:
    for source in SOURCES:
        for node in ast.walk(ast.parse(source.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert name.startswith("allfast.agent") or name.split(".")[0] in sys.stdlib_module_names, (source, name)


def test_it_is_read_by_python_3_9() -> None:
    for source in SOURCES:
        ast.parse(source.read_text(), feature_version=(3, 9))
    start = next(source for source in SOURCES if source.name == "__main__.py")
    ast.parse(start.read_text(), feature_version=(3, 4))


def test_its_package_is_small_and_always_the_same() -> None:
    package = bootstrap.package()
    bootstrap.package.cache_clear()
    assert bootstrap.package() == package
    assert len(package.data) < 118_000
    assert len(bootstrap.command({"silence": 30})) < 4_000


def test_its_labels_are_those_of_the_model() -> None:
    names = ("DEPLOYMENT", "SERVICE", "COMMIT", "INPUTS", "METHOD", "SETTINGS", "RELEASE")
    assert [getattr(labels_of_the_agent, name) for name in names] == [getattr(labels, name) for name in names]


def test_every_request_is_one_that_the_laptop_makes() -> None:
    made = {
        node.args[0].value
        for source in sorted(Path(remote.__file__).parent.glob("*.py"))
        for node in ast.walk(ast.parse(source.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("call", "post", "tell")
        and isinstance(node.args[0], ast.Constant)
        and node.args[0].value != "goodbye"
    }
    assert made == set(REQUESTS)


def module_file(zip_file: Path) -> str:
    """Which file of the zip a module of the agent is loaded from."""
    program = "import sys; sys.path.insert(0, sys.argv[1]); from allfast.agent import serve; print(serve.__file__)"
    words = [sys.executable, "-I", "-S", "-B", "-c", program, str(zip_file)]
    return Path(subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()).name


def test_the_kept_agent_need_not_be_compiled_again(tmp_path: Path) -> None:
    kept = tmp_path / "agent.pyz"
    kept.write_bytes(bootstrap.package().data)
    assert module_file(kept) == "serve.py"
    kept.write_bytes(cache.compiled(bootstrap.package().data))
    assert module_file(kept) == "serve.pyc"


def test_another_python_takes_the_source_of_the_kept_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "MAGIC_NUMBER", b"xx\r\n")
    kept = tmp_path / "agent.pyz"
    kept.write_bytes(cache.compiled(bootstrap.package().data))
    assert module_file(kept) == "serve.py"
