"""A certificate of the user's own, read on this machine and judged as a browser would.

The judge is a TLS handshake in memory (Python's `ssl`, OpenSSL): a server with the files, and a client that believes
this very certificate and asks for the host. So key, dates and names are checked as they will be later.
"""

from __future__ import annotations

import hashlib
import re
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from allfast.config.load import place
from allfast.config.model import Config
from allfast.errors import ConfigError

#: OpenSSL's X509_V_ERR_*.
_NOT_YET, _EXPIRED, _OTHER_HOST = 9, 10, 62
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Certificate:
    """What the proxy is given: `chain` and `key` in PEM; `digest` (of the chain) is its name, "" for none.

    `expires` in seconds since the epoch.
    """

    digest: str = ""
    chain: str = ""
    key: str = field(default="", repr=False)
    expires: float = 0.0


def read_certificate(config: Config, target: str, hosts: Iterable[str]) -> Certificate:
    """The target's certificate, good for all of `hosts` by this machine's clock; an empty one where it names none.

    Raises:
        ConfigError: a file cannot be read, they do not belong together, or the certificate is not for a host or time.
    """
    wanted = config.target(target).certificate
    if wanted is None:
        return Certificate()
    where = place(config, "targets", target, "certificate")
    chain, key = _text(config.folder / wanted.file, where), _text(config.folder / wanted.key, where)
    found = _PEM.search(chain)
    if found is None:
        raise ConfigError(
            f"{where}: {wanted.file} has no certificate in PEM", hint="a PEM file has -----BEGIN CERTIFICATE-----"
        )
    server = _server(config.folder / wanted.file, config.folder / wanted.key, where)
    expires = min(_expires(server, found[0], host, f"{where}: {wanted.file}") for host in {*hosts} or {""})
    digest = hashlib.sha256(chain.encode()).hexdigest()[:16]
    return Certificate(digest, chain, key, expires)


def _text(path: Path, where: str) -> str:
    try:
        return path.read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text (PEM)"
        hint = "name a file in PEM that this login may read, relative to allfast.toml"
        raise ConfigError(f"{where}: {path.name} cannot be read: {reason}", hint=hint) from error


def _server(chain: Path, key: Path, where: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

    def locked() -> str:
        raise ConfigError(
            f"{where}: {key.name} is encrypted",
            hint=f"the proxy cannot ask for a passphrase; decrypt it: openssl pkey -in {key.name} -out ...",
        )

    try:
        context.load_cert_chain(chain, key, password=locked)
    except ssl.SSLError as error:
        what = "is not the key of" if error.reason == "KEY_VALUES_MISMATCH" else "cannot be used with"
        hint = "name the private key that the certificate was made for, in PEM; its chain stands behind it in one file"
        raise ConfigError(f"{where}: {key.name} {what} {chain.name}", hint=hint) from error
    return context


def _expires(server: ssl.SSLContext, leaf: str, host: str, what: str) -> float:
    """When the certificate ends, epoch seconds; `host` "" for any. Raises ConfigError where a browser refuses it."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = bool(host)
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client.load_verify_locations(cadata=leaf)
    try:
        shown = _shaken(client, server, host)
    except ssl.SSLCertVerificationError as error:
        raise _refused(error, host, what) from error
    return float(ssl.cert_time_to_seconds(str(shown["notAfter"])))


def _refused(error: ssl.SSLCertVerificationError, host: str, what: str) -> ConfigError:
    if error.verify_code == _EXPIRED:
        return ConfigError(f"{what} has expired", hint="have it renewed, and name the new files")
    if error.verify_code == _NOT_YET:
        return ConfigError(f"{what} is not valid yet", hint="see its dates (openssl x509 -noout -dates -in ...)")
    if error.verify_code == _OTHER_HOST:
        hint = "name a certificate with that host among its names (openssl x509 -noout -ext subjectAltName -in ...)"
        return ConfigError(f"{what} is not for {host}, where a route is", hint=hint)
    return ConfigError(f"{what}: {error.verify_message}", hint="name a certificate for a web server")


def _shaken(client: ssl.SSLContext, server: ssl.SSLContext, host: str) -> dict[str, object]:
    """What the client has seen of the server's certificate, by a handshake without a network."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(back, there, server_hostname=host or None)
    answering = server.wrap_bio(there, back, server_side=True)
    for side in (asking, answering, asking, answering):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return dict(asking.getpeercert() or {})
