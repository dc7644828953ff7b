"""What the docker command says of base images: a local one, one of a registry, and a registry that never answers."""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from allfast.source import bases
from allfast.source import registry as registries

MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [
            {
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": "sha256:" + "1" * 64,
                "size": 100,
                "platform": {"os": "linux", "architecture": "amd64"},
            }
        ],
    }
).encode()


class Registry(BaseHTTPRequestHandler):
    """The one answer of a registry that is needed: the manifest of `team/app:1`."""

    def do_GET(self) -> None:
        found = self.path.startswith("/v2/team/app/manifests/")
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "application/vnd.oci.image.index.v1+json")
        self.send_header("Docker-Content-Digest", "sha256:" + hashlib.sha256(MANIFEST).hexdigest())
        self.send_header("Content-Length", str(len(MANIFEST) if found else 0))
        self.end_headers()
        if found and self.command == "GET":
            self.wfile.write(MANIFEST)

    do_HEAD = do_GET  # noqa: N815 - http.server calls it so

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        return


@pytest.fixture
def registry() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"localhost:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_registry_gives_the_digest_of_the_index(registry: str) -> None:
    assert registries.ask_registry(f"{registry}/team/app:1") == "sha256:" + hashlib.sha256(MANIFEST).hexdigest()


def test_an_image_that_the_registry_does_not_know(registry: str) -> None:
    assert registries.ask_registry(f"{registry}/team/other:1") is None


def test_a_registry_that_is_not_there() -> None:
    assert registries.ask_registry("localhost:1/team/app:1") is None


def test_a_registry_that_never_answers_is_left_after_the_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registries, "SECONDS", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        assert registries.ask_registry(f"localhost:{silent.getsockname()[1]}/team/app:1") is None
        assert 1.0 <= time.monotonic() - began < 30.0  # docker itself would wait for ever


def test_a_local_image_that_was_made_here(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    name = "allfast-needs/made-here:1"
    subprocess.run(["docker", "buildx", "build", "-q", "-t", name, str(tmp_path)], check=True, capture_output=True)
    try:
        found = bases.inspect_local(name)
        listed = subprocess.run(["docker", "image", "ls", "-q", "--no-trunc", name], check=True, capture_output=True)
        assert found is not None
        assert found.id == listed.stdout.decode().strip()
    finally:
        subprocess.run(["docker", "image", "rm", name], check=True, capture_output=True)
    assert bases.inspect_local(name) is None
