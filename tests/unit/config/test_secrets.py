"""Which values are secret: enough of them, and not so many that output becomes unreadable."""

from __future__ import annotations

import json

import pytest

from allfast.config.secrets import closed, doubtful, of_environment, of_release, passwords, secret_key, structure

SECRET_KEYS = (
    "PASSWORD DB_PASS PGPASSWORD API_KEY SECRET_KEY_BASE GITHUB_TOKEN AWS_SECRET_ACCESS_KEY SENTRY_DSN AUTH_SALT"
)
PLAIN_KEYS = (
    "POSTGRES_PASSWORD_FILE PUBLIC_KEY NEXT_PUBLIC_API_KEY KEYBOARD TOKEN_EXPIRE_MINUTES CACHE_KEY_PREFIX "
    "MONKEY COMPASS AUTH_URL JWT_ALGORITHM SSH_AUTH_SOCK"
)


@pytest.mark.parametrize("key", SECRET_KEYS.split())
def test_keys_of_secrets(key: str) -> None:
    assert secret_key(key)
    assert secret_key(key.lower())


@pytest.mark.parametrize("key", PLAIN_KEYS.split())
def test_keys_of_plain_values(key: str) -> None:
    assert not secret_key(key)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("NODE_ENV", "production"),
        ("TZ", "Europe/Madrid"),
        ("PORT", "3000"),
        ("DB_HOST", "db.internal"),
        ("LOG_LEVEL", "debug"),
        ("ANYTHING", "true"),
        ("ANYTHING", "8080"),
        ("ANYTHING", "30s"),
        ("COOKIE_SECRET_ENABLED", "true"),
        ("VITE_TITLE", "The title"),
    ],
)
def test_harmless_values_of_untracked_files(key: str, value: str) -> None:
    assert not closed(of_environment({key: value}, trusted=False), ())


def test_untracked_values_are_secret_tracked_ones_by_their_key() -> None:
    environment = {"GREETING": "hello there", "PASSWORD": "hunter2", "PIN_PASSWORD": "123456"}
    assert of_environment(environment, trusted=False) == {"hello there", "hunter2", "123456"}
    assert of_environment(environment, trusted=True) == {"hunter2", "123456"}


def test_passwords_in_addresses() -> None:
    text = "run --db postgres://me:p%40ss@db/x --cache redis://:word@redis http://plain/ a@b:c"
    assert set(passwords(text)) == {"p%40ss", "p@ss", "word"}


def test_public_and_tiny_values_are_left() -> None:
    assert closed({"chat", "abc", "real-secret"}, ["chat "]) == {"real-secret"}


def test_secrets_of_a_stored_release_with_plain_dollars() -> None:
    service = {"environment": {"ODD": "p$$a$${x}", "PORT": "80"}, "command": ["--db", "postgres://me:wo$$rd@db"]}
    assert of_release(json.dumps({"services": {"api": service, "data": {}}})) == {"p$a${x}", "wo$rd"}


def test_a_value_that_is_a_name_of_the_application_is_doubtful() -> None:
    names = structure("tiny-staging", ["web", "cache"])
    assert {"tiny-staging", "tiny", "web", "tiny-staging-web", "tiny-staging/cache"} <= names
    found = of_environment({"REDIS_PASSWORD": "tiny", "API_KEY": "a-real-one"}, trusted=True)
    assert doubtful(found, names) == {"tiny"}
    assert closed(found, names) == {"a-real-one"}
