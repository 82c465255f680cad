"""Whether the names of a certificate are within the name constraints of an authority (RFC 5280, 4.2.1.10).

The constraints stand in the issuing certificate too; they are checked here because relying parties differ in what they
check. Where the standard leaves a gap we are on the strict side: a common name that could be taken for a host, the host
of a URI, and the domain of a user principal name are held to the same ranges.
"""

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from cryptography.x509 import Name
from cryptography.x509.oid import NameOID

from hsmvault.model.authorities import NameConstraints
from hsmvault.model.certificate_policies import AlternativeNames

_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?"
_HOST = re.compile(rf"(\*\.)?{_LABEL}(\.{_LABEL})*", re.ASCII)
_LONGEST_HOST = 253


def refused_name(subject: Name, names: AlternativeNames, constraints: NameConstraints) -> str | None:
    """The first name that is not well-formed or not within the constraints, for the caller; None when all are."""
    kinds = (
        (names.dns_names, _dns_is_good),
        (names.ip_addresses, _address_is_good),
        (names.emails, _email_is_good),
        (names.upns, _email_is_good),
        (names.uris, _uri_is_good),
        (_texts(subject, NameOID.EMAIL_ADDRESS), _email_is_good),
        (_texts(subject, NameOID.COMMON_NAME), _common_name_is_good),
    )
    for values, is_good in kinds:
        for value in values:
            if not _is_printable(value) or not is_good(value, constraints):
                return value
    return next((str(one.value) for one in subject if not _is_printable(str(one.value))), None)


def _texts(subject: Name, oid: object) -> Iterator[str]:
    return (str(one.value) for one in subject if one.oid == oid)


def _is_printable(value: str) -> bool:
    return value.isprintable() and bool(value)


def _common_name_is_good(value: str, constraints: NameConstraints) -> bool:
    """A host, an address or a mailbox is held to what holds for those; anything else is a text for people."""
    if _address(value) is not None:
        return _address_is_good(value, constraints)
    if "@" in value and " " not in value:
        return _email_is_good(value, constraints)
    if _HOST.fullmatch(value):
        return _dns_is_good(value, constraints)
    looks_like_host = "." in value and not any(letter.isspace() for letter in value)
    return not (looks_like_host and (constraints.permitted_dns or constraints.excluded_dns))


def _dns_is_good(value: str, constraints: NameConstraints) -> bool:
    if not _HOST.fullmatch(value) or len(value) > _LONGEST_HOST:
        return False
    name = value.lower()
    bare = name.removeprefix("*.")
    if any(_is_under(bare, domain) for domain in constraints.excluded_dns):
        return False
    if bare != name and any(_is_under(domain, bare) for domain in constraints.excluded_dns):
        return False  # a wildcard over something excluded
    permitted = constraints.permitted_dns
    return not permitted or any(_is_under(bare, domain) for domain in permitted)


def _email_is_good(value: str, constraints: NameConstraints) -> bool:
    local, at, host = value.rpartition("@")
    if not at or not local or not _HOST.fullmatch(host) or host.startswith("*"):
        return False
    host = host.lower()
    for excluded in constraints.excluded_emails:
        if _mailbox_is_in(local.lower(), host, excluded.lower()):
            return False
    permitted = constraints.permitted_emails
    return not permitted or any(_mailbox_is_in(local, host, one) for one in permitted)


def _mailbox_is_in(local: str, host: str, range_: str) -> bool:
    if "@" in range_:
        its_local, _, its_host = range_.rpartition("@")
        return (local, host) == (its_local, its_host.lower())
    return host.endswith(range_) if range_.startswith(".") else host == range_


def _address_is_good(value: str, constraints: NameConstraints) -> bool:
    address = _address(value)
    if address is None or (isinstance(address, IPv6Address) and (address.ipv4_mapped or address.scope_id)):
        return False

    def is_in(networks: tuple[IPv4Network | IPv6Network, ...]) -> bool:
        return any(address in network for network in networks)

    permitted = constraints.permitted_addresses
    return not is_in(constraints.excluded_addresses) and (not permitted or is_in(permitted))


def _uri_is_good(value: str, constraints: NameConstraints) -> bool:
    """A URI without a host names nothing in a domain: it is good where no domain is asked for."""
    try:
        parts = urlsplit(value)
        host = parts.hostname
    except ValueError:
        return False
    if not parts.scheme or not value.isascii() or " " in value:
        return False
    if not host:
        return not constraints.permitted_dns
    if _address(host) is not None:
        return _address_is_good(host, constraints)
    return not host.startswith("*") and _dns_is_good(host, constraints)


def _is_under(name: str, domain: str) -> bool:
    """A domain and all under it; both in lower case."""
    return name == domain or name.endswith(f".{domain}")


def _address(value: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(value)
    except ValueError:
        return None
