"""The policy of a certificate that was imported: what the certificate itself says, as if it had been made by it.

What no policy can say (certificate_policy_rules.py) is left out: it would only matter to a next version, and the
certificate itself stays as it is.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final, TypeVar

from cryptography import x509

from hsmvault.custody import certificate_chains as chains
from hsmvault.custody import der
from hsmvault.custody.certificate_extensions import KEY_USAGES, USER_PRINCIPAL_NAME
from hsmvault.errors import BadRequest
from hsmvault.model.algorithms import KeySpec
from hsmvault.model.certificate_policies import (
    AlternativeNames,
    CertificatePolicy,
    KeyProperties,
    X509Properties,
)
from hsmvault.model.certificate_policy_rules import LONGEST_MONTHS, is_dns_name, is_email, is_oid, is_upn, is_uri
from hsmvault.model.x500 import parse_name, write_name, write_rdn
from hsmvault.resources import refusals

Value = TypeVar("Value", bound=x509.ExtensionType)
_MONTH_SECONDS: Final = 365.2425 * 86_400 / 12
_MOST_NAMES: Final = 100  # of each kind, and
_MOST_EKUS: Final = 32  # as certificate_policy_rules.py has them
_MOST_RDNS: Final = 32


def policy_of(leaf: bytes, spec: KeySpec, content_type: str) -> CertificatePolicy:
    """leaf: in DER, for a key of this spec. The issuer is Unknown, there are no actions yet, the key is a soft one and
    exportable. Raises BadRequest when the certificate cannot be read."""
    certificate = chains.load(leaf)
    not_before, expires = chains.validity(leaf)
    months = round((expires - not_before) / _MONTH_SECONDS)
    return CertificatePolicy(
        key=KeyProperties(spec.family, hardware=False, size_bits=spec.size_bits, curve=spec.curve),
        content_type=content_type,
        x509=X509Properties(
            subject=_subject(certificate.subject),
            alternative_names=_alternative_names(certificate),
            ekus=_extended_key_usage(certificate),
            key_usage=_key_usage(certificate),
            validity_months=max(1, min(months, LONGEST_MONTHS)),
        ),
    )


def check_fits(policy: CertificatePolicy, spec: KeySpec) -> None:
    """Raises BadRequest when a policy that came with a certificate speaks of another key than the certificate's."""
    key = policy.key
    if key.family is not spec.family:
        raise refusals.invalid_property("kty")
    if key.size_bits != spec.size_bits:
        raise refusals.invalid_property("key_size")
    if key.curve is not spec.curve:
        raise refusals.invalid_property("crv")


def _subject(name: x509.Name) -> str:
    """As the service writes it; without RDNs of which a policy cannot speak."""
    text = write_name(name)
    if _is_subject(text):
        return text
    parts = [part for rdn in reversed(name.rdns) if _is_subject(part := write_rdn(rdn))][:_MOST_RDNS]
    while parts and not _is_subject(", ".join(parts)):
        parts.pop()
    return ", ".join(parts)


def _is_subject(text: str) -> bool:
    try:
        parse_name(text)
    except BadRequest:
        return False
    return True


def _alternative_names(certificate: x509.Certificate) -> AlternativeNames:
    names = _extension(certificate, x509.SubjectAlternativeName)
    if names is None:
        return AlternativeNames()
    others = names.get_values_for_type(x509.OtherName)
    return AlternativeNames(
        dns_names=_taken(names.get_values_for_type(x509.DNSName), is_dns_name),
        emails=_taken(names.get_values_for_type(x509.RFC822Name), is_email),
        upns=_taken((_principal(each) for each in others if each.type_id == USER_PRINCIPAL_NAME), is_upn),
        uris=_taken(names.get_values_for_type(x509.UniformResourceIdentifier), is_uri),
        ip_addresses=_taken((str(each) for each in names.get_values_for_type(x509.IPAddress)), lambda _: True),
    )


def _principal(name: x509.OtherName) -> str:
    """Of a UTF8String; the empty text, which is none, for anything else."""
    with suppress(der.BerError, UnicodeDecodeError):
        return der.read(name.value, der.Budget(4)).content.decode()
    return ""


def _extended_key_usage(certificate: x509.Certificate) -> tuple[str, ...]:
    usages = _extension(certificate, x509.ExtendedKeyUsage)
    oids = () if usages is None else (each.dotted_string for each in usages)
    return _taken(oids, is_oid)[:_MOST_EKUS]


def _key_usage(certificate: x509.Certificate) -> tuple[str, ...]:
    """Words of a policy; none for a certificate that restricts nothing."""
    usage = _extension(certificate, x509.KeyUsage)
    if usage is None:
        return ()
    agrees = usage.key_agreement  # without, the library does not tell the last two
    return tuple(
        word
        for word, member in KEY_USAGES.items()
        if (agrees or word not in ("encipherOnly", "decipherOnly")) and getattr(usage, member)
    )


def _extension(certificate: x509.Certificate, kind: type[Value]) -> Value | None:
    """None too when the extensions cannot be read: a policy then says nothing of them."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except chains.UNREADABLE_EXTENSION:
        return None


def _taken(values: Iterable[str], is_good: Callable[[str], bool]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for value in values if is_good(value)))[:_MOST_NAMES]
