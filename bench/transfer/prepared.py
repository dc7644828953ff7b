"""States that legs begin with, made once and brought back before each of them: cheaper than made anew."""

from __future__ import annotations

import shutil
from pathlib import Path

from bench.transfer.bed import Bed
from testbed.common import wait_until

#: Of all scripts: $1 is the root of the server's files (empty: /), $2 the name of a state. It is kept in the volume of
#: the engine's own files, so that a layer's files can be linked. The engine takes no notice of it.
BEGIN = """\
set -euo pipefail
cd "$1/var/lib/docker"
state=prepared/$2
"""
#: Files of layers never change once they are written; all else is copied, for an engine writes it in place.
KEEP = f"""\
{BEGIN}
mkdir -p prepared
mkdir "$state" "$state/docker" "$state/lib" "$state/home"
cp -al overlay2 "$state/docker/"
find . -mindepth 1 -maxdepth 1 ! -name overlay2 ! -name prepared -exec cp -a -t "$state/docker" {{}} +
if [ -d "$1/var/lib/allfast" ]; then cp -a "$1/var/lib/allfast" "$state/lib"; fi
if [ -d "$1/root/.cache" ]; then cp -a "$1/root/.cache" "$state/home"; fi
sync
"""
#: What was there goes aside, and of it only what is big is removed before the bench ends: for minutes after it has lost
#: many files ext4 is slow to make new ones (it passes over each inode that was freed a moment ago), which would be
#: measured next.
BRING_BACK = f"""\
{BEGIN}
aside=$(mktemp -d prepared/aside-XXXXXX)
find . -mindepth 1 -maxdepth 1 ! -name prepared -exec mv -t "$aside" {{}} +
find "$aside" -type f -size +256k -delete
rm -rf "$1/var/lib/allfast" "$1/root/.cache"
cp -al "$state/docker/overlay2" .
find "$state/docker" -mindepth 1 -maxdepth 1 ! -name overlay2 -exec cp -a -t . {{}} +
cp -a "$state/lib/." "$1/var/lib"
cp -a "$state/home/." "$1/root"
sync
"""
FORGET = f"""\
{BEGIN}
find "$state" -type f -size +256k -delete
mv -T "$state" "$(mktemp -d prepared/aside-XXXXXX)"
"""
SECONDS = 300


class Prepared:
    """Kept states, by name: the server, what allfast remembers on the laptop, the registry."""

    def __init__(self, bed: Bed) -> None:
        self.bed = bed
        self.folder = bed.folder / "prepared"
        self.names: set[str] = set()

    def keep(self, name: str) -> None:
        """The state at hand can be brought back by this name from now on."""
        self._with_the_engine_stopped(KEEP, name)
        for folder in self._on_the_laptop():
            if folder.exists():
                shutil.copytree(folder, self.folder / name / folder.name)
        self.names.add(name)

    def bring_back(self, name: str) -> None:
        """Begin with it: the server's containers run, as after a reboot."""
        self.bed.server.reset(keep_images=True)
        self._with_the_engine_stopped(BRING_BACK, name)
        for folder in self._on_the_laptop():
            shutil.rmtree(folder, ignore_errors=True)
            if (kept := self.folder / name / folder.name).exists():
                shutil.copytree(kept, folder)

    def forget(self, name: str) -> None:
        """Give the room back, small files apart."""
        self.bed.server.exec(["bash", "-c", FORGET, "bash", "", name], timeout=SECONDS)
        shutil.rmtree(self.folder / name, ignore_errors=True)
        self.names.remove(name)

    def _on_the_laptop(self) -> tuple[Path, ...]:
        return (self.bed.cache, self.bed.registry_data)

    def _with_the_engine_stopped(self, script: str, name: str) -> None:
        server = self.bed.server
        server.stop_dockerd()
        server.exec(["bash", "-c", script, "bash", "", name], timeout=SECONDS)
        server.start_dockerd()
        wait_until(self._healthy, f"the containers of {server.name}", SECONDS)

    def _healthy(self) -> bool:
        return not self.bed.server.docker("ps", "-q", "--filter", "health=starting").stdout.strip()
