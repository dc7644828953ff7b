"""What is on a server, as one value: for tests which say "it is as it was", or "nothing but this has changed"."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from fnmatch import fnmatch

from testbed.common import Result

#: Where files are looked at, unless a test says otherwise. What sshd and the engine write by themselves is elsewhere.
FOLDERS = ("/var/lib/allfast", "/etc", "/root", "/home", "/tmp", "/opt", "/srv", "/usr/local")

#: What an engine leaves there for a moment at each health check.
ENGINE_OWN = ("/tmp/runc-process*",)


@dataclass(frozen=True)
class Snapshot:
    """Name -> description of each thing of a kind. Equal snapshots are equal servers, as far as they look.

    `volume_files` has no sizes and no contents: a database writes its files whenever it likes.
    """

    engine: Mapping[str, str]
    containers: Mapping[str, str]
    images: Mapping[str, str]
    volumes: Mapping[str, str]
    networks: Mapping[str, str]
    files: Mapping[str, str]
    volume_files: Mapping[str, str]

    def changes(self, later: "Snapshot") -> list[str]:
        """What is different in `later`, a line each, in words; empty when nothing is."""
        lines = []
        for field in fields(self):
            old, new = getattr(self, field.name), getattr(later, field.name)
            for name in sorted(old.keys() | new.keys()):
                if name not in new:
                    lines.append(f"{field.name}: {name} is gone, was {old[name]}")
                elif name not in old:
                    lines.append(f"{field.name}: {name} is new: {new[name]}")
                elif old[name] != new[name]:
                    lines.append(f"{field.name}: {name} was {old[name]}, is {new[name]}")
        return lines


def read_snapshot(facts: Result, ignore: Sequence[str]) -> Snapshot:
    """Make a snapshot of what `server-facts` printed; files whose path matches a pattern of `ignore` are left out."""
    kinds: dict[str, dict[str, str]] = {field.name: {} for field in fields(Snapshot)}
    for record in filter(None, facts.stdout.split("\0")):
        kind, name, value = record.split("\t", 2)
        if kind in ("files", "volume_files") and _matches(name, (*ENGINE_OWN, *ignore)):
            continue
        # A regular file has two records: what it is, and its hash
        kinds[kind][name] = f"{kinds[kind][name]} {value}" if name in kinds[kind] else value
    return Snapshot(**kinds)


def _matches(path: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch(path, pattern) for pattern in patterns)
