"""`python -m scripts.again CODE`: after a run of the suite that ended with CODE, its failed tests once more, alone.

What waits for containers, reboots and networks of a busy machine can fail there for reasons of the machine. Such a test
passes by itself, and is printed as FLAKY: it is a fault to be mended, but none that says that the change is wrong.
Where more than a few fail, or one that needs no server, nothing is run again.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

#: So many failures may be the machine's.
MOST = 3
FAILED = 1
CACHE = Path(".pytest_cache/v/cache/lastfailed")


def main() -> int:
    """The exit code for the whole."""
    code = int(sys.argv[1])
    failed = sorted(json.loads(CACHE.read_text())) if CACHE.exists() else []
    if code != FAILED or not 0 < len(failed) <= MOST or any(name.startswith("tests/unit/") for name in failed):
        return code
    print(f"\n{len(failed)} of the suite failed; once more, alone:", flush=True)
    words = [sys.executable, "-m", "pytest", "--last-failed", "--last-failed-no-failures", "none"]
    again = subprocess.run(words, check=False).returncode
    if again == 0:
        print("\n".join(f"FLAKY {name}: failed beside the others, passes alone" for name in failed))
    return again


if __name__ == "__main__":
    sys.exit(main())
