"""The layers of a base that the server pulls by itself: sent all the same, where that is the sooner way."""

from __future__ import annotations

from dataclasses import replace

from allfast.images.base_pull import BasePull
from allfast.images.cargo import Destination, Freight
from allfast.images.pull_choice import Choice
from allfast.images.pulls import Pulls
from allfast.images.race import Overtaken, Race
from allfast.images.to_cache import Sent, Transfer


class Bases:
    """What a shipment does about the bases of its images."""

    def __init__(self, pulls: Pulls, transfer: Transfer, server: Destination) -> None:
        self._pulls, self._transfer, self._server = pulls, transfer, server

    def send(self, freight: Freight) -> Sent:
        """Send what is the image's own, and then its base, but for what is pulled sooner; waits for no pull.

        Raises what `Transfer.send` raises but `Overtaken`.
        """
        pull = self._pulls.of(freight)
        if pull is None:
            return self._transfer.send(freight)
        sent = replace(self._transfer.send(replace(freight, have=pull.count)), base=pull)
        race = self._race(freight, pull)
        if race.choice() in (Choice.WAIT, Choice.PULLED):
            return sent
        return self._raced(freight, sent, race)

    def settled(self, freight: Freight, sent: Sent) -> tuple[Freight, Sent]:
        """Have the layers of the base on the server in one way or the other: all others are there.

        Raises what `Transfer.send` raises but `Overtaken`.
        """
        while sent.base is not None and freight.have < sent.base.count:
            race = self._race(freight, sent.base)
            if race.settled(self._pulls.waited_for) is Choice.PULLED:
                return self._pulled(freight, sent, sent.base)
            sent = self._raced(freight, sent, race)
        return freight, replace(sent, base=None)

    def _pulled(self, freight: Freight, sent: Sent, pull: BasePull) -> tuple[Freight, Sent]:
        have = self._server.layers(freight.local.diff_ids)
        if have < pull.count:  # somebody has removed it again
            return freight, sent.and_then(self._transfer.send(freight))
        layers = freight.local.diff_ids[freight.have : pull.count]
        self._pulls.used(pull, sum(pull.base.compressed[layer] for layer in layers))
        return replace(freight, have=have), replace(sent, base=None)

    def _race(self, freight: Freight, pull: BasePull) -> Race:
        return Race(pull, freight.local.diff_ids[freight.have : pull.count], self._transfer.pace)

    def _raced(self, freight: Freight, sent: Sent, race: Race) -> Sent:
        """Send the base; where the pull overtakes that, it is still to be settled."""
        try:
            more = self._transfer.send(freight, race)
        except Overtaken as error:
            return replace(sent, wire=sent.wire + error.wire)
        self._pulls.lost(race.pull)
        return sent.and_then(more)
