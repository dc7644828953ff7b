"""What is said of wrong Compose files, against the real Compose CLI; and that no secret is in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract.compose_projects import SEEN, TOML, problem, service


@pytest.mark.parametrize(
    ("files", "toml", "said", "hint"),
    [
        (
            service("command: echo ${WHO}"),
            TOML,
            "compose.yaml:4: the variable WHO is not set",
            "as the target's `env_file`",
        ),
        (service("command: echo $WHO"), TOML, "compose.yaml:4: the variable WHO is not set", "${WHO:-...}"),
        (service("command: ${WHO:?say who}"), TOML, "compose.yaml:4: ", "set"),
        (
            service("environment:\n  - DATABASE_URL"),
            TOML,
            "compose.yaml:5: services.web.environment: the variable DATABASE_URL is not set",
            "list it in the target's `env`",
        ),
        (service("ports: [!bad"), TOML, "compose.yaml: yaml: line", ""),
        (service("prots: []"), TOML, "services.web Additional property prots is not allowed", ""),
        (service("depends_on: [db]"), TOML, 'service "web" depends on undefined service "db"', ""),
        (
            service("env_file: envs/api.env"),
            TOML,
            "compose.yaml:4: services.web.env_file: envs/api.env is not in the commit",
            '[services.web] extra = ["envs/api.env"]',
        ),
        (
            {**service("env_file: a.env"), "a.env": "PASSWORD=p@ss$word\n"},
            TOML,
            "a.env:1: the variable word is not set",
            "single quotes",
        ),
        ({}, TOML, "allfast.toml:1: compose[0]: there is no file compose.yaml", "correct the key"),
        (
            SEEN,
            TOML + 'compose = ["compose.yaml", "x.yaml"]',
            "allfast.toml:4: targets.production.compose[1]: there is no file x.yaml",
            "",
        ),
        (
            SEEN,
            TOML + 'env_file = "p.env"',
            "allfast.toml:4: targets.production.env_file: there is no file p.env",
            "make it",
        ),
        (SEEN, TOML + 'env = ["NOPE"]', "allfast.toml:4: targets.production.env[0]: NOPE is not set", "export NOPE"),
        (SEEN, TOML + 'env_command = "exit 3"', "targets.production.env_command: failed with exit code 3", "by hand"),
        (SEEN, TOML + 'env_command = "echo hunter2"', "line 1 of its output is not KEY=VALUE", "by hand"),
        (
            SEEN,
            TOML + "[services.wbe]\nport = 1",
            "allfast.toml:4: services.wbe: there is no such service",
            'mean "web"',
        ),
        (SEEN, TOML + '[services.web]\nbefore = "say \'no"', "allfast.toml:5: services.web.before: No closing", ""),
        (
            service("security_opt: ['seccomp:./profile.json']"),
            TOML,
            'services.web.security_opt[0]: "seccomp:',
            "seccomp-profile",
        ),
        (service("volumes: ['~/data:/data']"), TOML, "~ in the source of /data is your home folder", "absolute path"),
        (service("volumes: ['../data:/data']"), TOML, "the source of /data leads out of the repository", "absolute"),
        (service("volumes: ['../../data:/data']"), TOML, "the source of /data leads out of the repository", "absolute"),
        (
            service("build: ../web"),
            TOML,
            "services.web.build.context: the path leads out of the repository",
            "from the",
        ),
        (service("build: web"), TOML, "services.web.build.context: web is not in the commit", "commit it"),
        (
            service("secrets: [s]", "secrets: {s: {environment: TOKEN}}\n"),
            TOML,
            "secrets.s.environment: TOKEN is not set",
            "list it in the target's `env`",
        ),
        (
            service("secrets: [s]", "secrets: {s: {file: s.txt}}\n"),
            TOML,
            "secrets.s: s.txt is not in the commit",
            "extra",
        ),
    ],
)
def test_mistakes(tmp_path: Path, files: dict[str, str], toml: str, said: str, hint: str) -> None:
    error = problem(tmp_path, files, toml=toml)
    assert said in str(error)
    assert hint in error.hint
    assert "hunter2" not in str(error)
    assert "p@ss" not in str(error)


def test_an_env_file_that_is_a_link_out_of_the_commit(tmp_path: Path) -> None:
    """Its first line would be Compose's complaint, and its values the container's."""
    (tmp_path / "home.env").write_text("PASS WORD hunter2\n")
    checkout = tmp_path / "checkout/src"
    checkout.mkdir(parents=True)
    (checkout / "a.env").symlink_to(tmp_path / "home.env")
    error = problem(tmp_path, service("env_file: [a.env]"))
    assert str(error) == "services.web.env_file: a.env is a link that leads out of the repository"
    assert "`extra`" in error.hint


def test_a_compose_file_that_is_not_committed(tmp_path: Path) -> None:
    error = problem(tmp_path, {}, untracked=SEEN)
    assert "compose.yaml is not in the commit" in str(error)


def test_a_mounted_file_that_git_ignores_is_configuration_or_data(tmp_path: Path) -> None:
    error = problem(tmp_path, service("volumes: ['./app.conf:/app.conf']"), untracked={"app.conf": "x"})
    assert "services.web.volumes: app.conf is a file that is not in the commit" in str(error)
    assert 'extra = ["app.conf"]' in error.hint


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("PASS WORD {}", "2: key cannot contain a space"),
        ("A/B={}", "2: unexpected character"),
        ('A="{}', "unterminated quoted value"),
        ("A=${{{}", "Invalid template"),
    ],
)
def test_broken_lines_of_env_files_are_not_repeated(tmp_path: Path, line: str, said: str) -> None:
    secret = "hunter2andmore"
    files = {**service("env_file: [a.env]"), "a.env": f"OK=1\n{line.format(secret)}\nB={secret}2\n"}
    error = problem(tmp_path, files)
    assert str(error).startswith("a.env:")
    assert said in str(error)
    assert secret not in str(error) + error.hint
    toml = TOML + 'env_file = "p.env"\n'
    error = problem(tmp_path, SEEN, toml=toml, untracked={"p.env": files["a.env"]})
    assert str(error).startswith(f"{tmp_path}/tree/p.env:")
    assert secret not in str(error) + error.hint


@pytest.mark.parametrize("place", ["env_file", "env", "env_command", "service env_file", "broken env_file"])
def test_no_secret_in_the_complaints_of_compose(tmp_path: Path, place: str) -> None:
    secret = "hunter2-and-more"
    files, toml, untracked, shell = service("cpus: ${CPUS}"), TOML, {"p.env": f"CPUS={secret}\n"}, {}
    if place == "env":
        toml, shell = toml + 'env = ["CPUS"]\n', {"CPUS": secret}
    elif place == "env_command":
        toml += 'env_command = "cat p.env"\n'
    else:
        toml += 'env_file = "p.env"\n'
    if place == "service env_file":
        files = service("env_file: [a.env]\ncpus: ${CPUS}")
        toml += '[services.web]\nextra = ["a.env"]\n'
        untracked |= {"a.env": f"PASS WORD {secret}\n", "p.env": "CPUS=1\n"}
    if place == "broken env_file":
        untracked = {"p.env": f"CPUS=1\nbad line {secret}\n"}
    error = problem(tmp_path, files, toml=toml, untracked=untracked, shell=shell)
    assert secret not in str(error) + error.hint + "".join(error.evidence)
    assert str(error)
