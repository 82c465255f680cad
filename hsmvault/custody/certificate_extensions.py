"""Extensions of certificates and requests, from the words of a certificate policy (RFC 5280, 4.2.1)."""

import hashlib
import ipaddress
from collections.abc import Callable, Collection, Sequence

from cryptography import x509

from hsmvault.custody import der
from hsmvault.errors import BadRequest
from hsmvault.model.certificate_policies import AlternativeNames

AnyExtension = x509.Extension[x509.ExtensionType]

USER_PRINCIPAL_NAME = x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3")
KEY_USAGES = {
    "digitalSignature": "digital_signature",
    "nonRepudiation": "content_commitment",
    "keyEncipherment": "key_encipherment",
    "dataEncipherment": "data_encipherment",
    "keyAgreement": "key_agreement",
    "keyCertSign": "key_cert_sign",
    "cRLSign": "crl_sign",
    "encipherOnly": "encipher_only",
    "decipherOnly": "decipher_only",
}
"""Words of a policy, and what the `cryptography` library calls them."""
_UTF8_STRING = 0x0C


def key_usage(names: Collection[str]) -> AnyExtension | None:
    """Critical (RFC 5280, 4.2.1.3). names: words of KEY_USAGES. None when there are none.

    encipherOnly and decipherOnly mean nothing without keyAgreement and are left out then.
    """
    flags = {member: word in names for word, member in KEY_USAGES.items()}
    if not flags["key_agreement"]:
        flags["encipher_only"] = flags["decipher_only"] = False
    return _extension(x509.KeyUsage(**flags), critical=True) if any(flags.values()) else None


def extended_key_usage(oids: Sequence[str]) -> AnyExtension | None:
    """oids: dotted. None when there are none. Raises BadRequest for what is no OID."""
    if not oids:
        return None
    try:
        usages = [x509.ObjectIdentifier(each) for each in oids]
        return _extension(x509.ExtendedKeyUsage(usages))
    except ValueError as error:
        raise BadRequest("An extended key usage of the certificate policy is not an object identifier.") from error


def alternative_names(names: AlternativeNames, *, critical: bool = False) -> AnyExtension | None:
    """subjectAltName (RFC 5280, 4.2.1.6). None when there are no names. critical: when the subject is empty.

    All but upns are ASCII without control characters: internationalised ones come in their ASCII forms. Raises
    BadRequest for a name that is not.
    """
    found = (
        *(_name(x509.DNSName, each) for each in names.dns_names),
        *(_name(x509.RFC822Name, each) for each in names.emails),
        *(_principal(each) for each in names.upns),
        *(_name(x509.UniformResourceIdentifier, each) for each in names.uris),
        *(_address(each) for each in names.ip_addresses),
    )
    return _extension(x509.SubjectAlternativeName(found), critical=critical) if found else None


def end_entity() -> AnyExtension:
    """basicConstraints with CA false, not critical (RFC 5280, 4.2.1.9)."""
    return _extension(x509.BasicConstraints(ca=False, path_length=None))


def subject_key_identifier(public: bytes) -> AnyExtension:
    """public: SubjectPublicKeyInfo in DER. SHA-1 of the key's bits (RFC 5280, 4.2.1.2, method 1)."""
    return _extension(_identifier(public))


def authority_key_identifier(public: bytes) -> AnyExtension:
    """public: SubjectPublicKeyInfo of the issuer, whose own identifier is made as above (RFC 5280, 4.2.1.1)."""
    identifier = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(_identifier(public))
    return _extension(identifier)


def _extension(value: x509.ExtensionType, *, critical: bool = False) -> AnyExtension:
    return x509.Extension(value.oid, critical, value)


def _identifier(public: bytes) -> x509.SubjectKeyIdentifier:
    """Without loading the key: the BIT STRING is the second element (RFC 5280, 4.1)."""
    _, bits = der.read(public, der.Budget(16)).inside(der.SEQUENCE)
    unused_bits_octet = 1
    digest = hashlib.sha1(bits.content[unused_bits_octet:], usedforsecurity=False).digest()
    return x509.SubjectKeyIdentifier(digest)


def _name(kind: Callable[[str], x509.GeneralName], value: str) -> x509.GeneralName:
    if not value or not value.isascii() or not value.isprintable():
        raise _bad_name()
    try:
        return kind(value)
    except ValueError as error:
        raise _bad_name() from error


def _principal(value: str) -> x509.GeneralName:
    if not value or not value.isprintable():
        raise _bad_name()
    try:
        return x509.OtherName(USER_PRINCIPAL_NAME, der.tagged(_UTF8_STRING, value.encode()))
    except UnicodeEncodeError as error:
        raise _bad_name() from error


def _address(value: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(value))
    except ValueError as error:
        raise _bad_name() from error


def _bad_name() -> BadRequest:
    return BadRequest("A subject alternative name of the certificate policy is not valid.")
