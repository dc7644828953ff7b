#!/usr/bin/env python3
"""Use the running chat as a person would: `python3 smoke.py [URL]`.

The password comes from DEMO_PASSWORD. Waits up to a minute for the app's health, and 20 seconds for the worker's reply.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.cookiejar import CookieJar
from typing import Any

URL = sys.argv[1].rstrip("/") if len(sys.argv) > 1 else "http://127.0.0.1:8080"
PASSWORD = os.environ.get("DEMO_PASSWORD", "demo")
browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()), urllib.request.ProxyHandler({}))
results: list[bool] = []


def request(path: str, body: object = None, method: str | None = None) -> tuple[int, str, str]:
    """The status, the path that was reached in the end, and the text."""
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(URL + path, data, {"content-type": "application/json"}, method=method)
    try:
        with browser.open(asked, timeout=10) as answer:
            return answer.status, answer.url.removeprefix(URL), answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, path, error.read().decode()
    except OSError as error:
        return 0, path, str(error)


def read(path: str) -> Any:
    status, _, text = request(path)
    return json.loads(text) if status == 200 else None


def check(what: str, passed: bool, seen: object = "") -> None:
    results.append(passed)
    print(f"{'ok  ' if passed else 'FAIL'} {what}" + ("" if passed else f": {seen}"))


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def main() -> int:
    healthy = {"status": "ok", "database": "ok", "redis": "ok"}
    check("healthy", wait_until(lambda: read("/api/health") == healthy, 60), request("/api/health"))

    page = request("/login")
    check("the login page comes from the server, with its tagline", '<p class="tagline">' in page[2], page)
    for service, path in ("web", "/version"), ("api", "/api/version"):
        version = read(path) or {}
        check(f"{service} tells its commit", version.get("service") == service and bool(version.get("commit")), version)

    stranger = request("/api/conversations")
    check("a stranger reads nothing", stranger[0] == 401, stranger)
    check("a stranger is sent to the login page", request("/conversations")[1] == "/login", request("/conversations"))
    refused = request("/api/login", {"user": "demo", "password": PASSWORD + "x"})
    check("a wrong password is refused", refused[0] == 401, refused)
    entered = request("/api/login", {"user": "demo", "password": PASSWORD})
    check("login", entered[0] == 200, entered)
    before = read("/api/conversations")
    check("the history can be read", isinstance(before, list), before)

    created = request("/api/conversations", method="POST")
    check("a new conversation", created[0] == 201, created)
    conversation = json.loads(created[2]).get("id")
    messages = f"/api/conversations/{conversation}/messages"
    sent = request(messages, {"body": "Does it work?"})
    check("a message", sent[0] == 201, sent)
    answered = wait_until(lambda: [m["author"] for m in read(messages) or []] == ["user", "worker"], 20)
    check("the worker replies", answered, read(messages))
    check("the reply fits", "3 words, 13 characters" in str(read(messages)), read(messages))

    expected = {"id": conversation, "title": "Does it work?", "messages": 2}
    in_history = wait_until(lambda: expected.items() <= (read("/api/conversations") or [{}])[0].items(), 5)
    check("the history is up to date", in_history, read("/api/conversations"))
    shown = request(f"/conversations/{conversation}")
    check("its page shows the reply", "3 words, 13 characters" in shown[2], shown)
    check("its page shows the history", f'href="/conversations/{conversation}"' in shown[2], shown)
    missing = request("/api/conversations/999999999/messages")
    check("no such conversation", missing[0] == 404, missing)

    left = request("/api/logout", method="POST")
    check("logout", left[0] == 204, left)
    check("after it nothing is read", request("/api/conversations")[0] == 401, request("/api/conversations"))

    print(f"{results.count(True)} passed, {results.count(False)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
