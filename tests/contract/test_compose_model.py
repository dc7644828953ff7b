"""The rendered Compose model, against the real Compose CLI (no engine is asked)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from allfast.config.compose import render
from allfast.config.definition import ties
from allfast.config.document import before_name, release_document
from allfast.config.load import load
from allfast.model import labels
from allfast.model.service import Kind
from allfast.redact import Redactor
from tests.contract.compose_projects import REPOSITORY, SEEN, STATE, TOML, one, rendered, service, write

# --- a clean environment -------------------------------------------------------------------------------------------


def test_a_poisoned_shell_and_a_stray_env_file_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clean = rendered(tmp_path, SEEN)
    for key, value in {
        "COLOUR": "red",
        "COMPOSE_FILE": "evil.yaml",
        "COMPOSE_PROJECT_NAME": "evil",
        "COMPOSE_PROFILES": "evil",
        "COMPOSE_ENV_FILES": "/nowhere",
        "COMPOSE_DISABLE_ENV_FILE": "1",
        "DOCKER_HOST": "ssh://nowhere.invalid",
        "DOCKER_CONTEXT": "nowhere",
        "DOCKER_DEFAULT_PLATFORM": "linux/s390x",
    }.items():
        monkeypatch.setenv(key, value)
    poison = {".env": "COLOUR=red\nCOMPOSE_PROFILES=evil\n", "evil.yaml": "services: {evil: {image: x}}\n"}
    monkeypatch.chdir(tmp_path)
    write(tmp_path, poison)
    poisoned = rendered(tmp_path, {**SEEN, **poison})
    assert poisoned == clean
    assert one(clean)["environment"] == {"COLOUR": "blue", "HOME_SEEN": "none", "PLACE": "none"}


def test_variables_come_from_the_target_alone_and_the_later_wins(tmp_path: Path) -> None:
    body = "environment:\n" + "".join(f"  {k}: ${{{k}}}\n" for k in "ABC")
    toml = TOML + 'env_file = "p.env"\nenv = ["B", "C"]\nenv_command = "cat s.env; echo C=$FROM_SHELL"\n'
    model = rendered(
        tmp_path,
        service(body),
        toml=toml,
        untracked={"p.env": "A=file\nB=file\nC=file\n", "s.env": "# x\nexport Q='p$x y'\n"},
        shell={"B": "shell", "C": "shell", "FROM_SHELL": "command"},
    )
    assert one(model)["environment"] == {"A": "file", "B": "shell", "C": "command"}
    assert model.sources["web"] == {"A": ("p.env",), "B": ("the shell (env)",), "C": ("env_command",)}
    assert model.variables["Q"] == "p$x y"


def test_profiles_are_those_of_the_target(tmp_path: Path) -> None:
    files = service("depends_on: [more]", "  more: {image: x}\n  tools: {image: x, profiles: [tools]}\n")
    assert [s.name for s in rendered(tmp_path, files).services] == ["more", "web"]
    toml = TOML + 'env_file = "p.env"\n'
    model = rendered(tmp_path, files, toml=toml, untracked={"p.env": "COMPOSE_PROFILES=tools\n"})
    assert [s.name for s in model.services] == ["more", "tools", "web"]
    assert "profiles" not in one(model, "tools")


# --- kinds, keys, secrets ------------------------------------------------------------------------------------------


def test_an_nginx_whose_configuration_names_the_api_belongs_to_the_release(tmp_path: Path) -> None:
    files = {
        "compose.yaml": """
services:
  api: {build: api}
  front: {image: nginx, volumes: ["./nginx.conf:/etc/nginx/nginx.conf:ro"]}
  other: {image: nginx, configs: [site]}
  plain: {image: nginx}
configs: {site: {content: "proxy_pass http://api/;"}}
""",
        "api/Dockerfile": "FROM scratch\n",
        "nginx.conf": "server api:8000;\n",
    }
    model = rendered(tmp_path, files)
    assert {s.name: (s.kind, s.kind_reason) for s in model.services if s.name != "plain"} == {
        "api": (Kind.RELEASE, "it is built"),
        "front": (Kind.RELEASE, "it dials api (nginx.conf)"),
        "other": (Kind.RELEASE, "it dials api (config site)"),
    }
    plain = model.service("plain")
    assert plain is not None
    assert plain.kind is Kind.DATA


def test_keys_that_two_files_set_differently_are_named(tmp_path: Path) -> None:
    """Incident 5: the env_file lists of two Compose files add up."""
    files = {
        "compose.yaml": "services: {api: {image: x, env_file: [envs/dev.env]}}",
        "compose.production.yaml": "services: {api: {env_file: [envs/prod.env]}}",
        "envs/dev.env": "DB_PASSWORD=dev\nSAME=1\nONLY_DEV=1\n",
        "envs/prod.env": "DB_PASSWORD=prod\nSAME=1\n",
    }
    toml = TOML + 'compose = ["compose.yaml", "compose.production.yaml"]\n'
    model = rendered(tmp_path, files, toml=toml)
    assert [(c.service, c.key, c.files) for c in model.conflicts] == [
        ("api", "DB_PASSWORD", ("envs/dev.env", "envs/prod.env"))
    ]
    assert model.sources["api"]["DB_PASSWORD"] == ("envs/prod.env",)
    assert model.sources["api"]["ONLY_DEV"] == ("envs/dev.env",)


def test_secrets(tmp_path: Path) -> None:
    files = service(
        "env_file: [tracked.env, private.env]\n"
        "environment:\n"
        "  API_KEY: key-in-compose\n"
        "  DATABASE_URL: postgres://me:url%40pass@db/x\n"
        "  NODE_ENV: production\n"
        "  PLAIN: plain-in-compose\n"
        "  MIXED: before-${VALUE}\n"
        "command: [run, 'redis://:in-command@redis:6379']\n"
    )
    model = rendered(
        tmp_path,
        {**files, "tracked.env": "SMTP_PASSWORD=tracked-password\nGREETING=tracked-greeting\n"},
        toml=TOML + 'url = "https://chat.example.com"\nenv_file = "p.env"\n[services.web]\nextra = ["private.env"]\n',
        untracked={
            "p.env": "VALUE=from-env-file\nPORT=3000\nLOG_LEVEL=debug\nNODE_ENV=production\nTZ=Europe/Madrid\n"
            "DB_HOST=db.internal\nFLAG=true\nCOUNT=12\nPUBLIC_ADDRESS=https://chat.example.com\nNAME=chat\n"
            "LINES='first line here\nsecond line'\n",
            "private.env": "ANYTHING=private-value\n",
        },
    )
    assert model.secrets == {
        "key-in-compose",
        "postgres://me:url%40pass@db/x",
        "url%40pass",
        "url@pass",
        "in-command",
        "tracked-password",
        "from-env-file",
        "first line here\nsecond line",
        "private-value",
    } - {"postgres://me:url%40pass@db/x"}


def test_a_secret_that_is_a_part_of_a_name_leaves_the_name_readable(tmp_path: Path) -> None:
    text = """
services:
  tinyweb: {build: ., image: tiny-web, environment: {DB_PASSWORD: tiny, CACHE_PASSWORD: chat}}
"""
    model = rendered(tmp_path, {"compose.yaml": text, "Dockerfile": "FROM scratch\n"})
    redactor = Redactor()
    redactor.add(model.secrets, names=model.names, doubtful=model.doubtful)
    assert redactor.text("chat: tinyweb runs tiny-web, not tiny") == "chat: tinyweb runs tiny-web, not ***"
    assert redactor.text("CACHE_PASSWORD=chat") == "CACHE_PASSWORD=***"


# --- the release's document ----------------------------------------------------------------------------------------


DOLLARS = {
    "compose.yaml": """
services:
  web:
    build: {context: ., args: {PRICE: "5$$"}}
    environment: {PASSWORD: "p$$a$$$$b$${c}", OTHER: "${OTHER}"}
    command: sh -c 'echo $$HOME'
    labels: {price: "$$1"}
    depends_on:
      migrate: {condition: service_completed_successfully}
      redis: {condition: service_healthy}
      api: {condition: service_started}
    networks: {default: {aliases: [front]}}
    ports: ["80:3000"]
    healthcheck: {test: "curl $$URL"}
  api: {build: ., networks: {default: {}}}
  migrate: {build: ., depends_on: [redis]}
  redis: {image: "redis:8"}
""",
    "Dockerfile": "FROM scratch\n",
}


def again(document: str, tmp_path: Path) -> dict[str, Any]:
    """What Compose reads from the document, in a hostile environment."""
    words = ["docker", "compose", "-p", "chat", "-f", "-", "--profile", "*", "config", "--format", "json"]
    environment = {**os.environ, "HOME": "/evil", "URL": "evil", "a": "evil", "b": "evil", "c": "evil"}
    ended = subprocess.run(
        words, input=document, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert ended.stderr == ""
    found: dict[str, Any] = json.loads(ended.stdout.replace("$$", "$"))
    return found


def test_document_gives_the_same_values_when_it_is_read_again(tmp_path: Path) -> None:
    toml = TOML + 'env = ["OTHER"]\n[services.web]\nbefore = "migrate --cost=$5 \'two words\'"\n'
    model = rendered(tmp_path, DOLLARS, toml=toml, shell={"OTHER": "o$t${h}er$$"})
    images = {name: f"sha256:{digit * 64}" for name, digit in (("web", "1"), ("api", "2"), ("migrate", "3"))}
    read = again(release_document(model, images), tmp_path)
    web = read["services"]["web"]
    assert web["environment"] == {"PASSWORD": "p$a$$b${c}", "OTHER": "o$t${h}er$$"}
    assert web["command"] == ["sh", "-c", "echo $HOME"]
    assert web["labels"]["price"] == "$1"
    assert web["healthcheck"]["test"] == ["CMD-SHELL", "curl $URL"]
    assert web["image"] == images["web"]
    assert list(web["depends_on"]) == ["api"]
    assert "depends_on" not in read["services"]["migrate"]
    assert read["services"]["redis"]["image"] == "redis:8"
    built = model.services[-1].build
    assert built is not None
    assert built.args == (("PRICE", "5$"),)

    before = read["services"][before_name("web")]
    assert before["command"] == ["migrate", "--cost=$5", "two words"]
    assert before["restart"] == "no"
    assert before["environment"] == web["environment"]
    assert before["networks"] == {"default": None}
    assert not {"ports", "healthcheck", "depends_on"} & before.keys()
    assert before["labels"][labels.SERVICE] == "web-before"


def test_labels_and_hashes(tmp_path: Path) -> None:
    model = rendered(tmp_path, DOLLARS, toml=TOML + 'env = ["OTHER"]\n', shell={"OTHER": "x"})
    web = model.services[-1]
    assert web.definition["labels"][labels.DEPLOYMENT] == "chat"
    assert web.definition["labels"][labels.SERVICE] == "web"
    assert web.definition["labels"][labels.SETTINGS] == web.settings
    assert [key for key, _ in web.environment] == ["OTHER", "PASSWORD"]
    assert "p$a" not in repr(web)


def test_services_that_share_a_container_are_told(tmp_path: Path) -> None:
    files = service(
        "network_mode: service:api\nvolumes_from: [api, 'store:ro']", "  api: {image: x}\n  store: {image: x}\n"
    )
    assert ties(one(rendered(tmp_path, files))) == {"api", "store"}


# --- the real projects ---------------------------------------------------------------------------------------------


def test_the_tiny_app(tmp_path: Path) -> None:
    checkout = tmp_path / "src"
    shutil.copytree(REPOSITORY / "testbed" / "tiny", checkout)
    write(checkout, {"allfast.toml": TOML})
    model = render(checkout, load(None, start=checkout), state_folder=lambda: STATE, shell={})
    assert {s.name: s.kind.value for s in model.services} == {
        "api": "release",
        "data": "data",
        "migrate": "one-shot",
        "web": "release",
        "worker": "release",
    }
    worker = model.service("worker")
    assert worker is not None
    assert worker.built_by == "api"


def test_the_example(tmp_path: Path) -> None:
    checkout = tmp_path / "src"
    shutil.copytree(
        REPOSITORY / "examples" / "chat",
        checkout,
        ignore=shutil.ignore_patterns("node_modules", ".next", "production.env"),
    )
    example = (checkout / "envs" / "production.env.example").read_text()
    write(checkout, {"envs/production.env": example.replace("=\n", "=long-random\n")})
    model = render(checkout, load(None, start=checkout), state_folder=lambda: STATE, shell={})
    assert {s.name: s.kind.value for s in model.services} == {
        "api": "release",
        "db": "data",
        "migrate": "one-shot",
        "redis": "data",
        "web": "release",
        "worker": "release",
    }
    assert model.secrets == {"long-random"}
    assert model.conflicts == ()
