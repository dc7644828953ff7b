"""Where the storage of a rendered Compose model ends up, and what its settings follow; the real Compose CLI."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from allfast.config.compose import ComposeModel, render
from allfast.config.load import load
from tests.contract.compose_projects import STATE, TOML, one, rendered, service, write

STORED = {
    "compose.yaml": """
services:
  web:
    build: web
    volumes:
      - ./conf/nginx.conf:/etc/nginx.conf:ro
      - ./site:/site
      - ./uploads:/uploads
      - ./kept:/kept
      - /srv/media:/media
      - named:/named
      - /anonymous
    configs: [motd]
    secrets: [key, token]
    container_name: chat-web
    ports: ["8080:3000"]
    pull_policy: always
    develop: {watch: [{path: web, action: rebuild}]}
configs: {motd: {content: "hello $$you"}}
secrets: {key: {file: key.pem}, token: {environment: TOKEN}}
volumes:
  named:
  local: {driver_opts: {type: none, o: bind, device: ./local}}
""",
    "web/Dockerfile": "FROM scratch\n",
    "conf/nginx.conf": "worker_processes 1;\n",
    "site/index.html": "<p>\n",
    "site/deep/a.txt": "a\n",
    "kept/.gitkeep": "",
}
STORED_TOML = TOML + 'env = ["TOKEN"]\n[services.web]\nextra = ["key.pem"]\n'
STORED_MORE: dict[str, Any] = {
    "toml": STORED_TOML,
    "untracked": {"key.pem": "-----BEGIN KEY-----\nabcdefgh\n"},
    "shell": {"TOKEN": "t0ken-t0ken"},
}


def test_storage(tmp_path: Path) -> None:
    model = rendered(tmp_path, STORED, **STORED_MORE)
    by_origin = {files.origin: f"{STATE}/files/{files.path}" for files in model.files}
    sources = {v["target"]: v.get("source") for v in one(model)["volumes"]}
    assert sources == {
        "/etc/nginx.conf": by_origin["conf/nginx.conf"],
        "/site": by_origin["site"],
        "/uploads": f"{STATE}/data/uploads",
        "/kept": f"{STATE}/data/kept",
        "/media": "/srv/media",
        "/named": "named",
        "/anonymous": None,
    }
    assert model.data == ("kept", "uploads")
    assert model.top["volumes"]["named"]["name"] == "chat_named"
    assert model.top["secrets"]["key"] == {"name": "chat_key", "file": by_origin["key.pem"]}
    assert model.top["secrets"]["token"] == {"name": "chat_token", "file": by_origin["secret token"]}
    assert model.top["configs"]["motd"] == {"name": "chat_motd", "file": by_origin["config motd"]}
    assert not {"build", "develop", "pull_policy"} & one(model).keys()
    assert (one(model)["container_name"], one(model)["ports"][0]["published"]) == ("chat-web", "8080")
    assert model.mounted == (("web", "site"),)
    assert {"t0ken-t0ken", "-----BEGIN KEY-----\nabcdefgh\n"} <= model.secrets


def test_an_absolute_source_near_the_checkout_is_taken_at_its_word(tmp_path: Path) -> None:
    model = rendered(tmp_path, service(f"volumes: ['{tmp_path}/sock:/sock']"))
    assert one(model)["volumes"][0]["source"] == f"{tmp_path}/sock"


def contents(model: ComposeModel, origin: str) -> dict[str, tuple[int, bytes]]:
    files = next(f for f in model.files if f.origin == origin)
    with tarfile.open(fileobj=io.BytesIO(files.tar)) as tar:
        return {m.name: (m.mode, body.read()) for m in tar if (body := tar.extractfile(m)) is not None}


def test_file_sets(tmp_path: Path) -> None:
    model = rendered(tmp_path, STORED, **STORED_MORE)
    assert contents(model, "site") == {"site/index.html": (0o644, b"<p>\n"), "site/deep/a.txt": (0o644, b"a\n")}
    assert contents(model, "secret token") == {"token": (0o644, b"t0ken-t0ken")}
    assert contents(model, "config motd") == {"motd": (0o644, b"hello $you")}


def test_a_local_volume_with_a_relative_folder_is_data(tmp_path: Path) -> None:
    files = service(
        "volumes: ['local:/x']", "volumes: {local: {driver_opts: {type: none, o: bind, device: ./local}}}\n"
    )
    model = rendered(tmp_path, files)
    assert model.top["volumes"]["local"]["driver_opts"]["device"] == f"{STATE}/data/local"
    assert model.data == ("local",)


def test_two_checkouts_in_other_folders_are_equal(tmp_path: Path) -> None:
    first = rendered(tmp_path, STORED, **STORED_MORE)
    second = rendered(tmp_path, STORED, **STORED_MORE, name="another/place")
    assert first == second
    assert str(tmp_path) not in repr([one(first), first.top])


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("compose.yaml", "8080:3000", "8081:3000"),
        ("compose.yaml", "hello", "bye"),
        ("conf/nginx.conf", "1", "2"),
        ("site/deep/a.txt", "a", "b"),
        ("compose.yaml", "  named:\n", "  named: {labels: {a: b}}\n"),
    ],
)
def test_settings_follow_each_change(tmp_path: Path, file: str, old: str, new: str) -> None:
    before = rendered(tmp_path, STORED, **STORED_MORE)
    after = rendered(tmp_path, {**STORED, file: STORED[file].replace(old, new)}, **STORED_MORE)
    assert before.services[0].settings != after.services[0].settings


def test_settings_do_not_follow_the_build(tmp_path: Path) -> None:
    before = rendered(tmp_path, STORED, **STORED_MORE)
    text = STORED["compose.yaml"].replace("build: web", "build: {context: web, args: {A: 1}}")
    after = rendered(tmp_path, {**STORED, "compose.yaml": text}, **STORED_MORE)
    assert before.services[0].settings == after.services[0].settings


def test_a_project_below_the_git_root(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    write(tree, {"app/allfast.toml": TOML, "app/compose.yaml": "services: {web: {build: .., volumes: ['./up:/up']}}"})
    write(tree, {"Dockerfile": "FROM scratch"})
    (tree / ".git").mkdir()
    model = render(tree, load(None, start=tree / "app"), state_folder=lambda: STATE, shell={})
    built = model.services[0].build
    assert built is not None
    assert (built.context, built.dockerfile, model.data) == (".", "Dockerfile", ("up",))
