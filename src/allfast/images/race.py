"""The layers of a base under way by two ways: the server pulls them, or they are sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from allfast.agent.archive import Layer
from allfast.images.base_pull import BasePull
from allfast.images.pace import Pace
from allfast.images.pull_choice import Choice, Sending, choose, why_given_up

#: Seconds after which somebody who waits for a pull looks again whether it is worth that.
LOOK = 0.2


class Overtaken(Exception):  # noqa: N818 - it reads better where it is caught
    """The pull is there sooner than what was being sent; `wire` bytes had gone."""

    wire = 0


class Race:
    """One image's race between the pull of its base and the sending of the same layers.

    Args:
        layers: those of the base that the server's engine lacks.
        pace: that of sending.
    """

    def __init__(self, pull: BasePull, layers: Iterable[str], pace: Pace) -> None:
        self.pull = pull
        self._pace = pace
        self._left = {layer: float(pull.base.compressed[layer]) for layer in layers}

    def choice(self) -> Choice:
        """What is there sooner, as far as it can be told now."""
        return choose(self.pull.pulling, Sending(round(sum(self._left.values())), self._pace.rate))

    def settled(self, told: Callable[[BasePull], None]) -> Choice:
        """The same, when it is sure enough to act on: waits for a pull for as long as that is the sooner way.

        `told` is told of the pull before each look that is waited for.
        """
        while (choice := self.choice()) is Choice.WAIT:
            told(self.pull)
            self.pull.wait(LOOK)
        return choice

    def there(self, layers: Iterable[str]) -> None:
        """These layers need not be sent: they are in the server's layer cache."""
        for layer in layers:
            self._left.pop(layer, None)

    def go_on(self) -> None:
        """More is about to be sent: raises `Overtaken` where the pull is the sooner way, gives up one that is not."""
        choice = self.choice()
        if choice in (Choice.WAIT, Choice.PULLED):
            raise Overtaken
        if choice is Choice.SEND:
            self.pull.give_up(why_given_up(self.pull.pulling))

    def made(self, layer: Layer, at: int) -> None:
        """So many bytes of a layer are on the server."""
        if layer.diff_id in self._left:
            self._left[layer.diff_id] = self.pull.base.compressed[layer.diff_id] * (1 - at / layer.size)
