"""Names of a client certificate, in the form that CertificateName of the configuration has."""

import hashlib
from contextlib import suppress

from cryptography.x509 import (
    DNSName,
    DuplicateExtension,
    ExtensionNotFound,
    SubjectAlternativeName,
    UniformResourceIdentifier,
    UnsupportedGeneralNameType,
    load_der_x509_certificate,
)

NOBODY: frozenset[str] = frozenset()


def names_of(certificate: bytes | None) -> frozenset[str]:
    """certificate: DER, whose chain was checked; None for a client without one. What cannot be read has no names but
    its fingerprint."""
    if certificate is None:
        return NOBODY
    names = {f"sha256:{hashlib.sha256(certificate).hexdigest()}"}
    with suppress(ValueError, ExtensionNotFound, DuplicateExtension, UnsupportedGeneralNameType):
        read = load_der_x509_certificate(certificate)
        names.add(f"subject:{read.subject.rfc4514_string()}")
        alternatives = read.extensions.get_extension_for_class(SubjectAlternativeName).value
        names.update(f"dns:{name.lower()}" for name in alternatives.get_values_for_type(DNSName))
        names.update(f"uri:{name}" for name in alternatives.get_values_for_type(UniformResourceIdentifier))
    return frozenset(names)
