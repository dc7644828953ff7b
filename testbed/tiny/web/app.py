"""The web: `/` tells what is served by whom, `/api/...` is passed on to the api, `/slow?SECONDS` takes its time."""

import json
import os
import time
import urllib.error
import urllib.request

import commit
import serving
import settings

API = os.environ.get("API", "http://api:8000")


def ask_api(method: str, path: str, body: bytes) -> tuple[int, str, bytes]:
    request = urllib.request.Request(API + path, body or None, method=method)
    try:
        with urllib.request.urlopen(request, timeout=5) as response:
            return response.status, response.headers["Content-Type"], response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"], error.read()


class Web(serving.Handler):
    def answer(self, method: str, path: str, body: bytes) -> tuple[int, str, bytes]:
        if path == "/health":
            return serving.health()
        if path == "/version":
            return 200, "application/json", serving.as_json({"commit": commit.COMMIT})
        if path.startswith("/api/"):
            return ask_api(method, path, body)
        if path.startswith("/slow?"):
            time.sleep(min(30.0, float(path.partition("?")[2])))
        elif path != "/":
            return 404, "application/json", serving.as_json({"error": "no such page"})
        own = {"text": settings.TEXT, "commit": commit.COMMIT, "host": os.uname().nodename}
        return 200, "application/json", serving.as_json({"web": own, **json.loads(ask_api("GET", "/info", b"")[2])})


serving.serve(Web, 8080, "web")
