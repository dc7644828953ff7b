"""Ask a URL from this machine, as a visitor's computer would."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from allfast.agent.fetch import WHOLE, within
from allfast.errors import AllfastError

LONGEST_BODY = 1 << 20


class CouldNotAsk(AllfastError):  # noqa: N818 - it reads better where it is caught
    """No HTTP reply came: the name, the network, TLS or a time-out stood in the way."""


class _StayHere(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer: another page, or another host, is not what was asked."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def get(url: str, timeout: float = 10.0, headers: Mapping[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
    """Status, headers (names in lower case) and the first MiB of the body of one GET.

    Args:
        url: an http or https URL.
        timeout: seconds of each read; in three times as many all of the answer has to be there.
        headers: besides the usual ones.

    Raises:
        CouldNotAsk: no reply came.
    """
    usual = {"User-Agent": "allfast", "Cache-Control": "no-cache"}
    request = urllib.request.Request(url, headers={**usual, **(headers or {})})  # noqa: S310
    try:
        return within(timeout * WHOLE, lambda: _answer(request, timeout))
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise CouldNotAsk(f"{url}: {reason}") from error


def _answer(request: urllib.request.Request, timeout: float) -> tuple[int, dict[str, str], bytes]:
    try:
        with urllib.request.build_opener(_StayHere).open(request, timeout=timeout) as reply:
            return reply.status, _lower(reply.headers.items()), reply.read(LONGEST_BODY)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, _lower(error.headers.items()), error.read(LONGEST_BODY)


def _lower(items: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in items}
