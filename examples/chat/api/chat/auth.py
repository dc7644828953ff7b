"""Passwords and sessions."""

import hashlib
import hmac
import secrets

import redis

SESSION_SECONDS = 14 * 24 * 3600

_SCRYPT = {"n": 2**14, "r": 8, "p": 1}


def hash_password(password: str) -> str:
    salt = secrets.token_bytes(16)
    return f"{salt.hex()}${hashlib.scrypt(password.encode(), salt=salt, **_SCRYPT).hex()}"


def password_matches(password: str, stored: str) -> bool:
    salt, digest = (bytes.fromhex(part) for part in stored.split("$"))
    return hmac.compare_digest(hashlib.scrypt(password.encode(), salt=salt, **_SCRYPT), digest)


# What an unknown name is checked against, so that it takes as long as a wrong password.
NOBODY = hash_password(secrets.token_hex())


class Sessions:
    """Who is logged in: `session:<token>` in Redis, the token in a cookie (browsers) or a bearer header (scripts)."""

    def __init__(self, store: redis.Redis) -> None:
        self._store = store

    def start(self, user_id: int) -> str:
        token = secrets.token_urlsafe(32)
        self._store.set(f"session:{token}", user_id, ex=SESSION_SECONDS)
        return token

    def user_id(self, token: str) -> int | None:
        value = self._store.get(f"session:{token}")
        return int(str(value)) if value is not None else None

    def end(self, token: str) -> None:
        self._store.delete(f"session:{token}")
