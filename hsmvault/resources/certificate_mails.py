"""What the contacts of a vault are told about its certificates, by mail.

Written into the store in the transaction of what it tells of (store/mails.py), one for each contact with an address. A
mail holds nothing that is secret: it lies in other people's mailboxes.
"""

from datetime import UTC, datetime
from enum import Enum
from typing import Final

from hsmvault.model.certificates import CertificateVersion
from hsmvault.model.containers import Container
from hsmvault.store import certificate_issuers, mails
from hsmvault.store.database import Transaction
from hsmvault.store.mails import Mail

_LONGEST_TEXT: Final = 500  # characters of what others have written: a subject, an issuer's error


class Notice(Enum):
    """The value is the subject line, with the names of the certificate and its vault."""

    EXPIRING = "Certificate {name} in vault {vault} is about to expire"
    RENEWED = "Certificate {name} in vault {vault} was renewed"
    NOT_RENEWED = "Certificate {name} in vault {vault} could not be renewed"
    ENDED = "Certificate {name} in vault {vault} has expired and was not renewed"


_ADVICE: Final = {
    Notice.EXPIRING: "It is not renewed by itself: its policy asks for this message instead. Please renew it in time.",
    Notice.RENEWED: "A new version was issued. Whoever uses the certificate by its name gets it from now on.",
    Notice.NOT_RENEWED: "It is tried again until it expires. Please look at its issuer, or renew it by hand.",
    Notice.ENDED: "It is not tried again. Please create a new version, or delete the certificate.",
}


class CertificateMails:
    """enabled: whether this installation sends mail at all. Where it does not, nothing is stored."""

    def __init__(self, *, enabled: bool) -> None:
        self._enabled = enabled

    async def tell(
        self,
        tx: Transaction,
        container: Container,
        notice: Notice,
        row: CertificateVersion,
        now: int,
        reason: str = "",
    ) -> None:
        """row: the version that it is about. now: seconds since 1970 UTC. reason: what the issuer said."""
        if not self._enabled:
            return
        subject = notice.value.format(name=row.name, vault=container.name)
        body = text(container, notice, row, reason)
        told: set[str] = set()
        for contact in await certificate_issuers.contacts(tx, container.id):
            if contact.email and contact.email not in told:
                told.add(contact.email)
                await mails.insert(tx, Mail(container.id, contact.email, subject, body, now))


def text(container: Container, notice: Notice, row: CertificateVersion, reason: str) -> str:
    """Lines that end in LF."""
    lines = [
        notice.value.format(name=row.name, vault=container.name) + ".",
        "",
        f"Vault:       {container.name}",
        f"Certificate: {row.name}",
        f"Version:     {row.version}",
        f"Subject:     {_one_line(row.subject)}",
        f"Thumbprint:  {row.thumbprint.hex().upper()}",
        f"Expires:     {_time(row.expires)}",
    ]
    if reason:
        lines.append(f"Reason:      {_one_line(reason)}")
    lines += ["", _ADVICE[notice], "", "You get this message because you are a certificate contact of this vault."]
    return "".join(line + "\n" for line in lines)


def _one_line(given: str) -> str:
    """Of bounded length and without control characters: nobody adds lines of his own."""
    shown = "".join(character if character.isprintable() else " " for character in given[: _LONGEST_TEXT + 1])
    return shown if len(shown) <= _LONGEST_TEXT else shown[:_LONGEST_TEXT] + "…"


def _time(moment: int | None) -> str:
    """moment: within the years that a certificate can have (RFC 5280, 4.1.2.5)."""
    return "never" if moment is None else datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
