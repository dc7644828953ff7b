"""Starts the agent. Written so that any Python 3 can read it, because it tells when the server's is too old.

Arguments: one word, the JSON of the connection's settings in base64. They are not secret.
"""

import sys


def main() -> int:
    """Check that this Python can run the agent, and run it; the exit status."""
    if sys.version_info < (3, 9):
        return fail("old-python %d.%d" % sys.version_info[:2])
    try:
        import sqlite3  # noqa: F401
    except ImportError:
        return fail("no-sqlite")
    try:
        import base64
        import json

        from allfast.agent import retire, serve
    except ImportError as error:
        return fail("incomplete-python %s" % error.name)
    args = json.loads(base64.urlsafe_b64decode(sys.argv[1]))
    return retire.run(args) if "retire" in args else serve.serve(args)


def fail(kind: str) -> int:
    """Tell the laptop why the agent cannot run."""
    sys.stdout.write("allfast-agent error %s\n" % kind)
    sys.stdout.flush()
    return 1


if __name__ == "__main__":
    sys.exit(main())
