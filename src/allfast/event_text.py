"""Events in words: how far what travels is, what has arrived, what a check found, why nothing was done."""

from __future__ import annotations

from allfast import events
from allfast.text import megabytes, seconds, time_left, verdict

RESULT_MARKS = {"right": "ok", "wrong": "WRONG"}


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


_WORK = {
    "reading": "the server reads a layer from its engine",
    "loading": "the server's engine takes it",
    "unpacking": "the server's engine unpacks it",
}


def working(event: events.ServerWorks) -> str:
    """What the server is at: `web: the server's engine takes it: 1.0 GB of 5.0 GB, 500.0 MB/s, 8.0 s left`."""
    text = f"{event.service}: {_WORK.get(event.work, event.work)}"
    if not event.done:
        return f"{text} ({megabytes(event.total)})" if event.total else text
    if not event.total:
        return f"{text}: {megabytes(event.done)}"
    rate = event.done / event.seconds if event.seconds > 0 else 0
    left = time_left(event.total - event.done, rate)
    return f"{text}: {megabytes(event.done)} of {megabytes(event.total)}, {megabytes(rate)}/s{left}"


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


def shipped(event: events.Shipped) -> str:
    """An image that is on the server: `web: 1 of 9 layers, 1.1 kB (0.4 s)`."""
    if not event.sent:
        return f"{event.service}: the server has it"
    layers = f"{event.layers_sent} of {event.layers} layers"
    return f"{event.service}: {layers}, {megabytes(event.sent)} ({seconds(event.seconds)})"


def checked(event: events.Checked) -> str:
    """What a check found: `identity: web: sha256:... on all containers: ok`."""
    where = f"{event.service}: " if event.service else ""
    return f"{event.check}: {where}{event.text}: {RESULT_MARKS.get(event.result) or verdict(event.result)}"


def nothing_to_do(event: events.Result) -> str:
    """Why a run has changed nothing: the release is where it should be."""
    what = f"is a canary already, with {event.canary} % of the visitors" if event.canary else "is live"
    return f"Nothing to do: {event.release} {what}, proven and healthy."
