"""How far what travels is, in words: of layers that are sent, and of a base that the server pulls by itself."""

from __future__ import annotations

from allfast import events
from allfast.text import megabytes, time_left


def shipping(event: events.ShipProgress) -> str:
    """An image that is on its way: `web: 10.0 MB of 30.0 MB, 5.0 MB/s, 4.0 s left`."""
    rate = (event.sent - event.found) / event.seconds if event.seconds > 0 else 0
    of = f" of {megabytes(event.total)}" if event.total else ""
    whole = ""
    if event.all_total > event.total:
        whole = f"; all images: {megabytes(event.all_sent)} of {megabytes(event.all_total)}"
        whole += time_left(event.all_total - event.all_sent, rate)
    wire = f", {megabytes(event.wire)} on the wire" if event.wire else ""
    left = time_left(event.total - event.sent, rate)
    return f"{event.service}: {megabytes(event.sent)}{of}, {megabytes(rate)}/s{left}{wire}{whole}"


def pulling(event: events.BasePulled) -> str:
    """A pull that is under way: its beginning and its end, or how far it is where it is waited for."""
    name, _, digest = event.image.partition("@")
    image, size = f"{name}@{digest[:19]}", megabytes(event.bytes)
    if event.state == "began":
        return f"the server pulls {image} ({size}) while other layers are sent"
    if event.state == "pulling" and event.bytes:
        return f"{image}: {size} to go, {megabytes(event.rate)}/s{time_left(event.bytes, event.rate)}"
    if event.state == "pulling":
        return f"{image}: fetched; the server unpacks it"
    if event.state == "done":
        return f"the server has pulled {image}: {size} not sent"
    if event.state == "given-up":
        return f"the pull of {image} is given up ({event.cause}): its layers are sent"
    return f"the server could not pull {image} ({event.cause}): its layers are sent"
