"""The sentinel (incident 26): secrets planted in many ways are nowhere but in the one place that promise 7 gives them.

Each secret is looked for as it is and in the forms that tools print it in: in every output, in the ledger, in the
process lists of both machines while the commands run, in every file of both machines that allfast can write, and in the
images with their configuration and history. The last test is the control: the search does find what was planted.
"""

from __future__ import annotations

import base64
import json
import os
import re
import sqlite3
import tarfile
import threading
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

import pytest

from testbed.common import run
from testbed.server import Server
from testbed.tiny_app import TinyApp
from tests.e2e.harness import Cli, Outcome, page

NAME = "tiny-secrets"
#: In every secret, and in nothing else that lies about: finds parts of secrets, too.
MARK = "qzx7"
KEY = "\n".join(
    ["-----BEGIN PRIVATE KEY-----", *(f"{MARK}-keyline{n}QWERTYUIOPasdfghjkl" for n in range(4)), "-----END-----"]
)
#: Ten secrets and two more, by the way in which they reach the app.
SECRETS = {
    "env_file of the target": "qzx7-01-envfile",
    "the shell": "qzx7-02-shell",
    "env_command": "qzx7-03-command",
    "a service's ignored env_file": "qzx7-04-private",
    "a key that says secret, in the open": "qzx7-05-tracked",
    "a password in a URL": "qzx7/06+url=",
    "a Compose secret of a file, a key of several lines": KEY,
    "a Compose secret of the environment": "qzx7-08-composeenv",
    "a build secret of the environment": "qzx7-09-build",
    "a build secret of a file": "qzx7-10-buildfile",
    "a value with signs": "qzx7-11 p$a'q\"w\\x&<y>",
    "a value that the next deploy replaces": "qzx7-12-rotated",
}
#: Those that stand in the open in Git: the checkout and the build's context have them.
TRACKED = ("a key that says secret, in the open", "a password in a URL")

COMPOSE = """\
services:
  api:
    env_file: [envs/common.env, envs/private.env]
    environment:
      FROM_SHELL: ${FROM_SHELL}
      FROM_COMMAND: ${FROM_COMMAND}
      ODD: ${ODD}
      ROTATED: ${ROTATED}
      API_TOKEN: qzx7-05-tracked
      DATABASE: postgres://app:qzx7%2F06%2Burl%3D@db.internal/app
    secrets: [key, from_environment]
    healthcheck:
      test:
        - CMD
        - bash
        - -c
        - echo "dsn=$$API_TOKEN $$ROTATED $$FROM_SHELL"; exec 3<>/dev/tcp/127.0.0.1/8000
          && printf 'GET /health HTTP/1.0\\r\\n\\r\\n' >&3 && grep -q ' 200 ' <&3
    build:
      context: api
      secrets: [build_env, build_file]
  data:
    # the password by standard input: Redis's own argument would be in the server's process list
    command:
      - sh
      - -c
      - echo $$REDISCLI_AUTH >&2; printf 'requirepass %s\\n' "$$REDISCLI_AUTH" | redis-server -
secrets:
  key:
    file: keys/private.pem
  from_environment:
    environment: COMPOSE_SECRET
  build_env:
    environment: BUILD_SECRET
  build_file:
    file: keys/build.txt
"""

#: Prints all that a container can know, in several forms: an app that is as careless as can be.
DUMP = """
import base64, json, os, pathlib, sys, urllib.parse
def dump():
    values = dict(os.environ)
    for file in sorted(pathlib.Path("/run/secrets").glob("*")):
        values[file.name] = file.read_text()
    for key, value in values.items():
        print(f"{key}={value}", file=sys.stderr)
    for shown in (json.dumps(values), repr(values), urllib.parse.urlencode(values)):
        print(shown, file=sys.stderr)
    print([base64.b64encode(v.encode()).decode() for v in values.values()], file=sys.stderr, flush=True)
dump()
"""

#: Prints the build secrets into the build's log, and then fails where the last line says so.
BUILD_STEP = """
RUN --mount=type=secret,id=build_env --mount=type=secret,id=build_file \\
    for f in /run/secrets/*; do cat $f; echo; base64 -w0 $f; echo; done; {}
"""


def test_secrets_are_nowhere(
    app: TinyApp, allfast: Cli, server: Server, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Every command, good and bad, with text and with JSON; then look everywhere."""
    plant(app, tmp_path)
    temporary = tmp_path_factory.mktemp("tmp")
    allfast.environment |= {"TMPDIR": str(temporary), "FROM_SHELL": SECRETS["the shell"]}
    with processes_watched(server) as seen:
        outcomes = list(all_commands(app, allfast, server, tmp_path))
    for outcome in outcomes:
        none_in("the output", outcome.out + outcome.err)
        # Who can guess a weak secret could prove it by a digest
        assert not [way for way, secret in SECRETS.items() if sha256(secret.encode()).hexdigest() in outcome.out]
    none_in("a process list", "\n".join(seen["here"] | seen["server"]))
    assert any("docker buildx build" in line for line in seen["here"]), "the watch saw the laptop's processes"
    assert any("pyz" in line or "python" in line for line in seen["server"]), "the watch saw the server's processes"

    none_in("the ledger", ledger_text(server, tmp_path))
    none_in("the images", "\n".join(image_texts(server, tmp_path)))
    assert leaks(tmp_path, temporary, Path(allfast.environment["XDG_CACHE_HOME"]), app) == {}
    allowed_on_server(server)
    # The control: what is allowed is really there, and the same search finds it
    environment = server.docker("inspect", f"{NAME}-api-1").stdout
    assert {"the shell", "env_command", "a service's ignored env_file"} <= set(found_in(environment))


def all_commands(app: TinyApp, allfast: Cli, server: Server, tmp_path: Path) -> Iterator[Outcome]:
    """Run everything that prints, the good days and the bad ones."""
    yield allfast("plan")
    yield allfast("plan", "--json")
    # Nothing is live yet, and the release that failed is forgotten: only the containers know their secrets
    app.set("api", "CRASH", True)
    app.commit("A first release that crashes")
    yield allfast.deploy("-v", code=1)
    yield (shown := allfast("logs", "data"))
    assert "***" in shown.out
    yield allfast("status", "--json")
    app.set("api", "CRASH", False)
    app.commit("One that runs")
    yield (first := allfast.deploy("-v"))
    assert first.result["outcome"] == "done"
    yield (shown := allfast("status", "--json"))
    assert "dsn=*** ***" in shown.out, "what the health check of the live release printed is shown, masked"
    old = SECRETS["a value that the next deploy replaces"]

    # A build that prints its secrets and fails
    dockerfile = (app.path / "api/Dockerfile").read_text()
    app.write("api/Dockerfile", dockerfile.replace("; true", "; exit 9"))
    app.commit("A build that fails")
    for argv in (("deploy", "--yes", "-v"), ("build", "--json", "-v")):
        yield (failed := allfast(*argv, code=1))
        assert "***" in failed.out + failed.err, "the failing step's lines are shown, masked"
    app.write("api/Dockerfile", dockerfile)

    # Containers that print all they have and end; the release that comes back has a secret that is no more
    environment = app.path / "envs/secret.env"
    environment.write_text(environment.read_text().replace(old, "qzx7-12-after"))
    app.set("api", "CRASH", True)
    app.commit("A release that crashes")
    yield (crashed := allfast.deploy("-v", code=1))
    assert "***" in crashed.out
    # ... and some whose health check prints all
    app.set("api", "CRASH", False)
    app.write(
        "compose.health.yaml",
        'services: {api: {healthcheck: {test: ["CMD-SHELL", "cat /run/secrets/*; env; exit 1"], retries: 1,'
        " start_period: 0s}}}\n",
    )
    settings = (app.path / "allfast.toml").read_text()
    app.write("allfast.toml", settings.replace('s.yaml"]', 's.yaml", "compose.health.yaml"]'))
    app.commit("A release that is unhealthy")
    yield (sick := allfast("deploy", "--yes", code=1))
    assert "last health check" in sick.err
    app.write("allfast.toml", settings)
    app.say("web", "two")
    yield allfast("deploy", "--yes", "-v")
    yield allfast("rollback", "--yes")
    assert page(server.url())["web"]["text"] == "web one"
    for command in (("status",), ("history", "-v"), ("logs",)):
        yield allfast(*command)
        yield (shown := allfast(*command, "--json"))
        assert shown.out
    # What the laptop says of an env_command that fails
    (tmp_path / "vault").write_text("FROM_COMMAND='qzx7-03-command\nnonsense qzx7-03-command\n")
    yield allfast("plan", code=2)


def plant(app: TinyApp, outside: Path) -> None:
    """Commit the app with all secrets in it, or beside it."""
    (outside / "vault").write_text(f"FROM_COMMAND={SECRETS['env_command']}\nODD={SECRETS['a value with signs']}\n")
    app.write(
        "envs/secret.env",
        f"REDIS_PASSWORD={SECRETS['env_file of the target']}\n"
        f"COMPOSE_SECRET={SECRETS['a Compose secret of the environment']}\n"
        f"BUILD_SECRET={SECRETS['a build secret of the environment']}\n"
        f"ROTATED={SECRETS['a value that the next deploy replaces']}\n",
    )
    app.write("envs/private.env", "PRIVATE=" + SECRETS["a service's ignored env_file"] + "\n")
    app.write("keys/private.pem", KEY)
    app.write("keys/build.txt", SECRETS["a build secret of a file"])
    app.write("compose.secrets.yaml", COMPOSE)
    app.write(".gitignore", "__pycache__/\n.env\nkeys/\nenvs/secret.env\nenvs/private.env\n")
    app.write("api/dump.py", DUMP)
    for file in ("api/serving.py",):
        text = (app.path / file).read_text()
        app.write(file, text.replace("import settings\n", "import dump\nimport settings\n"))
    assert "import dump" in (app.path / "api/serving.py").read_text()
    dockerfile = (app.path / "api/Dockerfile").read_text()
    app.write("api/Dockerfile", dockerfile.replace("COPY *.py ./", "COPY *.py ./" + BUILD_STEP.format("true")))
    settings = (app.path / "allfast.toml").read_text()
    settings = settings.replace('["compose.yaml"]', '["compose.yaml", "compose.secrets.yaml"]')
    settings = settings.replace(
        'env_file = "envs/production.env"',
        f'env_file = "envs/secret.env"\nenv = ["FROM_SHELL"]\nenv_command = "cat {outside}/vault"',
    )
    extra = '["envs/private.env", "keys/private.pem", "keys/build.txt"]'
    app.write("allfast.toml", settings.replace("[services.api]\n", f"[services.api]\nextra = {extra}\n"))
    app.commit("Secrets of all kinds")


# Looking


def spellings(secret: str) -> set[str]:
    """The forms in which a secret may lie somewhere; found here without the redactor's own list."""
    found = {secret, json.dumps(secret)[1:-1], repr(secret)[1:-1], quote(secret, safe=""), quote(secret)}
    found |= {base64.b64encode(secret.encode()).decode(), secret.encode().hex(), secret.replace("$", "$$")}
    return found | {line for line in secret.splitlines() if MARK in line}


def found_in(text: str) -> list[str]:
    """The secrets that are in a text."""
    return [way for way, secret in SECRETS.items() if any(form in text for form in spellings(secret))]


def none_in(where: str, text: str) -> None:
    """Assert that no secret is in a text."""
    for way, secret in SECRETS.items():
        for form in spellings(secret):
            at = text.find(form)
            assert at < 0, f"{way} is in {where}: {text[max(0, at - 300) : at + 300]}"
    at = text.find(MARK)
    assert at < 0, f"a part of a secret is in {where}: {text[max(0, at - 300) : at + 300]}"


@contextmanager
def processes_watched(server: Server) -> Iterator[dict[str, set[str]]]:
    """Collect the command lines of all processes, here and on the server, as often as can be while the block runs."""
    seen: dict[str, set[str]] = {"here": set(), "server": set()}
    ended = threading.Event()

    def here() -> None:
        own = str(os.getpid())
        while not ended.wait(0.1):
            for entry in Path("/proc").iterdir():
                if entry.name.isdigit() and entry.name != own:
                    try:
                        line = (entry / "cmdline").read_bytes()
                    except OSError:  # it has ended
                        continue
                    seen["here"].add(line.replace(b"\0", b" ").decode(errors="replace"))

    def there() -> None:
        loop = "for n in $(seq 40); do sleep 0.1; cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '; echo; done"
        while not ended.is_set():
            seen["server"].add(server.exec(["sh", "-c", loop], check=False).stdout)

    threads = [threading.Thread(target=here), threading.Thread(target=there)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def ledger_text(server: Server, folder: Path) -> str:
    """All rows of all tables of the ledger, compressed ones unpacked."""
    server.exec(["sh", "-c", f"cp /var/lib/allfast/{NAME}/ledger* /tmp/ && chmod a+r /tmp/ledger*"])
    copies = folder / "ledger"
    copies.mkdir()
    for name in server.exec(["sh", "-c", "cd /tmp && ls ledger*"]).stdout.split():
        run(["docker", "cp", f"{server.container}:/tmp/{name}", copies / name])
    server.exec(["sh", "-c", "rm /tmp/ledger*"])
    main = next(file for file in copies.iterdir() if file.suffix in (".db", ".sqlite", ".sqlite3"))
    lines = []
    with sqlite3.connect(main) as database:
        tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        assert {"runs", "releases", "inputs", "journal"} <= set(tables)
        for table in tables:
            lines += [" ".join(map(readable, row)) for row in database.execute(f'SELECT * FROM "{table}"')]
    assert any("crash" in line.lower() for line in lines), "the failed runs are in it"
    return "\n".join(lines)


def readable(value: object) -> str:
    """A column's value as text."""
    if isinstance(value, bytes):
        with suppress(zlib.error):
            value = zlib.decompress(value)
        return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return str(value)


def image_texts(server: Server, folder: Path) -> Iterator[str]:
    """Configuration, history, file names and small files of all the app's images, on both machines."""
    here = run(["docker", "images", "-q", "--filter", f"label=allfast.deployment={NAME}"]).stdout.split()
    there = server.docker("images", "-q", "--filter", f"label=allfast.deployment={NAME}").stdout.split()
    assert here and there
    archive = folder / "images.tar"
    run(["docker", "save", "-o", archive, *sorted(set(here))])
    with tarfile.open(archive) as outer:
        for member in outer:
            stream = outer.extractfile(member) if member.isfile() else None
            if stream is not None:
                yield from texts_of(stream.read())
    archive.unlink()
    for machine in (run(["docker", "inspect", *sorted(set(here))]), server.docker("inspect", *sorted(set(there)))):
        yield machine.stdout
    for image in sorted(set(there)):
        yield server.docker("history", "--no-trunc", image).stdout


def texts_of(data: bytes) -> Iterator[str]:
    """A blob of an archive of images: where it has the mark, its text; layers and documents alike are plain here."""
    if MARK.encode() in data or base64.b64encode(MARK.encode())[:5] in data:
        yield data.decode(errors="replace")


def leaks(*places: Path | TinyApp) -> dict[str, list[str]]:
    """Files of this machine with secrets in them, without those in which they were planted."""
    found = {}
    planted = re.compile(r"/vault$|/envs/(secret|private)\.env$|/keys/|/compose\.secrets\.yaml$|/\.git/|\.git$")
    for place in places:
        root = place.path if isinstance(place, TinyApp) else place
        for file in sorted(root.rglob("*")):
            if file.is_file() and not planted.search(str(file)) and "/app.git/" not in str(file):
                secrets = found_in(file.read_bytes().decode(errors="replace"))
                if secrets:
                    found[str(file)] = secrets
        assert not list(root.rglob("allfast-checkout-*")), "a checkout was left behind"
    return found


def allowed_on_server(server: Server) -> None:
    """Secrets are in releases' Compose files and in file sets, which nobody but the group can read; nowhere else."""
    patterns = [word for line in lines_of(SECRETS.values()) for word in ("-e", line)]
    folders = ["/var/lib/allfast", "/root", "/tmp", "/home", "/var/log", "/run", "/dev/shm", "/var/tmp"]
    found = server.exec(["grep", "-rlaF", *patterns, *folders], check=False).stdout.split()
    state = f"/var/lib/allfast/{NAME}"
    kept = re.compile(rf"{state}/(releases/[^/]+/compose\.json|files/[0-9a-f]{{64}}/[^/]+)$")
    # The engine's own record of containers that run: it has their environment wherever it keeps it
    engine = re.compile(r"/run/(docker|containerd)/|/tmp/runc-process[0-9]+$")
    assert [file for file in found if not kept.search(file) and not engine.search(file)] == []
    assert any("compose.json" in file for file in found), "the control: they are where they may be"
    assert any("/files/" in file for file in found)
    none_in("the engine's log", server.exec(["cat", "/var/log/dockerd.log"], check=False).stdout)
    modes = server.exec(
        ["find", state, "-maxdepth", "2", "-perm", "/o+rwx", "-type", "d", "-path", "*releases*"]
    ).stdout
    assert modes == ""
    top = server.exec(["stat", "-c", "%a", "/var/lib/allfast", state]).stdout.split()
    assert all(mode.endswith("0") for mode in top)


def lines_of(secrets: Iterable[str]) -> list[str]:
    """What grep looks for, line by line."""
    return sorted({line for secret in secrets for line in secret.splitlines() if MARK in line} | {"qzx7-12"})


def test_the_search_finds_what_is_planted() -> None:
    """The control of `none_in`: each secret, in each form, is found."""
    for way, secret in SECRETS.items():
        for form in spellings(secret):
            assert way in found_in(f"before {form} after")
            with pytest.raises(AssertionError):
                none_in("a text", f"before {form} after")
