"""The issuer Self: each certificate is signed by its own key, wherever the key lives.

As the service makes them: version 3, a serial number of 16 bytes, valid from ten minutes ago (clocks differ), the
signature with SHA-256 or the hash that belongs to the curve. An issuer must have a name (RFC 5280, 4.1.2.4): where the
policy has alternative names alone, the first of them is the common name.
"""

from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from hsmvault.clock import Clock, Identifiers
from hsmvault.custody import certificate_extensions as extensions
from hsmvault.custody.certificate_signing import CertificateTemplate, Signer, sign_certificate
from hsmvault.errors import BadRequest
from hsmvault.model import durations
from hsmvault.model.certificate_policies import SELF, CertificatePolicy, X509Properties
from hsmvault.model.containers import Container
from hsmvault.model.durations import Duration
from hsmvault.model.x500 import parse_name
from hsmvault.resources.certificate_issuers.protocol import Account, Enrolment, Issued, Outcome

EARLIER_SECONDS: Final = 600
_LONGEST_COMMON_NAME: Final = 64  # RFC 5280, appendix A.1


class SelfIssuer:
    provider = SELF
    enrols = True

    def __init__(self, clock: Clock, identifiers: Identifiers) -> None:
        self._clock = clock
        self._identifiers = identifiers

    async def check(self, container: Container, policy: CertificatePolicy, account: Account | None) -> None:
        if not policy.x509.subject and not policy.x509.alternative_names:  # it was imported so
            raise BadRequest("The subject name provided is not a valid X500 name")

    async def enrol(self, enrolment: Enrolment) -> Outcome:
        properties = enrolment.operation.policy.x509
        now = int(self._clock.now())
        name = _name(properties)
        certificate = await sign_certificate(
            Signer(enrolment.key, enrolment.spec, enrolment.public),
            CertificateTemplate(
                subject=name,
                issuer=name,
                public=enrolment.public,
                serial=serial_number(self._identifiers),
                not_before=now - EARLIER_SECONDS,
                not_after=durations.after(now, Duration(months=properties.validity_months)),
                extensions=_extensions(properties, enrolment.public),
            ),
        )
        return Issued((certificate,))

    async def abandon(self, enrolment: Enrolment) -> None:
        """Nothing was begun."""


def serial_number(identifiers: Identifiers) -> int:
    """16 bytes, positive, the first of them not zero (RFC 5280, 4.1.2.2)."""
    drawn = identifiers.random(16)
    return int.from_bytes(bytes([drawn[0] & 0x3F | 0x40]) + drawn[1:], "big")


def _name(properties: X509Properties) -> x509.Name:
    if properties.subject:
        return parse_name(properties.subject)
    names = properties.alternative_names
    first = (*names.dns_names, *names.emails, *names.upns, *names.uris, *names.ip_addresses)[0]
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, first[:_LONGEST_COMMON_NAME])])


def _extensions(properties: X509Properties, public: bytes) -> "list[x509.Extension[x509.ExtensionType]]":
    """In the order of the service."""
    found = [
        extensions.key_usage(properties.key_usage),
        extensions.end_entity(),
        extensions.extended_key_usage(properties.ekus),
        extensions.alternative_names(properties.alternative_names),
        extensions.authority_key_identifier(public),
        extensions.subject_key_identifier(public),
    ]
    return [one for one in found if one is not None]
