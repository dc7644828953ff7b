"""What an engine was asked for, by its own events."""

import json
import time
from collections.abc import Callable


class Look:
    """What an engine was asked for about an image since this was made, by its own events."""

    def __init__(self, docker: Callable[..., str], image: str) -> None:
        self._docker, self._image = docker, image
        self._since = time.time()

    def actions(self) -> list[str]:
        window = ("--since", f"{self._since:.9f}", "--until", f"{time.time():.9f}")
        lines = self._docker("events", *window, "--filter", f"image={self._image}", "--format", "{{json .}}")
        return [json.loads(line)["Action"] for line in lines.splitlines()]

    def ways(self) -> set[str]:
        """Of "store" and "save", the ways by which layers were given."""
        names = {"archive-path": "store", "save": "save"}
        return {names[action] for action in self.actions() if action in names}
