"""What ssh says when it fails, as errors with a cause and a next step.

ssh has one exit status (255) for everything, so its words (with LC_ALL=C) are all there is to go by: this table is the
only place where they are read. Source: OpenSSH's sshconnect.c, ssh.c, readconf.c, clientloop.c, channels.c.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from typing import NamedTuple

from allfast.errors import AllfastError, RemoteError

_KNOWN_HOSTS = "~/.ssh/known_hosts"
#: A path that a file of known hosts may have; ssh names it as an absolute one.
_PATH = re.compile(r"/[\w ./@+-]*(\.ssh/|known_hosts)[\w .@+-]*")
_NETWORK = "is the server up, is the address right, and does its firewall let you in? Try: ssh {host}"


class _Row(NamedTuple):
    pattern: str
    message: str
    hint: str


#: The first row whose pattern is in one of the lines counts.
_ROWS = (
    _Row(
        r"REMOTE HOST IDENTIFICATION HAS CHANGED",
        "the host key of {host} is not the one in {known_hosts}: another machine answers, or it was set up anew",
        "if you know why it changed: ssh-keygen -R {key_name} -f {known_hosts},"
        " then ssh {host} once and check the new key",
    ),
    _Row(
        r"Host key verification failed|host key is known for",
        "the host key of {host} is not known on this machine",
        "connect once by hand and check the key: ssh {host}",
    ),
    _Row(
        r"Could not resolve hostname \S+:\d+:",
        "the name of {host} cannot be resolved",
        "a port is no part of `host`: give the server an entry with `Port` in ~/.ssh/config, and name that",
    ),
    _Row(
        r"Could not resolve hostname",
        "the name of {host} cannot be resolved",
        "check `host` of the target, or ~/.ssh/config",
    ),
    _Row(r"Connection refused", "{host} is unreachable: the connection was refused", _NETWORK),
    _Row(r"[Tt]imed out", "{host} is unreachable: no answer in time", _NETWORK),
    _Row(
        r"No route to host|Network is unreachable|Network is down",
        "{host} is unreachable: there is no way to it",
        _NETWORK,
    ),
    _Row(
        r"Permission denied \(|Too many authentication failures|No more authentication methods",
        "{host} refused the login",
        "allfast uses keys only (no passwords): does `ssh -o BatchMode=yes {host} true` work?"
        " Is the key in ssh-agent (ssh-add -l)?",
    ),
    _Row(
        r"[Bb]ad configuration option|[Bb]ad owner or permissions|terminating, \d+ bad|Can't open user config file",
        "ssh does not accept its configuration",
        "mend the file and line that ssh names",
    ),
    _Row(r"kex_exchange_identification|Connection (closed|reset) by", "{host} closed the connection", _NETWORK),
)


def explain(host: str, status: int, lines: list[str]) -> AllfastError:
    """Why ssh to `host` ended with `status`, having said `lines`."""
    text = "\n".join(lines)
    evidence = tuple(line for line in lines if line.strip())[-6:]
    for row in _ROWS if status == 255 else ():
        if re.search(row.pattern, text):
            return _error(row, host, text, evidence)
    if status == 255:
        return RemoteError(
            f"the SSH connection to {host} ended", hint=f"try: ssh {shlex.quote(host)}", evidence=evidence
        )
    return RemoteError(
        f"the agent on {host} ended (exit {status})",
        hint="can the login run commands there? Try: ssh " + shlex.quote(host) + " python3 -V",
        evidence=evidence,
    )


def forwarding_refused(host: str, name: str, lines: list[str]) -> AllfastError:
    """The server's sshd does not forward: what to change there."""
    return RemoteError(
        f"{host}: sshd does not forward {name}",
        hint="on the server, in /etc/ssh/sshd_config: AllowTcpForwarding yes, AllowStreamLocalForwarding yes (and no"
        " DisableForwarding); then: systemctl reload ssh",
        evidence=tuple(lines[-3:]),
    )


def _error(row: _Row, host: str, text: str, evidence: tuple[str, ...]) -> AllfastError:
    words: dict[str, Callable[[], str]] = {
        "host": lambda: host,
        # `Offending ED25519 key in /home/me/.ssh/known_hosts:7`, `Host key for [10.0.0.1]:2222 has changed and ...`
        "known_hosts": lambda: _known_hosts(text),
        "key_name": lambda: _found(r"Host key for (.*) has changed", text, host.rpartition("@")[2]),
    }
    values = {name: value() for name, value in words.items()}
    # Hints have commands to copy, and among ssh's words are those that the server sends.
    quoted = {name: value if value == _KNOWN_HOSTS else shlex.quote(value) for name, value in values.items()}
    return RemoteError(row.message.format(**values), hint=row.hint.format(**quoted), evidence=evidence)


def _known_hosts(text: str) -> str:
    path = _found(r"Offending .*key in (.*):\d+", text, _KNOWN_HOSTS)
    return path if _PATH.fullmatch(path) else _KNOWN_HOSTS


def _found(pattern: str, text: str, default: str) -> str:
    found = re.search(pattern, text)
    return found[1] if found else default
