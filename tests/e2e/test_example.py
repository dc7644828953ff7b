"""The example, a real Next.js application with its api, worker, PostgreSQL and Redis, through its whole life."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from testbed.chat_app import make_chat
from testbed.server import Server
from tests.e2e.conftest import forget_builds
from tests.e2e.harness import Cli


def shows(server: Server, text: str) -> bool:
    """Whether the login page, as a visitor gets it, has a text."""
    with urllib.request.urlopen(f"{server.url()}/login", timeout=10) as reply:
        return text in reply.read().decode()


def test_the_example(machine: Server, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """First deploy, one line, rollback: the page shows each, and people can chat."""
    forget_builds("chat-example")
    machine.load("postgres:17", "node:20-slim")
    chat = make_chat(machine, tmp_path / "chat", app="chat-example")
    allfast = Cli(chat.path, machine, tmp_path_factory.mktemp("cache"))
    old = chat.tagline()

    first = allfast.deploy()
    assert {s["service"]: s["method"] for s in first.plan["services"]} == {
        "api": "clean",
        "migrate": "clean",
        "web": "clean",
        "worker": "clean",
    }
    assert [e["text"] for e in first.events if e["event"] == "note" and e["level"] == "warning"] == []
    assert [f for f in first.plan["findings"] if f["level"] == "warn"] == []
    assert shows(machine, old)

    chat.set_tagline("Said in a test.")
    second = allfast.deploy()
    assert second.service("web")["method"] == "quick"
    assert second.service("api")["method"] == "reuse"
    assert second.result["proven"]
    assert second.result["wire_bytes"] < 5_000_000
    assert shows(machine, "Said in a test.")
    smoke = subprocess.run(
        [sys.executable, "smoke.py", machine.url()],
        cwd=chat.path,
        env={"DEMO_PASSWORD": chat.password},
        capture_output=True,
        text=True,
        check=False,
    )
    assert smoke.returncode == 0, smoke.stdout

    allfast("rollback", "--json", "--yes")
    assert shows(machine, old)
    assert allfast("history", "--json").code == 0
