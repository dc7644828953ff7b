"""What is wrong in an allfast.toml is said with line, key path and the nearest right name."""

from __future__ import annotations

from pathlib import Path

import pytest

from allfast.config.load import check_extras, load, parse
from allfast.config.model import Config, Via
from allfast.errors import ConfigError, UsageError

GOOD = 'app = "chat"\n[targets.production]\nhost = "h"\n'


def problem(source: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(source, "allfast.toml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (GOOD + 'hosts = "x"', '4: targets.production.hosts: unknown key; did you mean "host"?'),
        (GOOD + 'windows = ["x"]', "4: targets.production.windows: unknown key; the keys here are: branch,"),
        ("kep = 5\n" + GOOD, '1: kep: unknown key; did you mean "keep"?'),
        ('keep = "5"\n' + GOOD, "1: keep: should be a whole number: write 5, without quotes"),
        ("keep = true\n" + GOOD, "1: keep: should be a whole number"),
        ("keep = 0\n" + GOOD, "1: keep: should be at least 1"),
        ("refactor_share = 1.5\n" + GOOD, "1: refactor_share: should be at most 1"),
        ("refactor_share = nan\n" + GOOD, "1: refactor_share: should be"),
        ("compose = []\n" + GOOD, "1: compose: should not be empty"),
        ('compose = "compose.yaml"\n' + GOOD, "1: compose: should be a list"),
        ('compose = [\n"a.yaml",\n3]\n' + GOOD, "3: compose[1]: should be a string"),
        ('compose = ["../x.yaml"]\n' + GOOD, "1: compose[0]: should be a path inside the project"),
        ('compose = ["/etc/x.yaml"]\n' + GOOD, "1: compose[0]: should be a path inside the project"),
        ('[targets.production]\nhost = "h"', "1: app: is required"),
        ('app = "Chat"\n[targets.production]\nhost = "h"', "1: app: should be lower-case letters"),
        (f'app = "{"a" * 41}"\n[targets.production]\nhost = "h"', "1: app: should have at most 40"),
        ('app = "chat"', "1: targets: is required"),
        ('app = "chat"\n[targets]', "2: targets: should not be empty"),
        ('app = "chat"\n[targets.production]', "2: targets.production.host: is required"),
        ('app = "chat"\n[targets."Big One"]\nhost = "h"', '2: targets."Big One": should be lower-case'),
        ('app = "chat"\n[targets.p]\nhost = "-oProxyCommand=x"', "3: targets.p.host: should be"),
        (GOOD + 'strategy = "blue"', "4: targets.production.strategy: should be 'recreate' or 'side-by-side'"),
        (GOOD + '[services.web]\nroute = "web"', "5: services.web.route: should be a path such as"),
        (GOOD + '[services.web]\nroute = "a.org:80/"', "5: services.web.route: should be a path such as"),
        ('keep_warm = "long"\n' + GOOD, "1: keep_warm: should be a duration"),
        ('layer_cache = "2GB"\n' + GOOD, "1: layer_cache: should be a size"),
        ("layer_cache = 2\n" + GOOD, "1: layer_cache: should be a size"),
        (GOOD + 'verify = { via = "all" }', "4: targets.production.verify.via: should be 'server', 'url' or 'both'"),
        (GOOD + 'verify = { via = "url" }', 'verify.via is "url", but there is no `url` to ask'),
        (GOOD + 'url = "chat.example.com"', "4: targets.production.url: should be an address"),
        (GOOD + 'url = "https://me:pw@x.org"', "4: targets.production.url: should be an address"),
        (GOOD + 'env = ["A B"]', "4: targets.production.env[0]: should be the name of an environment variable"),
        (GOOD + 'state_dir = "allfast"', "4: targets.production.state_dir: should be an absolute path"),
        (GOOD + "[services.web]\nport = 70000", "5: services.web.port: should be at most 65535"),
        (GOOD + '[services.web]\nkind = "app"', "5: services.web.kind: should be 'release', 'data' or 'one-shot'"),
        (GOOD + '[services.web]\nfresh_after = "3 days"', "5: services.web.fresh_after: should be a duration"),
        (GOOD + '[services.web]\nfresh_after = "0d"', "5: services.web.fresh_after: should be a duration"),
        (GOOD + '[services.web]\nversion = { path = "/v" }', "5: services.web.version: should have one of"),
        (GOOD + '[services.web]\nversion = { path = "v", json = "c" }', "5: services.web.version.path: should be"),
        (
            GOOD + '[services.web]\nversion = { jsn = "c" }',
            'services.web.version.jsn: unknown key; did you mean "json"?',
        ),
        (GOOD + '[preflight]\ndirty = "no"', "5: preflight.dirty: should be 'refuse', 'warn' or 'off'"),
        (GOOD + '[preflight]\nunpushd = "warn"', '5: preflight.unpushd: unknown key; did you mean "unpushed"?'),
        ('default_target = "prod"\n' + GOOD, "1: default_target: there is no [targets.prod]"),
        ('app = "chat\n', "1:12: is not valid TOML: Illegal character '\\n'"),
        ('app = "a"\napp = "b"\n', "2:10: is not valid TOML: Cannot overwrite a value"),
        ("x = [1,\n", "1:8: is not valid TOML"),
    ],
)
def test_mistakes(source: str, said: str) -> None:
    text = problem(source)
    assert said in text
    assert text.startswith("allfast.toml:")


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    lines = problem('kep = 1\napp = "X"\n[targets.production]\nhots = "h"').splitlines()
    assert [line.split(":")[1] for line in lines] == ["1", "2", "3", "4"]


def test_no_value_of_a_wrong_place_is_repeated() -> None:
    assert "hunter2" not in problem(GOOD + 'password = "hunter2"\nenv_command = ["hunter2"]\nurl = "hunter2"')


def config(folder: Path, source: str) -> Config:
    (folder / "allfast.toml").write_text(source)
    return load(None, start=folder)


def test_deployment_names(tmp_path: Path) -> None:
    both = GOOD + '[targets.staging]\nhost = "s"\n'
    assert config(tmp_path, GOOD).deployment() == "chat"
    assert config(tmp_path, both).deployment("production") == "chat-production"
    named = config(tmp_path, 'default_target = "production"\n' + both)
    assert (named.deployment(), named.deployment("staging")) == ("chat", "chat-staging")


def test_target_without_a_default_is_asked_for(tmp_path: Path) -> None:
    two = config(tmp_path, GOOD + '[targets.staging]\nhost = "s"\n')
    with pytest.raises(UsageError) as caught:
        two.target(None)
    assert caught.value.hint == "name one with --target: production, staging"
    with pytest.raises(UsageError, match='no target "stagng"') as caught:
        two.target("stagng")
    assert 'did you mean "staging"?' in caught.value.hint


def test_verify_follows_the_url(tmp_path: Path) -> None:
    assert config(tmp_path, GOOD).target().via is Via.SERVER
    assert config(tmp_path, GOOD + 'url = "http://x"').target().via is Via.BOTH
    assert config(tmp_path, GOOD + 'url = "http://x"\nverify.via = "server"').target().via is Via.SERVER


def test_found_above_the_start_but_not_above_the_checkout(tmp_path: Path) -> None:
    (tmp_path / "allfast.toml").write_text(GOOD)
    inner = tmp_path / "checkout" / "deep"
    inner.mkdir(parents=True)
    (tmp_path / "checkout" / ".git").mkdir()
    with pytest.raises(ConfigError, match=r"there is no allfast\.toml in .*deep, nor above it up to .*checkout"):
        load(None, start=inner)
    (tmp_path / "checkout" / "app").mkdir()
    (tmp_path / "checkout" / "app" / "allfast.toml").write_text(GOOD)
    found = load(Path("app/allfast.toml"), start=tmp_path / "checkout")
    assert (found.root.name, str(found.prefix)) == ("checkout", "app")


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load(Path("x.toml"), start=tmp_path)
    (tmp_path / "allfast.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="is not UTF-8"):
        load(None, start=tmp_path)


def test_a_listed_extra_file_that_is_missing_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "allfast.toml"
    file.write_text(GOOD + '[services.web]\nextra = [".env.there", ".env.nosuch"]\n')
    (tmp_path / ".env.there").touch()
    with pytest.raises(ConfigError, match=r"allfast.toml:5: services.web.extra\[1\]: there is no file .env.nosuch"):
        check_extras(load(file, start=tmp_path))
    (tmp_path / ".env.nosuch").touch()
    check_extras(load(file, start=tmp_path))
