"""Maintenance: visitors get a page that says so, while who bears the key uses the application; switched at once."""

from __future__ import annotations

import secrets
from dataclasses import replace

from allfast import events
from allfast.config.load import place
from allfast.errors import ConfigError, RefusedError
from allfast.model.release import Release
from allfast.model.server import ServerFacts
from allfast.pipeline import edge, recover, run
from allfast.pipeline.beside import is_beside
from allfast.pipeline.context import Context
from allfast.proxy.rules import KEY

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Maintenance</title></head>
<body><h1>Maintenance</h1><p>We are working on this site. Please come back in a few minutes.</p></body></html>
"""


def maintenance(context: Context, *, on: bool, wait: bool) -> events.Result:
    """Close the application for visitors, or open it again. Closed once more, it has the new page and the former key.

    Raises:
        RefusedError: nothing is deployed, or it is not behind the proxy; somebody else holds the lock.
        ConfigError: the page cannot be read.
    """
    page = _page(context) if on else ""
    _require_proxy(context.server.facts())
    with run.locked(context, f"maintenance {'on' if on else 'off'}", wait) as held:
        recover.settle(context, held.unfinished)
        facts = context.server.facts()
        live = _require_proxy(facts)
        if not on and not edge.is_closed(context):
            context.note("it is open")
            return _result(context, live, on=on)
        with run.recorded(context, "maintenance", {"on": on}, live.id):
            if on:
                _close(context, page)
            else:
                edge.open_again(context)
                context.note("visitors get the application again")
    return _result(context, live, on=on)


def _close(context: Context, page: str) -> None:
    former = edge.key_of_closed(context)  # others may be working with it
    token = former or secrets.token_urlsafe(16)
    edge.close(context, page, token)
    state = "it was closed already, and its key stays" if former else "visitors get the page"
    context.note(f"{state}; requests with the header {KEY}: {token} pass")


def _result(context: Context, live: Release, *, on: bool) -> events.Result:
    """The last event; its words are its own, because nothing was brought to the visitors and proven."""
    return replace(run.result(context, "done", live), text="Closed for maintenance." if on else "Open for visitors.")


def _require_proxy(facts: ServerFacts) -> Release:
    """The live release, which the proxy must lead to."""
    if facts.live is None:
        raise RefusedError("nothing is deployed here yet", hint="run `allfast deploy` first")
    if not is_beside(facts.live):
        text = 'the live release has the strategy "recreate": no proxy stands before it'
        raise RefusedError(text, hint='deploy it with strategy = "side-by-side" first')
    return facts.live


def _page(context: Context) -> str:
    """The page that `[proxy] closed_page` names, or one that says so in a sentence."""
    config = context.project.config
    if config.toml.proxy.closed_page is None:
        return PAGE
    path = config.folder / config.toml.proxy.closed_page
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        what = f"{place(config, 'proxy', 'closed_page')}: {config.toml.proxy.closed_page} cannot be read: {reason}"
        raise ConfigError(what, hint="name a file of the project: a page in HTML, in UTF-8") from error
