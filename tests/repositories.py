"""Real Git repositories for tests: all commits within one second, whatever the machine's clock and Git settings say."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

TIME = 1_700_000_000  # of every commit
IDENTITY = {
    "GIT_AUTHOR_NAME": "Test",
    "GIT_AUTHOR_EMAIL": "test@example.com",
    "GIT_AUTHOR_DATE": f"{TIME} +0000",
    "GIT_COMMITTER_NAME": "Test",
    "GIT_COMMITTER_EMAIL": "test@example.com",
    "GIT_COMMITTER_DATE": f"{TIME} +0000",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
}


@dataclass(frozen=True)
class Repository:
    """A working tree with its .git."""

    path: Path

    def git(self, *words: str) -> str:
        """Run git in it and return what it prints."""
        command = ["git", "-C", str(self.path), "-c", "protocol.file.allow=always", *words]
        done = subprocess.run(command, capture_output=True, check=False, env={**os.environ, **IDENTITY})
        assert done.returncode == 0, f"{command}: {done.stderr.decode()}"
        return os.fsdecode(done.stdout).strip()

    @property
    def head(self) -> str:
        return self.git("rev-parse", "HEAD")

    def write(self, files: Mapping[str, str | bytes]) -> None:
        for name, body in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body.encode() if isinstance(body, str) else body)

    def commit(self, files: Mapping[str, str | bytes], message: str = "A change") -> str:
        """Write the files, commit everything, and return the commit."""
        self.write(files)
        self.git("add", "-A")
        self.git("commit", "--allow-empty", "-m", message)
        return self.head


def make_repository(path: Path, files: Mapping[str, str | bytes]) -> Repository:
    """A new repository at `path` with one commit of the files; without files it has no commit."""
    repository = Repository(path)
    path.mkdir(parents=True)
    repository.git("init", "-q", "-b", "main")
    if files:
        repository.commit(files, "First")
    return repository
