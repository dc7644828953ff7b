"""How the agent gets to a machine and starts there: the zip file, and the command that runs or asks for it.

The zip file is made of the package's own files, byte for byte the same everywhere, and named by its hash. On the
server a few lines of `sh` look for it in the login's cache and run it, or say `need` and take it from their input;
then it lives in memory until the agent takes a lock (agent/cache.py).
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import shlex
import zipfile
from binascii import b2a_base64
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import allfast.agent
from allfast.agent.protocol import MARK

#: The options keep the login's Python settings, and what is installed beside it, out.
_PYTHON = "python3 -I -S -B"

# In words that every sh reads. $1: name of the zip file, $2: settings, $3: the receiver, $4: size of the zip file
_SCRIPT = f"""
p="${{XDG_CACHE_HOME:-$HOME/.cache}}/allfast/$1";
command -v python3 >/dev/null 2>&1 || {{ echo {MARK}error no-python; exit 1; }};
[ -f "$p" ] && exec {_PYTHON} "$p" "$2";
exec {_PYTHON} -c "import binascii,sys;exec(binascii.a2b_base64(sys.argv[1]))" "$3" "$4" "$2"
"""

# Reads the zip file into memory and runs it from there. Any Python 3 must be able to read this.
_RECEIVER = f"""
import os, sys, tempfile
size = int(sys.argv[2])
os.write(1, b"{MARK}need\\n")
data = b""
while len(data) < size:
    part = os.read(0, size - len(data))
    if not part:
        sys.exit(1)
    data += part
try:
    fd = os.memfd_create("allfast-agent", 0)
except (AttributeError, OSError):
    fd, name = tempfile.mkstemp()
    os.unlink(name)
os.set_inheritable(fd, True)
view = memoryview(data)
while view:
    view = view[os.write(fd, view):]
os.execv(sys.executable, [sys.executable, "-I", "-S", "-B", "/proc/self/fd/%d" % fd, sys.argv[3]])
"""


@dataclass(frozen=True, slots=True)
class Package:
    """The agent as it is sent."""

    data: bytes
    digest: str  # SHA-256, hex

    @property
    def name(self) -> str:
        """Its name in the server's cache (agent/cache.py makes the same)."""
        return f"agent-{self.digest[:16]}.pyz"


@cache
def package() -> Package:
    """The agent's zip file."""
    folder = Path(allfast.agent.__file__).parent
    sources = {f"allfast/agent/{path.name}": path.read_bytes() for path in sorted(folder.glob("*.py"))}
    sources["allfast/__init__.py"] = b""
    sources["__main__.py"] = (folder / "__main__.py").read_bytes()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, source in sources.items():
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, source, zipfile.ZIP_DEFLATED, 9)
    data = buffer.getvalue()
    return Package(data, hashlib.sha256(data).hexdigest())


def settings_word(settings: dict[str, Any]) -> str:
    """The connection's settings as one word that no shell changes."""
    return base64.urlsafe_b64encode(json.dumps(settings).encode()).decode()


def command(settings: dict[str, Any]) -> str:
    """The command line for the login's shell, whichever that is: no newline, no quote within quotes."""
    agent = package()
    script = " ".join(_SCRIPT.split())
    receiver = b2a_base64(_RECEIVER.encode(), newline=False).decode()
    words = [agent.name, settings_word(settings), receiver, str(len(agent.data))]
    return f"exec sh -c {shlex.quote(script)} allfast {' '.join(words)}"
