"""Which values must never be shown.

Too few would leak; too many would make output unreadable (a "3000" or a "chat" in each line turned into stars). So
values are judged by where they come from, by their key, and by what they look like.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import unquote, urlsplit

from allfast.config.tree import strings
from allfast.redact import SHORTEST

_SECRET_KEY = re.compile(
    r"(^|_)(PASS|PASSWD|PASSWORD|PASSPHRASE|PWD|SECRETS?|TOKENS?|CREDENTIALS?|CREDS|AUTH|DSN|SALT|PEPPER|SIGNATURE"
    r"|CERT|COOKIE|WEBHOOK|JWT|LICENSE|KEYS?)(_|$)|PASSWORD|PASSPHRASE|SECRET|TOKEN|APIKEY|PRIVATEKEY|ACCESSKEY"
)
_HARMLESS_KEY = re.compile(
    r"^(NODE_ENV|APP_ENV|RAILS_ENV|FLASK_ENV|TZ|LANG|LC_\w+|PATH|HOME|PWD|USER|HOSTNAME|CI|TERM|COMPOSE_\w+)$"
    r"|(^|_)(PORT|HOST|HOSTS|HOSTNAME|ADDR|ADDRESS|LEVEL|ENV|ENVIRONMENT|TIMEOUT|TTL|SIZE|LIMIT|COUNT|WORKERS|THREADS"
    r"|DEBUG|VERBOSE|LOCALE|LANGUAGE|TIMEZONE|REGION|DIR|DIRECTORY|FILE|VERSION|TAG|COLOR|COLOUR|MODE|DOMAIN"
    r"|SECONDS|MINUTES|HOURS|DAYS|PREFIX|ALGORITHM|ISSUER|AUDIENCE|SOCK)$"
    r"|^(NEXT_PUBLIC|VITE|REACT_APP|PUBLIC|NUXT_PUBLIC|EXPO_PUBLIC)_|PUBLIC_?KEY"
)
_HARMLESS_VALUE = re.compile(r"(?i)true|false|yes|no|on|off|none|null|auto|[0-9]{1,5}|[0-9]+[smhdkMG]?B?")
_USER_INFO = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^\s/@]*:[^\s/]*@\S*")


def secret_key(key: str) -> bool:
    """Whether a key says that its value is secret (`DB_PASSWORD`, `API_KEY`; not `PASSWORD_FILE`)."""
    name = key.upper().replace("-", "_").replace(".", "_")
    # The password inside of an address is found by its look.
    harmless = _HARMLESS_KEY.search(name) or name.endswith(("_URL", "_URI", "_ENDPOINT"))
    return _SECRET_KEY.search(name) is not None and not harmless


def looks_secret(key: str, value: str) -> bool:
    """Whether a value that stands in the open (a build argument) is secret by its key or by its look."""
    return bool(value) and (secret_key(key) or any(passwords(value)))


def secret_values(key: str, value: str, *, trusted: bool) -> Iterator[str]:
    """The parts of a variable's value that must not be shown.

    Args:
        trusted: the value stands in a file that Git tracks, so only its key or its look can make it secret; else
            (an env file, the shell, a command) it is secret unless its key or its look is harmless.
    """
    yield from passwords(value)
    name = key.upper()
    if _HARMLESS_VALUE.fullmatch(value) and not (secret_key(key) and re.fullmatch(r"[0-9]{4,}", value)):
        return
    if secret_key(key) or not (trusted or _HARMLESS_KEY.search(name)):
        yield value


def written_values(text: str) -> set[str]:
    """All that can be a value in the text of an env file, well written or not: what a complaint of it may repeat."""
    found = set()
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals and _HARMLESS_KEY.search(key.strip().upper()):
            continue
        found |= {word for word in {value if equals else key} | set(line.split()) if word not in ("#", "export")}
    return found | {word.strip(" \t\"'`${}") for word in found}


def passwords(text: str) -> Iterator[str]:
    """The passwords of all addresses `scheme://user:password@host` in a text, as written and decoded."""
    for address in _USER_INFO.findall(text):
        try:
            password = urlsplit(address).password
        except ValueError:  # not an address after all
            continue
        if password:
            yield password
            yield unquote(password)


def closed(values: Iterable[str], public: Iterable[str]) -> frozenset[str]:
    """The values to redact: without what is public anyway and without what is too short to be told from text."""
    known = {word.strip() for word in public}
    return frozenset(value for value in values if len(value.strip()) >= SHORTEST and value.strip() not in known)


def structure(deployment: str, services: Iterable[str]) -> set[str]:
    """The names of a deployment's parts: of its services, containers and images, and the words of its own name."""
    own = set(services)
    made = {f"{deployment}{sign}{name}" for name in own for sign in "-_/"}
    return {deployment, *re.split("[-_]", deployment), *own, *made}


def doubtful(values: Iterable[str], names: Iterable[str]) -> frozenset[str]:
    """The values that look secret and are names of the application: only their place tells which is meant."""
    known = set(names)
    return frozenset(value.strip() for value in values if value.strip() in known)


def of_environment(environment: Mapping[str, str], *, trusted: bool) -> set[str]:
    """`secret_values` of all of an environment."""
    return {one for key, value in environment.items() for one in secret_values(key, value, trusted=trusted)}


def of_release(document: str) -> set[str]:
    """What must not be shown of a release's rendered Compose file (JSON, `$` doubled).

    It does not tell which files its values came from, so none of them is trusted.
    """
    found: set[str] = set()
    for service in json.loads(document)["services"].values():
        environment = service.get("environment") or {}
        found |= of_environment({k: str(v).replace("$$", "$") for k, v in environment.items()}, trusted=False)
        for _, text in strings([service.get(key) for key in ("command", "entrypoint", "labels", "healthcheck")]):
            found |= set(passwords(text.replace("$$", "$")))
    return found
