"""What a certificate policy may say. A policy that contradicts itself is refused before anything is made from it.

Bounds that no source gives are ours: 100 alternative names of each kind, and no more of them than fit into the secret
that holds the certificate; 32 extended key usages; 1200 months.
"""

import ipaddress
import re
from collections.abc import Sequence
from typing import Final

from hsmvault.errors import BadRequest
from hsmvault.model.algorithms import RSA_SIZES_BITS, Family
from hsmvault.model.certificate_policies import (
    KEY_OPERATIONS,
    PEM,
    PKCS12,
    Action,
    AlternativeNames,
    CertificatePolicy,
    KeyProperties,
    LifetimeAction,
    X509Properties,
)
from hsmvault.model.keys import NAME
from hsmvault.model.secrets import LONGEST_VALUE_BYTES
from hsmvault.model.x500 import parse_name

LONGEST_MONTHS: Final = 1200
DAYS_PER_MONTH: Final = 27  # of the latest day before expiry at which something may happen
_MOST_NAMES: Final = 100
_LONGEST_NAMES: Final = LONGEST_VALUE_BYTES * 3 // 4  # bytes of all together: in base64 they are a whole secret
_MOST_EKUS: Final = 32
_LONGEST_CERTIFICATE_TYPE: Final = 128
_OID: Final = re.compile(r"[0-2](\.(0|[1-9][0-9]{0,9})){1,20}", re.ASCII)
_LABEL: Final = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_DNS: Final = re.compile(rf"(\*\.)?{_LABEL}(\.{_LABEL})*", re.ASCII)
_EMAIL: Final = re.compile(r"[!#-'*+\-./0-9=?A-Z^_`a-z{|}~]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]{0,188}[A-Za-z0-9])?")
_UPN: Final = re.compile(r"[^@\s\x00-\x1f\x7f]+@[^@\s\x00-\x1f\x7f]+")
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!#-;=?-Z\[\]_a-z~%]+", re.ASCII)


def invalid(name: str) -> BadRequest:
    return BadRequest(f"Property {name} has invalid value\r\n")


def checked(policy: CertificatePolicy, *, may_be_nameless: bool = False) -> CertificatePolicy:
    """The policy itself. may_be_nameless: of an import, whose certificate has whatever names it has. Raises BadRequest,
    in the words of the service where they are known."""
    check_key(policy.key)
    if policy.content_type not in (PKCS12, PEM):
        raise invalid("contentType")
    if not policy.x509.subject and not policy.x509.alternative_names and not may_be_nameless:
        raise BadRequest("The subject name provided is not a valid X500 name")
    check_x509(policy.x509)
    name = policy.issuer.name
    if not NAME.fullmatch(name):
        raise invalid("name")
    if len(policy.issuer.certificate_type or "") > _LONGEST_CERTIFICATE_TYPE:
        raise invalid("cty")
    check_actions(policy.actions, policy.x509.validity_months)
    if policy.issuer.is_unknown and any(one.action is Action.AUTO_RENEW for one in policy.actions):
        raise BadRequest("The lifetime action AutoRenew needs an issuer that can enrol; the issuer is Unknown.")
    return policy


def check_key(key: KeyProperties) -> None:
    if key.family is Family.OCT:
        raise invalid("kty")
    if key.family is Family.RSA and (key.curve is not None or key.size_bits not in RSA_SIZES_BITS):
        raise BadRequest(f"Unsupported key size ({key.size_bits}). Supported sizes are {list(RSA_SIZES_BITS)}")
    if key.family is Family.EC and key.curve is None:
        raise invalid("crv")
    if key.hardware and key.exportable:
        raise BadRequest("The private key of a certificate with an HSM-backed key cannot be exportable.")


def check_x509(x509: X509Properties) -> None:
    if x509.subject:
        parse_name(x509.subject)
    check_names(x509.alternative_names)
    if len(x509.ekus) > _MOST_EKUS or not all(is_oid(oid) for oid in x509.ekus) or _repeats(x509.ekus):
        raise invalid("ekus")
    if not all(usage in KEY_OPERATIONS for usage in x509.key_usage) or _repeats(x509.key_usage):
        raise invalid("key_usage")
    if not 1 <= x509.validity_months <= LONGEST_MONTHS:
        raise invalid("validity_months")


def check_names(names: AlternativeNames) -> None:
    left = _LONGEST_NAMES
    for member, values, is_good in (
        ("dns_names", names.dns_names, is_dns_name),
        ("emails", names.emails, is_email),
        ("upns", names.upns, is_upn),
        ("uris", names.uris, is_uri),
        ("ipAddresses", names.ip_addresses, is_address),
    ):
        if len(values) > _MOST_NAMES or not all(is_good(value) for value in values):
            raise invalid(member)
        left -= sum(len(value.encode()) for value in values)
    if left < 0:
        raise invalid("sans")


def check_actions(actions: tuple[LifetimeAction, ...], validity_months: int) -> None:
    """Each action at most once, with one trigger."""
    if _repeats([one.action for one in actions]):
        raise invalid("lifetime_actions")
    for one in actions:
        if (one.lifetime_percentage is None) is (one.days_before_expiry is None):
            raise invalid("trigger")
        if one.lifetime_percentage is not None and not 1 <= one.lifetime_percentage <= 99:
            raise invalid("lifetime_percentage")
        if one.days_before_expiry is not None and not 1 <= one.days_before_expiry <= validity_months * DAYS_PER_MONTH:
            raise invalid("days_before_expiry")


def is_oid(text: str) -> bool:
    """Dotted, as RFC 4512, 1.4 writes it; the second arc below 40 under 0 and 1 (X.660)."""
    if not _OID.fullmatch(text):
        return False
    first, second = text.split(".")[:2]
    return first == "2" or int(second) < 40


def is_dns_name(text: str) -> bool:
    """A host name in ASCII; the first label may be a wildcard, and labels may have an underscore."""
    return len(text) <= 253 and _DNS.fullmatch(text) is not None


def is_email(text: str) -> bool:
    return len(text) <= 254 and ".." not in text and _EMAIL.fullmatch(text) is not None


def is_upn(text: str) -> bool:
    """A user principal name: user@realm, any characters of Unicode that show."""
    return len(text) <= 1024 and _UPN.fullmatch(text) is not None


def is_uri(text: str) -> bool:
    """Absolute, in ASCII (RFC 3986)."""
    return len(text) <= 2048 and _URI.fullmatch(text) is not None


def is_address(text: str) -> bool:
    """IPv4 or IPv6, without a zone."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def _repeats(values: Sequence[object]) -> bool:
    return len(set(values)) != len(values)
