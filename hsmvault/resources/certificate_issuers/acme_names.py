"""Which names an ACME server is to be asked for: those of a signing request, or of the policy that it is made by."""

import ipaddress
import re
from collections.abc import Iterable
from contextlib import suppress

from cryptography import x509
from cryptography.x509.oid import NameOID

from hsmvault.errors import BadRequest
from hsmvault.model.certificate_policies import X509Properties
from hsmvault.model.x500 import parse_name
from hsmvault.outbound.acme_objects import MOST_IDENTIFIERS, Identifier

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"(\*\.)?{_LABEL}(\.{_LABEL})*")
_LONGEST_HOST = 253
_WILDCARD = "*."


def is_host(text: str) -> bool:
    """A host name in lower case and A-labels (RFC 5890), perhaps with `*.` in front."""
    return len(text) <= _LONGEST_HOST and _HOST.fullmatch(text) is not None


def names_of_policy(properties: X509Properties) -> tuple[Identifier, ...]:
    """Raises BadRequest: see _identifiers. A subject that is no X.500 name is not this function's to refuse."""
    names = properties.alternative_names
    try:
        subject = parse_name(properties.subject) if properties.subject else x509.Name([])
    except BadRequest:
        subject = x509.Name([])
    has_others = bool(names.emails or names.upns or names.uris)
    return _identifiers(names.dns_names, names.ip_addresses, subject, has_others=has_others)


def names_of_request(request_der: bytes) -> tuple[Identifier, ...]:
    """request_der: PKCS#10. Raises BadRequest: see _identifiers."""
    try:
        request = x509.load_der_x509_csr(request_der)
        subject, extensions = request.subject, request.extensions
    except (ValueError, x509.DuplicateExtension) as error:
        raise BadRequest("The certificate signing request cannot be read.") from error
    names: list[x509.GeneralName] = []
    with suppress(x509.ExtensionNotFound):
        names = list(extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    hosts = [name.value for name in names if isinstance(name, x509.DNSName)]
    addresses = [str(name.value) for name in names if isinstance(name, x509.IPAddress)]
    return _identifiers(hosts, addresses, subject, has_others=len(hosts) + len(addresses) != len(names))


def _identifiers(
    hosts: Iterable[str], addresses: Iterable[str], subject: x509.Name, *, has_others: bool
) -> tuple[Identifier, ...]:
    """Each name once, a common name that is a host or an address among them, since servers take no other (RFC 8555,
    7.4). Raises BadRequest when there is none, when there are too many, or when there is a name of another kind.
    """
    if has_others:
        raise BadRequest("An ACME issuer certifies DNS names and IP addresses only.")
    found: list[Identifier] = []
    for host in hosts:
        if not is_host(host.lower()):
            raise BadRequest("A DNS name of the certificate is not a host name that an ACME issuer certifies.")
        found.append(Identifier("dns", host.lower()))
    found += [Identifier("ip", _address(address)) for address in addresses]
    for attribute in subject.get_attributes_for_oid(NameOID.COMMON_NAME):
        common_name = str(attribute.value).lower()
        if _is_address(common_name):
            found.append(Identifier("ip", _address(common_name)))
        elif "." in common_name and is_host(common_name):
            found.append(Identifier("dns", common_name))
    found = list(dict.fromkeys(found))
    if not found:
        raise BadRequest("An ACME issuer needs a DNS name or an IP address in the subject or its alternative names.")
    if len(found) > MOST_IDENTIFIERS:
        raise BadRequest(f"An ACME issuer certifies at most {MOST_IDENTIFIERS} names at once.")
    return tuple(found)


def check_provable(names: Iterable[Identifier], challenge: str) -> None:
    """challenge: http-01 or dns-01, by which every name is to be proved. Raises BadRequest."""
    for name in names:
        if challenge == "http-01" and name.value.startswith(_WILDCARD):
            raise BadRequest("This ACME issuer proves names by http-01, which cannot prove wildcard names.")
        if challenge == "dns-01" and name.type == "ip":
            raise BadRequest("This ACME issuer proves names by dns-01, which cannot prove IP addresses.")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _address(text: str) -> str:
    """As RFC 8738, 3 has it: the text form of RFC 5952 for IPv6. Raises BadRequest."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError as error:
        raise BadRequest("An IP address of the certificate cannot be read.") from error
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
        raise BadRequest("An IP address of the certificate has a zone.")
    return address.compressed
