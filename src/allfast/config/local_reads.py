"""What of a Compose document would have the Compose CLI read a file or run a program of the machine that it runs on.

Starting a release must depend on nothing but its document, and a document that comes from a server's ledger must get
nothing of the laptop: it is handed to the laptop's own Compose.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from allfast.errors import AttentionError, ConfigError

#: Keys of a service that name files of the laptop (`build` and `extends` take whole folders and other Compose files),
#: hand its registry passwords to the container (`use_api_socket`), or run one of its programs.
_OF_A_SERVICE = ("build", "env_file", "extends", "label_file", "models", "provider", "use_api_socket")
_TOP = ("include", "models")
#: Profiles that need no file. https://docs.docker.com/engine/security/seccomp/
_BUILT_IN = ("unconfined", "builtin")


def local_reads(document: Mapping[str, Any]) -> Iterator[str]:
    """The places, as `services.web.env_file`; `document` is one that is to be started (see document.py)."""
    yield from (key for key in _TOP if document.get(key))
    for name, one in (document.get("services") or {}).items():
        yield from (f"services.{name}.{place}" for place, _ in of_service(one))


def of_service(definition: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The same of one service, as `env_file`; and the option where it is one of many, else ""."""
    yield from ((key, "") for key in _OF_A_SERVICE if definition.get(key))
    for number, option in enumerate(definition.get("security_opt") or ()):
        key, _, value = str(option).replace("=", ":", 1).partition(":")
        if key == "seccomp" and value not in _BUILT_IN:
            yield f"security_opt[{number}]", str(option)


def refuse_local_reads(name: str, definition: Mapping[str, Any]) -> None:
    """Raises ConfigError where a service, as it goes to the server, needs something of this machine to be started."""
    for place, option in of_service(definition):
        hint = "take it out: nothing of this machine is there when the service is started again"
        if option:
            hint = "take it out: the engine's own profile is used then, or the one that the server's engine was given"
            hint += ' ("seccomp-profile" of its daemon.json)'
        shown = f'"{option}" ' if option else ""
        text = f"services.{name}.{place}: {shown}makes Compose read or run something of this machine at each start"
        raise ConfigError(text, hint=hint)


def guard_stored(release: str, document: str) -> None:
    """Raises AttentionError where a release's stored document is none that allfast has written."""
    try:
        found = json.loads(document)
        places = [f"{place} would have this machine read or run something" for place in local_reads(found)]
        wrong = places[0] if places else "" if found["services"] else "it has no services"
    except (ValueError, AttributeError, KeyError, TypeError):
        wrong = "it is none"
    if wrong:
        raise AttentionError(
            f"the server's Compose file of {release} was changed by somebody else: {wrong}; it was not used",
            hint="find out who can write to the server's state folder, and put the file back as it was",
        )
