"""Certificates that sign themselves, as files, made by openssl(1)."""

from pathlib import Path

from testbed.common import run

#: What `openssl ca` wants to know; it alone can be told dates on OpenSSL before 3.4.
_PAST = """
[ca]
default_ca = own
[own]
database = {folder}/{name}.index
serial = {folder}/{name}.serial
new_certs_dir = {folder}
default_md = sha256
policy = any
x509_extensions = names
[any]
commonName = supplied
[names]
subjectAltName = {names}
"""


def make_certificate(folder: Path, name: str, *hosts: str, days: int = 90, password: str = "") -> None:
    """Make `<name>.pem` and `<name>.key` in a folder, for these hosts; with a `password` the key is encrypted.

    Negative `days`: it has expired long ago.
    """
    names = ",".join(f"DNS:{host}" for host in hosts)
    pem, key = folder / f"{name}.pem", folder / f"{name}.key"
    new = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=test"]
    new += ["-keyout", str(key), *(["-passout", f"pass:{password}"] if password else ["-nodes"])]
    if days > 0:
        run([*new, "-x509", "-days", str(days), "-addext", f"subjectAltName={names}", "-out", str(pem)])
        return
    asked, settings = folder / f"{name}.csr", folder / f"{name}.conf"
    settings.write_text(_PAST.format(folder=folder, name=name, names=names))
    (folder / f"{name}.index").write_text("")
    (folder / f"{name}.serial").write_text("01\n")
    run([*new, "-out", str(asked)])
    signed = ["-selfsign", "-keyfile", str(key), "-in", str(asked), "-out", str(pem), "-notext", "-batch"]
    dates = ["-startdate", "20200101000000Z", "-enddate", "20200201000000Z"]
    run(["openssl", "ca", "-config", str(settings), *signed, *dates])
