"""`hsmvault ca`: look at our certificate authorities, export their certificates, revoke what they have issued.

Beside an instance that runs, or without one: it reads and writes the database alone, and needs no PIN.
"""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from hsmvault.cli.existing import settings_of
from hsmvault.errors import ConfigurationError
from hsmvault.model.authorities import REASONS, AuthorityRole, AuthorityRow, IssuedRow

_CHAIN = (AuthorityRole.ISSUING, AuthorityRole.ROOT)
_REASONS = {number: word for word, number in REASONS.items()}


def list_authorities(config: Path | None, data_dir: Path) -> int:
    """A line each. config: of an instance that is served; without, data_dir of an embedded one."""
    from hsmvault.app.authority_commands import described

    for one in asyncio.run(described(settings_of(config, data_dir))):
        if AuthorityRole.ISSUING not in one.rows:
            print(f"{one.name}  not made yet: the next start makes it")
            continue
        certificate = _certificate(one.rows[AuthorityRole.ISSUING])
        note = "" if one.is_configured else "  (not configured any more)"
        print(f"{one.name}  {certificate.subject.rfc4514_string()}  until {_day(_end(certificate))}{note}")
    return 0


def show(config: Path | None, data_dir: Path, name: str) -> int:
    """Its certificates, and what it has issued."""
    from hsmvault.app.authority_commands import described_with_issued

    found = asyncio.run(described_with_issued(settings_of(config, data_dir), name))
    if not found.rows:
        print(f"{name}  not made yet: the next start makes it")
        return 0
    for role in reversed(_CHAIN):
        row = found.rows[role]
        certificate = _certificate(row)
        print(f"{role.value}: {certificate.subject.rfc4514_string()}")
        print(f"  serial number  {certificate.serial_number:032x}")
        print(f"  SHA-256        {certificate.fingerprint(SHA256()).hex()}")
        print(f"  good           {_day(certificate.not_valid_before_utc)} to {_day(_end(certificate))}")
        print(f"  key            {row.spec.family.value} {row.spec.size_bits}, {row.custody} custody")
    print(f"issued: {len(found.issued)}")
    for one in found.issued:
        print(f"  {one.serial}  {one.name}  until {_day(_moment(one.not_after))}  {_state(one)}")
    return 0


def export(config: Path | None, data_dir: Path, name: str) -> int:
    """The issuing certificate and the root in PEM, on standard output."""
    from hsmvault.app.authority_commands import described

    found = next((one for one in asyncio.run(described(settings_of(config, data_dir))) if one.name == name), None)
    if found is None or not found.rows:
        raise ConfigurationError(f"There is no certificate authority '{name}' in this installation, or not yet.")
    for role in _CHAIN:
        print(_certificate(found.rows[role]).public_bytes(Encoding.PEM).decode("ascii"), end="")
    return 0


def revoke(config: Path | None, data_dir: Path, name: str, serial: str, reason: str) -> int:
    """For good. Workers that run publish it within a second."""
    from hsmvault.app.authority_commands import revoke_certificate

    asyncio.run(revoke_certificate(settings_of(config, data_dir), name, serial, reason))
    print(f"The certificate {serial} of the authority '{name}' is revoked ({reason}).")
    return 0


def _certificate(row: AuthorityRow) -> x509.Certificate:
    return x509.load_der_x509_certificate(row.certificate_der)


def _end(certificate: x509.Certificate) -> datetime:
    return certificate.not_valid_after_utc


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"


def _state(row: IssuedRow) -> str:
    if row.revoked_at is None:
        return "good"
    word = _REASONS.get(row.reason or 0, "unspecified")
    return f"revoked {_moment(row.revoked_at):%Y-%m-%d %H:%M:%S} UTC ({word})"
