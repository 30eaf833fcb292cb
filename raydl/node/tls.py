"""Certificates for the nodes of a cluster, and an authority that signs them.

Needs the extra ``tls``: the only module that imports cryptography.

Ray's processes show each other certificates in both directions where RAY_USE_TLS=1 is set
(https://docs.ray.io/en/latest/ray-core/configure.html, TLS authentication). A node's certificate
names its addresses, for a client compares them.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import socket
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import oid

from raydl.model.errors import OutputError, UsageError

AUTHORITY_DAYS, NODE_DAYS = 3650, 730
HASH = hashes.SHA256()
PEM = serialization.Encoding.PEM

Key = ec.EllipticCurvePrivateKey
PublicKey = ec.EllipticCurvePublicKey

ENVIRONMENT = """\
# For every bash or zsh that runs `ray` or `raydl` on this machine:  . {name}/env
here=$(cd "$(dirname "${{BASH_SOURCE[0]:-$0}}")" && pwd)
export RAY_USE_TLS=1
export RAY_TLS_SERVER_CERT="$here/tls.crt" RAY_TLS_SERVER_KEY="$here/tls.key"
export RAY_TLS_CA_CERT="$here/ca.crt"
"""


def make_certificates(folder: Path, hosts: list[str]) -> list[Path]:
    """Make ``folder/HOST`` for each host: tls.key, tls.crt, ca.crt and env. Returns the folders.

    The authority, ca.key and ca.crt in ``folder``, is made the first time and used again. Raises
    UsageError for a host that is none, OutputError where files cannot be written.
    """
    addresses = {host: _addresses(host) for host in hosts}
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        key, certificate = _authority(folder)
        return [_node(folder, host, addresses[host], key, certificate) for host in hosts]
    except OSError as error:
        raise OutputError(f"cannot write {error.filename or folder}: {error.strerror}") from None


def _addresses(host: str) -> list[str]:
    """The host's name and addresses, and those of its own loopback."""
    if not host or host.startswith((".", "-")) or "/" in host or host != host.strip():
        raise UsageError(f"{host!r} is no host", "give names or addresses of machines")
    try:
        found = {str(entry[4][0]).partition("%")[0] for entry in socket.getaddrinfo(host, None)}
    except OSError:
        raise UsageError(
            f"{host} cannot be resolved", "give the machine's address: it stands in the certificate"
        ) from None
    return list(dict.fromkeys([host, *sorted(found), "localhost", "127.0.0.1", "::1"]))


def _authority(folder: Path) -> tuple[Key, x509.Certificate]:

    key_file, file = folder / "ca.key", folder / "ca.crt"
    if key_file.exists():
        try:
            kept = serialization.load_pem_private_key(key_file.read_bytes(), None)
            certificate = x509.load_pem_x509_certificate(file.read_bytes())
        except (ValueError, TypeError):
            kept = None
        if not isinstance(kept, Key):
            raise UsageError(f"{folder} holds another kind of authority", "take another folder")
        return kept, certificate
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(oid.NameOID.COMMON_NAME, "raydl cluster")])
    certificate = (
        _builder(name, name, key.public_key(), key.public_key(), AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .sign(key, HASH)
    )
    _write_key(key_file, key)
    file.write_bytes(certificate.public_bytes(PEM))
    return key, certificate


def _node(folder: Path, host: str, addresses: list[str], ca_key: Key, ca: x509.Certificate) -> Path:

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(oid.NameOID.COMMON_NAME, host[:64])])
    certificate = (
        _builder(name, ca.subject, key.public_key(), ca_key.public_key(), NODE_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage(
                [oid.ExtendedKeyUsageOID.SERVER_AUTH, oid.ExtendedKeyUsageOID.CLIENT_AUTH]
            ),
            critical=False,
        )
        .add_extension(
            x509.SubjectAlternativeName([_general_name(text) for text in addresses]), critical=False
        )
        .sign(ca_key, HASH)
    )
    to = folder / host.replace(":", "_")
    to.mkdir(exist_ok=True, mode=0o700)
    _write_key(to / "tls.key", key)
    (to / "tls.crt").write_bytes(certificate.public_bytes(PEM))
    (to / "ca.crt").write_bytes(ca.public_bytes(PEM))
    (to / "env").write_text(ENVIRONMENT.format(name=to.name))
    return to


def _builder(
    subject: x509.Name, issuer: x509.Name, key: PublicKey, issuer_key: PublicKey, days: int
) -> x509.CertificateBuilder:

    now = datetime.datetime.now(datetime.timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))  # clocks differ
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False
        )
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs, key_cert_sign=signs, crl_sign=signs, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
        decipher_only=False,
    )  # fmt: skip


def _general_name(text: str) -> x509.GeneralName:

    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _write_key(path: Path, key: Key) -> None:
    """For this user alone, from the first byte."""

    text = key.private_bytes(
        PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(text)
