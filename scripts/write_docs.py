"""Writes the parts of docs/ that are made from the code: the table of errors, and the example configuration.

`python scripts/write_docs.py` after a change of either; tests/unit/test_docs.py fails while they differ.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from allfast import errors

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- made by scripts/write_docs.py: begin -->", "<!-- end -->"


def error_table() -> str:
    """All exception classes with their exit codes, a class below the one that it belongs to."""
    lines = ["| error | exit code | what it says |", "|---|---|---|"]
    return "\n".join(lines + _rows(errors.AllfastError, 0))


def _rows(kind: type[errors.AllfastError], depth: int) -> list[str]:
    said = " ".join(inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0].split())
    rows = [f"| {'&nbsp;' * 4 * depth}`{kind.__name__}` | {kind.exit_code} | {said} |"]
    below = [one for one in kind.__subclasses__() if one.__module__ == errors.__name__]
    return rows + [row for one in below for row in _rows(one, depth + 1)]


def example() -> str:
    """The commented example, which names every key."""
    return f"```toml\n{(ROOT / 'src/allfast/config/example.toml').read_text().rstrip()}\n```"


#: File -> what stands in it between the marks.
PARTS = {"docs/errors.md": error_table, "docs/configuration.md": example}


def renewed(file: str) -> str:
    """The file's text as it should be."""
    text = (ROOT / file).read_text()
    pattern = re.compile(f"(?s){re.escape(BEGIN)}.*?{re.escape(END)}")
    body = PARTS[file]()
    found, count = pattern.subn(lambda _: f"{BEGIN}\n{body}\n{END}", text)
    if count != 1:
        raise SystemExit(f"{file} has no marks, or too many")
    return found


def main() -> None:
    """Write what differs."""
    for file in PARTS:
        text = renewed(file)
        if text != (ROOT / file).read_text():
            (ROOT / file).write_text(text)
            print(f"wrote {file}")


if __name__ == "__main__":
    main()
