"""The certificates of an embedded instance: a CA of its own, the server's certificate, and one for dev-owner.

The CA is for this instance's names alone (name constraints), so that a key that leaks out of a data directory cannot
vouch for anything else on a machine that came to trust it. It stays across starts; what it signs is renewed in time.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hsmvault.clock import Clock
from hsmvault.config import Layout, Names
from hsmvault.config.files import write_private

_CA_DAYS = 3653
_SERVER_DAYS = 397  # what strict clients accept at most
_CLIENT_DAYS = 3653
_RENEW_DAYS = 60
_BACKDATED = timedelta(hours=1)  # clients whose clock is behind

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True, repr=False)
class _Pair:
    certificate: x509.Certificate
    key: PrivateKey


def ensure_certificates(layout: Layout, names: Names, clock: Clock) -> None:
    """Make what is missing, too old, or for other names. Files are for the owner alone (0600)."""
    now = datetime.fromtimestamp(clock.now(), UTC)
    ca = _load(layout.ca_certificate, layout.ca_key)
    if ca is None or not _is_fresh(ca, now) or _permitted(ca.certificate) != _subtrees(names):
        ca = _make_ca(names, now)
        _store(ca, layout.ca_certificate, layout.ca_key)
    server = _load(layout.server_certificate, layout.server_key)
    if server is None or not _is_fresh(server, now) or not _serves(server, ca, names):
        server = _make_server(ca, names, now)
        _store(server, layout.server_certificate, layout.server_key)
    client = _load(layout.client_certificate, layout.client_certificate)
    if client is None or not _is_fresh(client, now):
        _store(_make_client(now), layout.client_certificate, layout.client_certificate)


def _make_ca(names: Names, now: datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(f"hsmvault development CA ({names.suffix})")
    certificate = (
        _builder(subject, subject, key.public_key(), now, _CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(sign_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.NameConstraints(_subtrees(names), None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return _Pair(certificate, key)


def _make_server(ca: _Pair, names: Names, now: datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _builder(_subject(names.host("vault")), ca.certificate.subject, key.public_key(), now, _SERVER_DAYS)
        .add_extension(x509.SubjectAlternativeName(_alternative_names(names)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.certificate.public_key()),  # type: ignore[arg-type] # ours: EC
            critical=False,
        )
        .sign(ca.key, hashes.SHA256())
    )
    return _Pair(certificate, key)


def _make_client(now: datetime) -> _Pair:
    """Self-signed, RSA: what clients put behind a client assertion (RS256 or PS256)."""
    key = rsa.generate_private_key(65537, 2048)
    subject = _subject("dev-owner")
    certificate = (
        _builder(subject, subject, key.public_key(), now, _CLIENT_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _Pair(certificate, key)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    now: datetime,
    days: int,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + timedelta(days=days))
    )


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _usage(*, sign_certificates: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative_names(names: Names) -> list[x509.GeneralName]:
    addresses = (IPv4Address("127.0.0.1"), IPv6Address("::1"))
    return [*(x509.DNSName(name) for name in names.certificate_names()), *(x509.IPAddress(one) for one in addresses)]


def _subtrees(names: Names) -> list[x509.GeneralName]:
    suffixes = dict.fromkeys((names.suffix, "localhost"))
    networks = (IPv4Network("127.0.0.1/32"), IPv6Network("::1/128"))
    return [*(x509.DNSName(one) for one in suffixes), *(x509.IPAddress(network) for network in networks)]


def _permitted(certificate: x509.Certificate) -> list[x509.GeneralName]:
    try:
        return list(certificate.extensions.get_extension_for_class(x509.NameConstraints).value.permitted_subtrees or ())
    except x509.ExtensionNotFound:
        return []


def _is_fresh(pair: _Pair, now: datetime) -> bool:
    certificate = pair.certificate
    return certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc - timedelta(days=_RENEW_DAYS)


def _serves(server: _Pair, ca: _Pair, names: Names) -> bool:
    try:
        server.certificate.verify_directly_issued_by(ca.certificate)
        found = server.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    return list(found) == _alternative_names(names)


def _load(certificate: Path, key: Path) -> _Pair | None:
    """A pair that belongs together, or None: what is missing or damaged is made anew."""
    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
        private = serialization.load_pem_private_key(key.read_bytes(), None)
    except (FileNotFoundError, ValueError):
        return None
    if not isinstance(private, PrivateKey) or private.public_key() != found.public_key():
        return None
    return _Pair(found, private)


def _store(pair: _Pair, certificate: Path, key: Path) -> None:
    public = pair.certificate.public_bytes(serialization.Encoding.PEM)
    private = pair.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    if certificate == key:
        write_private(key, private + public)
        return
    write_private(key, private)
    write_private(certificate, public)
