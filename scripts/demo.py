"""The demo: deploys examples/chat to a test server, changes one line, deploys again, rolls back; proves each.

It leaves `.demo/chat` (a Git checkout with a working allfast.toml) and its server running; `make clean` removes them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from allfast.model import labels
from testbed.chat_app import make_chat
from testbed.server import Server

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / ".demo"
CHAT = DEMO / "chat"
ALLFAST = ROOT / ".venv" / "bin" / "allfast"
BEGUN = time.monotonic()
APP = "chat-demo"
NEW_LINE = "Good news travels all fast."


def say(text: str) -> None:
    """A heading, with the seconds since the start."""
    print(f"\n== {text}  [{time.monotonic() - BEGUN:.0f} s]", flush=True)


def run(*argv: str | Path, **environment: str) -> None:
    """Show a command and run it in the checkout; the demo ends where it fails."""
    words = [str(word) for word in argv]
    print(f"$ {' '.join([Path(words[0]).name, *words[1:]])}", flush=True)
    done = subprocess.run(words, cwd=CHAT, check=False, env={**os.environ, **environment})
    if done.returncode != 0:
        sys.exit(f"demo: that failed (exit code {done.returncode})")


def forget_builds() -> None:
    """Remove what an earlier demo built here, so that each demo begins with a first build."""
    mine = f"label={labels.DEPLOYMENT}={APP}"
    subprocess.run(
        ["docker", "image", "prune", "--all", "--force", "--filter", mine], check=True, stdout=subprocess.DEVNULL
    )


def prove(url: str, text: str) -> None:
    """Fetch the page as a visitor would; the demo ends unless it shows the text."""
    with urllib.request.urlopen(f"{url}/login", timeout=10) as reply:
        page = reply.read().decode()
    if text not in page:
        sys.exit(f"demo: {url}/login does not show: {text}")
    print(f"{url}/login shows: {text}", flush=True)


def main() -> None:
    """The whole demo."""
    say("A test server: a container with sshd and a Docker engine of its own")
    server = Server("demo").start(print)
    server.reset()
    forget_builds()
    shutil.rmtree(DEMO, ignore_errors=True)
    chat = make_chat(server, CHAT, app=APP)
    url, old = server.url(80), chat.tagline()

    say("First deploy: nothing is on the server yet")
    run(ALLFAST, "deploy", "--yes")
    prove(url, old)
    say("What runs")
    run(ALLFAST, "status")

    say("One line changes, is committed and pushed")
    chat.set_tagline(NEW_LINE)
    run("git", "--no-pager", "show", "--stat", "--oneline")
    say("The plan, and why")
    run(ALLFAST, "plan")
    say("The second deploy")
    run(ALLFAST, "deploy", "--yes")
    prove(url, NEW_LINE)
    run(sys.executable, "smoke.py", url, DEMO_PASSWORD=chat.password)

    say("Back to the first release")
    run(ALLFAST, "rollback", "--yes")
    prove(url, old)

    print(f"""
The demo's server goes on running: {url}/login
(user: demo, password: {chat.password})

Try next:
  cd {CHAT.relative_to(ROOT)} && export PATH="{ALLFAST.parent}:$PATH"
  allfast status
  allfast history -v
  allfast deploy
""")


if __name__ == "__main__":
    main()
