"""The `allfast` command. `--version` answers before anything heavy is imported."""

from __future__ import annotations

import io
import sys


def run() -> None:
    """The console script's entry point; exits with the codes of allfast.errors."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a sign that the terminal cannot show is no reason to fail
            stream.reconfigure(errors="backslashreplace")
    if sys.argv[1:] == ["--version"]:
        from allfast import __version__

        sys.stdout.write(f"allfast {__version__}\n")
        return
    try:
        from allfast.cli import app
    except KeyboardInterrupt:  # before there is anything that could be undone
        sys.exit(130)
    app()


if __name__ == "__main__":
    run()
